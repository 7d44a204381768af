defmodule Mlx.NN.TrainingTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias Mlx.{NN, Optimizers}

  @model NN.layer(:linear, input_dims: 1, output_dims: 1)

  defp batches do
    for seed <- 1..4 do
      {x, _} = Nx.Random.uniform(Nx.Random.key(seed), -1, 1, shape: {16, 1})
      {x, Nx.add(Nx.multiply(x, 3), 1)}
    end
  end

  defp loss(params, {x, y}), do: NN.Losses.mse_loss(NN.call(@model, params, x), y)

  defp train(options) do
    defaults = [optimizer: Optimizers.sgd(learning_rate: 0.3), epochs: 3, progress: false]
    NN.train(NN.init(@model, 0), &loss/2, batches(), Keyword.merge(defaults, options))
  end

  test "the loss falls, and is told for each epoch" do
    training = train(epochs: 30)
    assert {training.epochs, training.steps, length(training.history)} == {30, 120, 30}
    [first | _] = training.history
    assert List.last(training.history).loss < first.loss / 100
    assert_in_delta training.params["weight"] |> Nx.squeeze() |> Nx.to_number(), 3.0, 0.05
    refute training.stopped_early
  end

  test "progress is a line for each epoch, or nothing" do
    text = capture_io(fn -> train(progress: true, validate: fn _ -> 0.5 end) end)

    assert length(
             Regex.scan(
               ~r/epoch \d\/3  step \d+  loss [\d.]+  validation 0.5  \d+ steps\/s  \d+ MB/,
               text
             )
           ) == 3

    assert capture_io(fn -> train([]) end) == ""
  end

  test "the best parameters are returned, and patience ends the training" do
    parent = self()

    validate = fn params ->
      count = Process.get(:count, 0) + 1
      Process.put(:count, count)
      send(parent, {:seen, count, params})
      if count == 2, do: 0.1, else: 1.0
    end

    training = train(epochs: 20, validate: validate, patience: 3)
    assert training.stopped_early
    assert training.epochs == 5
    assert_received {:seen, 2, best}
    assert Nx.to_binary(training.params["weight"]) == Nx.to_binary(best["weight"])
  end

  @tag :tmp_dir
  test "a checkpoint goes on where it ended, as if nothing had been", %{tmp_dir: folder} do
    for optimizer <- [
          Optimizers.adam(learning_rate: 0.1),
          Optimizers.sgd(learning_rate: 0.1, momentum: 0.9)
        ] do
      path = Path.join(folder, "#{System.unique_integer([:positive])}.safetensors")
      whole = train(epochs: 6, optimizer: optimizer)
      train(epochs: 2, optimizer: optimizer, checkpoint: path)
      resumed = train(epochs: 6, optimizer: optimizer, checkpoint: path)
      assert {resumed.epochs, resumed.steps} == {whole.epochs, whole.steps}
      # Fused and unfused programs differ in last digits.
      assert Nx.all_close(resumed.params["weight"], whole.params["weight"], atol: 1.0e-5)
             |> Nx.to_number() == 1

      for {a, b} <- Enum.zip(resumed.history, whole.history),
          do: assert_in_delta(a.loss, b.loss, 1.0e-5)

      # Nothing is left to do.
      assert train(epochs: 6, optimizer: optimizer, checkpoint: path).steps == whole.steps
    end

    path = Path.join(folder, "other.safetensors")
    NN.save_weights(%{"params" => %{"w" => Nx.tensor(1)}}, path)

    assert_raise Mlx.FormatError, ~r/has no params.bias: it is of another model/, fn ->
      train(checkpoint: path)
    end
  end

  test "statistics are what the loss says, and a key is another one for each step" do
    model = NN.sequential([NN.layer(:batch_norm, num_features: 1), @model])
    keys = :counters.new(1, [])

    loss = fn params, {x, y}, key ->
      :counters.add(keys, 1, 1)
      {answer, params} = NN.call(model, params, x, training: true)
      {Nx.add(NN.Losses.mse_loss(answer, y), Nx.multiply(0, Nx.sum(key))), params}
    end

    training =
      NN.train(NN.init(model, 0), loss, batches(),
        optimizer: Optimizers.adam(learning_rate: 0.05),
        epochs: 40,
        progress: false
      )

    assert :counters.get(keys, 1) <= 3, "the loss is traced, not called for each step"
    # Batches of 16 are normalised by their own means, which is noise.
    assert List.last(training.history).loss < hd(training.history).loss / 2
    statistics = training.params["layers"]["0"]
    assert_in_delta statistics["running_var"] |> Nx.squeeze() |> Nx.to_number(), 0.33, 0.1
  end

  test "a loss that is no number is told once, with its step" do
    loss = fn params, {x, y} -> Nx.multiply(loss(params, {x, y}), :nan) end
    params = NN.init(@model, 0)
    options = [optimizer: Optimizers.sgd(learning_rate: 0.1), epochs: 1, progress: false]
    text = capture_io(:stderr, fn -> NN.train(params, loss, batches(), options) end)
    assert length(String.split(text, "the loss is nan at step 1")) == 2
  end

  test "what does not fit is refused" do
    assert_raise ArgumentError, ~r/no options but/, fn -> train(speed: 1) end

    assert_raise ArgumentError, ~r/:optimizer to be an optimizer/, fn ->
      train(optimizer: :adam)
    end

    assert_raise ArgumentError, ~r/:patience to be .* together with :validate/, fn ->
      train(patience: 2)
    end

    assert_raise ArgumentError, ~r/at least one batch/, fn ->
      NN.train(NN.init(@model, 0), &loss/2, [],
        optimizer: Optimizers.sgd(learning_rate: 0.1),
        progress: false
      )
    end

    assert_raise ArgumentError, ~r/a function of the parameters and a batch/, fn ->
      NN.train(NN.init(@model, 0), fn _ -> 0 end, [],
        optimizer: Optimizers.sgd(learning_rate: 0.1)
      )
    end
  end
end
