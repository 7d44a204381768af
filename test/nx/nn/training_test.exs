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
  end

  @tag :tmp_dir
  test "a checkpoint keeps names of axes, and that patience had ended", %{
    tmp_dir: folder
  } do
    path = Path.join(folder, "axes.safetensors")
    named = Nx.tensor([1.0, 2.0], names: [:v])
    params = %{"a" => named}

    loss = fn %{"a" => a}, x -> a |> Nx.sum(axes: [:v]) |> Nx.subtract(x) |> Nx.pow(2) end

    options = [
      optimizer: Optimizers.sgd(learning_rate: 0.01),
      checkpoint: path,
      progress: false,
      validate: fn _params -> 1.0 end,
      patience: 1
    ]

    ended = NN.train(params, loss, [Nx.tensor(1.0)], [epochs: 9] ++ options)
    assert {ended.epochs, ended.stopped_early} == {2, true}
    again = NN.train(params, loss, [Nx.tensor(1.0)], [epochs: 9] ++ options)
    assert {again.epochs, again.steps, again.stopped_early} == {2, 2, true}
    assert again.params["a"].names == [:v]
    assert Nx.to_binary(again.params["a"]) == Nx.to_binary(ended.params["a"])
  end

  test "donated parameters stay the caller's" do
    params = NN.init(@model, 0)
    options = [optimizer: Optimizers.sgd(learning_rate: 0.1), epochs: 2, progress: false]
    key = Nx.donatable(Nx.Random.key(1))
    NN.train(Nx.donatable(params), &loss/2, batches(), [key: key] ++ options)
    assert Nx.to_binary(params["weight"]) != ""
  end

  @tag :tmp_dir
  test "a checkpoint of something else is refused", %{tmp_dir: folder} do
    path = Path.join(folder, "other.safetensors")
    # `put` and `texts` say what stands in the checkpoint instead.
    refused = fn put, texts, reason ->
      File.rm(path)
      train(epochs: 1, checkpoint: path)
      file = Mlx.Safetensors.open!(path)
      old = Mlx.Safetensors.metadata(file)

      named =
        file |> Mlx.Safetensors.read() |> Map.merge(put) |> Map.reject(&(elem(&1, 1) == nil))

      params = NN.Parameters.nest(Map.to_list(named))
      NN.save_weights(params, path, Map.reject(Map.merge(old, texts), &(elem(&1, 1) == nil)))
      assert_raise Mlx.FormatError, reason, fn -> train(checkpoint: path) end
    end

    refused.(%{"params.bias" => nil}, %{}, ~r/another model or optimizer: it has no params.bias/)
    more = %{"state.bias.other" => Nx.tensor([1.0])}
    refused.(more, %{}, ~r/it has state.bias.other, which is not wanted/)
    shape = %{"params.bias" => Nx.tensor([1.0, 2.0])}
    refused.(shape, %{}, ~r/its params.bias is f32\[2\], not f32\[1\]/)
    type = %{"best.bias" => Nx.tensor([1])}
    refused.(type, %{}, ~r/its best.bias is s32\[1\], not f32\[1\]/)
    refused.(%{}, %{"steps" => "-1"}, ~r/how far the training had come/)
    refused.(%{}, %{"epochs" => nil}, ~r/how far the training had come/)
    refused.(%{}, %{"history" => "0.1;0.2"}, ~r/a history that can't be read/)
  end

  @tag :tmp_dir
  test "what is no number is never the best, and a checkpoint keeps it", %{tmp_dir: folder} do
    for {mode, values, best} <- [
          {:min, [0.5, :nan, 0.3, :nan], 3},
          {:max, [0.5, :nan, 0.3, :infinity], 1},
          {:max, [:nan, :nan, 0.3, :neg_infinity], 3}
        ] do
      path = Path.join(folder, "#{System.unique_integer([:positive])}.safetensors")
      {:ok, seen} = Agent.start_link(fn -> [] end)

      validate = fn params ->
        count = Agent.get_and_update(seen, &{length(&1), &1 ++ [params["weight"]]})
        Nx.tensor(Enum.at(values, count), type: :f32)
      end

      options = [validate: validate, mode: mode, checkpoint: path]
      train(options ++ [epochs: 2])
      training = train(options ++ [epochs: 4])
      told = Enum.map(training.history, & &1.validation)
      assert Enum.map(told, &if(is_float(&1), do: Float.round(&1, 4), else: &1)) == values
      weight = Agent.get(seen, &Enum.at(&1, best - 1))
      assert Nx.to_binary(training.params["weight"]) == Nx.to_binary(weight)
    end
  end

  test "a key is another one for each step, from the seed" do
    loss = fn params, _batch, key ->
      Nx.add(Nx.multiply(0, Nx.sum(params["weight"])), Nx.Random.uniform_split(key, 0, 1))
    end

    losses = fn seed ->
      options = [optimizer: Optimizers.sgd(learning_rate: 0.1), epochs: 5, progress: false]
      options = Keyword.put(options, :key, seed)
      training = NN.train(%{"weight" => Nx.tensor([1.0])}, loss, [{0}], options)
      Enum.map(training.history, & &1.loss)
    end

    key = Nx.Random.key(7)
    uniform = &Nx.Random.uniform_split(Nx.Random.fold_in(key, &1), 0, 1)
    assert losses.(7) == Enum.map(0..4, &Nx.to_number(uniform.(&1)))
    assert length(Enum.uniq(losses.(7))) == 5
    assert losses.(key) == losses.(7)
    assert losses.(8) != losses.(7)
  end

  test "statistics are what the loss says, which is traced, not called for each step" do
    model = NN.sequential([NN.layer(:batch_norm, num_features: 1), @model])
    calls = :counters.new(1, [])

    loss = fn params, {x, y} ->
      :counters.add(calls, 1, 1)
      {answer, params} = NN.call(model, params, x, training: true)
      {NN.Losses.mse_loss(answer, y), params}
    end

    training =
      NN.train(NN.init(model, 0), loss, batches(),
        optimizer: Optimizers.adam(learning_rate: 0.05),
        epochs: 40,
        progress: false
      )

    assert :counters.get(calls, 1) in 1..3
    # Batches of 16 are normalised by their own means, which is noise.
    assert List.last(training.history).loss < hd(training.history).loss / 2
    statistics = training.params["layers"]["0"]
    assert_in_delta statistics["running_var"] |> Nx.squeeze() |> Nx.to_number(), 0.33, 0.1
  end

  test "a loss that is no number is told once, with its step" do
    loss = fn params, {x, y} -> Nx.multiply(loss(params, {x, y}), :nan) end
    params = NN.init(@model, 0)
    options = [optimizer: Optimizers.sgd(learning_rate: 0.1), epochs: 1, progress: false]

    text =
      capture_io(:stderr, fn ->
        training = NN.train(params, loss, batches(), options)
        send(self(), Enum.map(training.history, & &1.loss))
      end)

    assert length(String.split(text, "the loss is nan at step 1")) == 2
    assert_received [:nan]
  end

  test "what does not fit is refused" do
    assert_raise ArgumentError, ~r/no options but/, fn -> train(speed: 1) end

    assert_raise ArgumentError, ~r/:optimizer to be an optimizer/, fn ->
      train(optimizer: :adam)
    end

    assert_raise ArgumentError, ~r/:patience to be .* together with :validate/, fn ->
      train(patience: 2)
    end

    assert_raise ArgumentError, ~r/\[train\] expected a key of Nx.Random/, fn ->
      train(key: 1.5)
    end

    for path <- [3, "", "none/x.safetensors"] do
      assert_raise ArgumentError, ~r/:checkpoint to be the path/, fn ->
        train(checkpoint: path)
      end
    end

    for params <- [
          %{"a.b" => Nx.tensor(1.0), "a" => %{"b" => Nx.tensor(1.0)}},
          %{:a => Nx.tensor(1.0), "a" => Nx.tensor(1.0)}
        ] do
      assert_raise ArgumentError, ~r/two tensors are called a/, fn ->
        NN.train(params, fn _, _ -> 0 end, [1], optimizer: Optimizers.sgd(learning_rate: 0.1))
      end

      assert_raise ArgumentError, ~r/two tensors are called a/, fn ->
        NN.save_weights(params, "none.safetensors")
      end
    end

    for data <- [nil, {1, 2}, fn _epoch -> 3 end] do
      assert_raise ArgumentError, ~r/\[train\] expected batches as an enumerable/, fn ->
        NN.train(NN.init(@model, 0), &loss/2, data, optimizer: Optimizers.sgd(learning_rate: 0.1))
      end
    end

    assert_raise ArgumentError, ~r/\[parameters\] expected tensors in maps/, fn ->
      NN.train(nil, &loss/2, batches(), optimizer: Optimizers.sgd(learning_rate: 0.1))
    end

    assert_raise ArgumentError, ~r/:clip to be a norm, more than 0/, fn -> train(clip: -1) end
    assert_raise ArgumentError, ~r/:clip to be a norm, more than 0/, fn -> train(clip: 0) end

    assert_raise ArgumentError, ~r/at least one batch/, fn ->
      NN.train(NN.init(@model, 0), &loss/2, [],
        optimizer: Optimizers.sgd(learning_rate: 0.1),
        progress: false
      )
    end

    assert_raise ArgumentError, ~r/\[train\] expected a loss of one real number/, fn ->
      each = fn params, {x, y} -> Nx.subtract(NN.call(@model, params, x), y) end

      NN.train(NN.init(@model, 0), each, batches(),
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

  test "what is not trainable is frozen, bit by bit, and has no part in the optimizer" do
    first = NN.init(@model, 0)

    for {which, moved} <- [
          {&(&1 == "bias"), ["bias"]},
          {fn _name, tensor -> Nx.rank(tensor) == 2 end, ["weight"]},
          {nil, ["bias", "weight"]}
        ] do
      training = train(trainable: which)

      for name <- ["bias", "weight"] do
        same? = Nx.to_binary(training.params[name]) == Nx.to_binary(first[name])
        assert same? == name not in moved
      end

      assert Map.keys(training.state) -- ["learning_rate", "step"] == moved
    end

    # Containers of any kind keep their form.
    for {params, name, parts} <- [
          {{Nx.tensor(2.0), Nx.tensor(0.0)}, "1", & &1},
          {%{:w => Nx.tensor(2.0), "w.b" => Nx.tensor(0.0)}, "w.b", &{&1[:w], &1["w.b"]}}
        ] do
      loss = fn params, {x, y} ->
        {w, b} = parts.(params)
        NN.Losses.mse_loss(Nx.add(Nx.multiply(x, w), b), y)
      end

      training =
        NN.train(params, loss, batches(),
          optimizer: Optimizers.sgd(learning_rate: 0.3),
          trainable: &(&1 == name),
          progress: false
        )

      assert {w, b} = parts.(training.params)
      assert {Nx.to_number(w), Nx.to_number(b) > 0.5} == {2.0, true}
    end
  end

  test "integers and statistics are not trained, and a model of nothing else is refused" do
    params = %{
      "w" => Nx.tensor([1.0]),
      "steps" => Nx.tensor([3]),
      "running_mean" => Nx.tensor([5.0])
    }

    loss = fn params, x -> Nx.sum(Nx.multiply(Nx.multiply(params["w"], params["steps"]), x)) end
    sgd = Optimizers.sgd(learning_rate: 0.1)
    x = Nx.tensor([1.0])
    training = NN.train(params, loss, [x], optimizer: sgd, progress: false)
    assert_in_delta training.params["w"][0] |> Nx.to_number(), 0.7, 1.0e-6

    assert {[3], [5.0]} =
             {Nx.to_list(training.params["steps"]), Nx.to_list(training.params["running_mean"])}

    for {params, options} <- [
          {Map.delete(params, "w"), []},
          {%{"w" => Nx.tensor(Complex.new(1, 2))}, []},
          {params, [trainable: fn _ -> false end]}
        ] do
      assert_raise ArgumentError, ~r/a parameter to train/, fn ->
        NN.train(params, loss, [x], [optimizer: sgd] ++ options)
      end
    end

    assert_raise ArgumentError, ~r/:trainable to be a function/, fn ->
      train(trainable: ["bias"])
    end
  end
end
