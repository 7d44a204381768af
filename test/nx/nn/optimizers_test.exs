defmodule Mlx.OptimizersTest do
  use ExUnit.Case, async: true

  alias Mlx.{NN, Optimizers}

  doctest Mlx.Optimizers

  @params %{"a" => %{"w" => Nx.tensor([[1.0, -2.0], [0.5, 3.0]])}, "b" => Nx.tensor([0.5])}
  @gradients %{"a" => %{"w" => Nx.tensor([[0.1, -0.2], [0.0, 0.3]])}, "b" => Nx.tensor([-1.0])}

  test "a step of gradient descent is what it says" do
    {init, update} = Optimizers.sgd(learning_rate: 0.5)
    {updates, state} = update.(@gradients, init.(@params), @params)
    params = Optimizers.apply_updates(@params, updates)
    assert Nx.to_list(params["b"]) == [1.0]
    assert_in_delta params["a"]["w"][0][0] |> Nx.to_number(), 0.95, 1.0e-6
    assert Nx.to_number(state["step"]) == 1
  end

  test "a compiled step takes away no parameters that it adds again" do
    {init, update} = Optimizers.sgd(learning_rate: 0.5)

    step = fn gradients, state, params ->
      {updates, _state} = update.(gradients, state, params)
      Optimizers.apply_updates(params, updates)
    end

    args = [@gradients, init.(@params), @params]
    params = Nx.Defn.jit_apply(step, args, compiler: Mlx.Compiler)
    assert_in_delta params["a"]["w"][0][0] |> Nx.to_number(), 0.95, 1.0e-6
    assert Nx.to_list(params["b"]) == [1.0]

    text = Mlx.Compiler.to_text(step, args)
    assert length(String.split(text, " = subtract ")) - 1 == 2
    refute text =~ " = add "
  end

  test "updates are of the parameters, by their names, and leave them their types" do
    params = %{"a" => Nx.tensor(1.0, type: :bf16), "b" => Nx.tensor(3)}
    updated = Optimizers.apply_updates(params, %{"a" => Nx.tensor(0.5), "b" => Nx.tensor(0.0)})
    assert updated == %{"a" => Nx.tensor(1.5, type: :bf16), "b" => Nx.tensor(3)}

    for updates <- [%{}, %{"b" => 1.0, "c" => 2.0}] do
      assert_raise ArgumentError, ~r/\[apply_updates\] expected updates of the parameters/, fn ->
        Optimizers.apply_updates(params, updates)
      end
    end
  end

  test "what can't be an option, a boundary or a container is told" do
    named_twice = %{:b => Nx.tensor(1.0), "b" => Nx.tensor(2.0)}
    {init, update} = Optimizers.multi([Optimizers.sgd(learning_rate: 0.5)], [])
    warmup = Optimizers.linear_schedule(init: 0.0, end: 1.0, steps: 2)
    {begin, _} = Optimizers.sgd(learning_rate: 0.1)
    {orthogonal, _} = Optimizers.muon(learning_rate: 0.1, ns_steps: -1)
    mixed = %{"v" => Nx.vectorize(Nx.tensor([1.0, 2.0]), :b), "z" => Nx.tensor(1.0)}

    for {expected, fun} <- [
          {"two tensors are called b", fn -> init.(named_twice) end},
          {"two tensors are called b", fn -> update.(named_twice, %{}, named_twice) end},
          {"each option once", fn -> Optimizers.sgd(learning_rate: 0.1, learning_rate: 0.2) end},
          {"no tensor for :learning_rate",
           fn -> Optimizers.sgd(learning_rate: Nx.tensor(0.1)) end},
          {"[cosine_decay] expected options as a keyword list",
           fn -> Optimizers.cosine_decay(:a) end},
          {"boundaries that ascend", fn -> Optimizers.join_schedules([warmup, warmup], [-1]) end},
          {"boundaries that ascend",
           fn -> Optimizers.join_schedules([warmup, warmup, warmup], [5, 2]) end},
          {"[muon] ns_steps has to be at least 0", fn -> orthogonal.(@params) end},
          {"all vectorized by the same axes", fn -> begin.(mixed) end},
          {"[parameters] expected tensors in maps", fn -> begin.(nil) end}
        ] do
      error = assert_raise ArgumentError, fun
      assert error.message =~ expected
    end
  end

  test "pairs of numbers are lists or tuples" do
    for betas <- [[0.5, 0.9], {0.5, 0.9}] do
      {init, update} = Optimizers.adam(learning_rate: 0.1, betas: betas)
      {_, state} = update.(@gradients, init.(@params), @params)
      assert_in_delta state["b"]["m"][0] |> Nx.to_number(), -0.5, 1.0e-6
    end

    assert_raise ArgumentError, ~r/betas/, fn ->
      {init, _} = Optimizers.adam(learning_rate: 0.1, betas: [0.5])
      init.(@params)
    end
  end

  test "schedules nest, and are read at the step" do
    warmup = Optimizers.linear_schedule(init: 0.0, end: 1.0, steps: 2)

    rate =
      Optimizers.join_schedules(
        [warmup, Optimizers.exponential_decay(init: 1.0, decay_rate: 0.5)],
        [2]
      )

    {init, update} = Optimizers.sgd(learning_rate: rate)
    params = %{"w" => Nx.tensor([0.0])}
    gradients = %{"w" => Nx.tensor([-1.0])}

    {moves, _} =
      Enum.map_reduce(1..4, init.(params), fn _, state ->
        {updates, state} = update.(gradients, state, params)
        {updates["w"][0] |> Nx.to_number(), state}
      end)

    assert moves == [0.0, 0.5, 1.0, 0.5]
  end

  test "steps are compiled together with the gradient, by any compiler, for any container" do
    loss = fn {w, b}, x, y -> Nx.mean(Nx.pow(Nx.subtract(Nx.add(Nx.multiply(w, x), b), y), 2)) end
    x = Nx.linspace(-1, 1, n: 16)
    y = Nx.add(Nx.multiply(x, 3), 1)

    for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator], name <- [:adam, :sgd, :lion, :adamw] do
      {init, update} = apply(Optimizers, name, [[learning_rate: 0.1]])

      step =
        Nx.Defn.jit(
          fn params, state ->
            {value, slopes} = Nx.Defn.value_and_grad(params, &loss.(&1, x, y))
            {updates, state} = update.(slopes, state, params)
            {value, Optimizers.apply_updates(params, updates), state}
          end,
          compiler: compiler
        )

      params = {Nx.tensor(0.0), Nx.tensor(0.0)}
      steps = if compiler == Mlx.Compiler, do: 60, else: 3

      {first, last, _, _} =
        Enum.reduce(1..steps, {nil, nil, params, init.(params)}, fn _,
                                                                    {first, _, params, state} ->
          {value, params, state} = step.(params, state)
          value = Nx.to_number(value)
          {first || value, value, params, state}
        end)

      assert last < if(compiler == Mlx.Compiler, do: first / 4, else: first), "#{name}"
    end
  end

  @tag :tmp_dir
  test "a state is saved and loaded as parameters are", %{tmp_dir: folder} do
    {init, update} = Optimizers.adam(learning_rate: 0.1)
    {_, state} = update.(@gradients, init.(@params), @params)
    path = Path.join(folder, "state.safetensors")
    NN.save_weights(state, path)
    {expected, _} = update.(@gradients, state, @params)
    {got, _} = update.(@gradients, NN.load_weights(path), @params)
    assert Nx.to_binary(got["a"]["w"]) == Nx.to_binary(expected["a"]["w"])
  end

  test "what does not fit is refused" do
    {init, update} = Optimizers.sgd(learning_rate: 0.1)

    assert_raise ArgumentError, ~r/gradients of the parameters/, fn ->
      update.(%{"b" => Nx.tensor(1)}, init.(@params), @params)
    end

    assert_raise ArgumentError, fn -> update.(@gradients, %{}, @params) end
    assert_raise ArgumentError, ~r/learning_rate/, fn -> elem(Optimizers.sgd(), 0).(@params) end

    assert_raise ArgumentError, ~r/no attribute speed/, fn ->
      elem(Optimizers.sgd(learning_rate: 1, speed: 2), 0).(@params)
    end

    assert_raise ArgumentError, ~r/a number or a schedule/, fn ->
      Optimizers.sgd(learning_rate: {1, 2})
    end

    assert_raise Mlx.UnsupportedError, fn ->
      elem(Optimizers.sgd(learning_rate: {:slowly, []}), 0).(@params)
    end

    assert_raise ArgumentError, fn -> Optimizers.clip_grad_norm(@gradients, -1.0) end
  end

  test "names that states have for themselves are told of" do
    {init, _update} = Optimizers.adam(learning_rate: 0.1)

    for {params, named} <- [
          {%{"step" => Nx.tensor(1.0)}, "step"},
          {%{"learning_rate" => %{"weight" => Nx.tensor(1.0)}}, "learning_rate.weight"}
        ] do
      error = assert_raise ArgumentError, fn -> init.(params) end
      assert error.message =~ "of its own: call the parameter #{named} otherwise"
    end
  end

  test "every optimizer of the core is there" do
    rows = for {"optimizer", name, _, _, _} <- Mlx.NIF.nn_rows(), do: name
    names = Optimizers.__info__(:functions) |> Keyword.keys() |> MapSet.new(&Atom.to_string/1)
    assert length(rows) == 10
    assert Enum.reject(rows, &(&1 in names)) == []
  end

  describe "several optimizers in one" do
    defp matrix?(_name, tensor), do: Nx.rank(tensor) == 2

    test "each steps as by itself, with a state of its own" do
      one = Optimizers.muon(learning_rate: 0.1)
      other = Optimizers.adam(learning_rate: 0.01)
      {init, update} = Optimizers.multi([one, other], [&matrix?/2])
      {updates, state} = update.(@gradients, init.(@params), @params)

      for {{init, update}, number, name} <- [{one, "0", "a"}, {other, "1", "b"}] do
        [gradients, params] = for all <- [@gradients, @params], do: Map.take(all, [name])
        {alone, own} = update.(gradients, init.(params), params)
        [{_, got}] = Mlx.NN.Parameters.flatten(Map.take(updates, [name]))
        [{_, wanted}] = Mlx.NN.Parameters.flatten(alone)
        assert Nx.to_binary(got) == Nx.to_binary(wanted)
        names = &for({name, _} <- Mlx.NN.Parameters.flatten(&1), do: name)
        assert names.(state["states"][number]) == names.(own)
      end

      assert for({name, _} <- Mlx.NN.Parameters.flatten(state), do: name) ==
               ~w(states.0.a.w.v states.0.learning_rate states.0.step) ++
                 ~w(states.1.b.m states.1.b.v states.1.learning_rate states.1.step)
    end

    test "the first filter that means a parameter gets it, and a filter may mean none" do
      rates = [1.0, 0.1, 0.01]
      optimizers = for rate <- rates, do: Optimizers.sgd(learning_rate: rate)
      by_name = fn prefix -> fn name, _tensor -> String.starts_with?(name, prefix) end end
      ones = {Nx.tensor([1.0]), Nx.tensor([[1.0]])}

      for {filters, moves} <- [
            {[by_name.("1"), &matrix?/2], [-0.01, -1.0]},
            {[&matrix?/2, by_name.("")], [-0.1, -1.0]},
            {[by_name.("none"), by_name.("no")], [-0.01, -0.01]}
          ] do
        {init, update} = Optimizers.multi(optimizers, filters)
        {{b, w}, _state} = update.(ones, init.(ones), ones)

        for {tensor, move} <- Enum.zip([b, w], moves),
            do: assert_in_delta(Nx.to_number(Nx.squeeze(tensor)), move, 1.0e-6)
      end
    end

    test "they train a model, statistics included, and their checkpoint is gone on from" do
      model =
        NN.sequential([
          NN.layer(:linear, input_dims: 2, output_dims: 4),
          NN.layer(:batch_norm, num_features: 4),
          NN.layer(:linear, input_dims: 4, output_dims: 1)
        ])

      {x, _} = Nx.Random.normal(Nx.Random.key(3), shape: {32, 2})
      y = Nx.sum(x, axes: [1], keep_axes: true)

      loss = fn params, {x, y} ->
        {answer, params} = NN.call(model, params, x, training: true)
        {NN.Losses.mse_loss(answer, y), params}
      end

      optimizer =
        Optimizers.multi(
          [
            Optimizers.sgd(learning_rate: 0.1, momentum: 0.5),
            Optimizers.adam(learning_rate: 0.05)
          ],
          [&matrix?/2]
        )

      params = NN.init(model, 0)

      path =
        Path.join(System.tmp_dir!(), "multi_#{System.unique_integer([:positive])}.safetensors")

      options = [optimizer: optimizer, progress: false, clip: 1.0]
      train = &NN.train(params, loss, [{x, y}], Keyword.merge(options, &1))
      whole = train.(epochs: 60)
      assert List.last(whole.history).loss < hd(whole.history).loss / 10
      mean = whole.params["layers"]["1"]["running_mean"]
      assert Nx.to_list(mean) != [0.0, 0.0, 0.0, 0.0]
      train.(epochs: 30, checkpoint: path)
      resumed = train.(epochs: 60, checkpoint: path)
      File.rm!(path)
      assert_in_delta List.last(resumed.history).loss, List.last(whole.history).loss, 1.0e-4
    end

    test "what does not fit is refused" do
      sgd = Optimizers.sgd(learning_rate: 1.0)

      assert_raise ArgumentError, ~r/a filter less than the 2/, fn ->
        Optimizers.multi([sgd, sgd], [])
      end

      assert_raise ArgumentError, ~r/a filter less/, fn -> Optimizers.multi([], []) end

      assert_raise ArgumentError, ~r/list of filters/, fn ->
        Optimizers.multi([sgd, sgd], [:matrices])
      end

      assert_raise ArgumentError, ~r/list of optimizers/, fn -> Optimizers.multi([:sgd], []) end
      {init, update} = Optimizers.multi([sgd, sgd], [&matrix?/2])

      assert_raise ArgumentError, ~r/made by init/, fn ->
        update.(@gradients, elem(sgd, 0).(@params), @params)
      end

      assert_raise ArgumentError, ~r/gradients of the parameters/, fn ->
        update.(Map.delete(@gradients, "a"), init.(@params), @params)
      end
    end
  end
end
