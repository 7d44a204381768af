defmodule Mlx.Axon.OptimizeTest do
  use ExUnit.Case, async: true

  import Mlx.AxonModels

  doctest Mlx.Axon

  # Answers, gradients by the parameters and parameters themselves are those of the model before; `fused` are the ops that it has now.
  defp assert_same(model, input, fused, options \\ []) do
    state = init(model, input)
    optimized = Mlx.Axon.optimize(model)
    atol = options[:atol] || 1.0e-4
    # Blocks draw other numbers each time.
    if options[:drawn] != false, do: assert(near?(init(optimized, input).data, state.data, 0.0))
    assert ops(optimized, state, input) == fused
    assert Axon.properties(optimized) == Axon.properties(model)
    assert inspect(optimized) == inspect(model)

    for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      answers =
        for model <- [model, optimized], do: Axon.predict(model, state, input, compiler: compiler)

      assert near?(hd(answers), List.last(answers), atol)
    end

    slopes = for model <- [model, optimized], do: slopes(model, state, input)
    assert near?(hd(slopes), List.last(slopes), 10 * atol)
  end

  defp slopes(model, state, input) do
    {_, predict_fn} = Axon.build(model)
    loss = fn data, x -> Nx.sum(Nx.sin(predict_fn.(%{state | data: data}, x))) end

    Nx.Defn.jit_apply(
      fn data, x -> Nx.Defn.grad({data, x}, fn {data, x} -> loss.(data, x) end) end,
      [state.data, input],
      compiler: Mlx.Compiler
    )
    |> then(fn {data, x} -> %{"data" => data, "x" => x} end)
  end

  defp input, do: Axon.input("x", shape: {nil, 3, 8})

  test "norms of the last axis, with their options" do
    x = normal(1, {2, 3, 8})

    model =
      input() |> Axon.layer_norm(epsilon: 0.5) |> Axon.layer_norm(channel_index: 2, name: "last")

    assert_same(model, x, %{"fast:layer_norm" => 2})

    model =
      input()
      |> Axon.rms_norm(epsilon: 0.5, gamma_initializer: :normal)
      |> Axon.rms_norm(shift: 1.0, upcast: :all, gamma_initializer: :normal)

    assert_same(model, x, %{"fast:rms_norm" => 2})
  end

  test "norms along other axes, and of integers, are as they were" do
    x = normal(1, {2, 3, 8})

    model =
      input()
      |> Axon.layer_norm(channel_index: 1)
      |> Axon.rms_norm(channel_index: 1)
      |> Axon.layer_norm()

    assert_same(model, x, %{"fast:layer_norm" => 1})

    state = init(Axon.layer_norm(input()), x)
    x = Nx.iota({2, 3, 8})
    optimized = Mlx.Axon.optimize(Axon.layer_norm(input()))
    assert ops(optimized, state, x) == %{}

    assert near?(
             Axon.predict(optimized, state, x),
             Axon.predict(Axon.layer_norm(input()), state, x)
           )
  end

  test "types are those of the model" do
    x = normal(1, {2, 3, 8}, :f16)

    for upcast <- [:normalization, :all] do
      assert_same(Axon.rms_norm(input(), upcast: upcast), x, %{"fast:rms_norm" => 1},
        atol: 2.0e-3
      )
    end

    policy =
      Axon.MixedPrecision.create_policy(params: {:f, 16}, compute: {:f, 16}, output: {:f, 32})

    model =
      input() |> Axon.layer_norm() |> Axon.rms_norm() |> Axon.MixedPrecision.apply_policy(policy)

    assert_same(model, x, %{"fast:layer_norm" => 1, "fast:rms_norm" => 1}, atol: 2.0e-3)
  end

  test "what norms of 16 bits are to answer" do
    policy = Axon.MixedPrecision.create_policy(params: {:f, 16}, compute: {:f, 16})
    x = normal(1, {2, 3, 8}, :f16)

    for {upcast, type} <- [normalization: {:f, 16}, all: {:f, 32}] do
      model = input() |> Axon.rms_norm(upcast: upcast) |> Axon.MixedPrecision.apply_policy(policy)
      assert_same(model, x, %{"fast:rms_norm" => 1}, atol: 2.0e-3)
      assert Axon.predict(Mlx.Axon.optimize(model), init(model, x), x).type == type
    end
  end

  test "softmax along an axis, and losses that look for its logits" do
    x = normal(1, {2, 3, 8})
    assert_same(Axon.softmax(input()), x, %{"fast:softmax" => 1})
    assert_same(Axon.softmax(input(), axis: 1), x, %{"fast:softmax" => 1})
    assert_same(Axon.softmax(input(), axis: [1, 2]), x, %{})

    # The loss of probabilities is infinite here, that of logits is not.
    model = Axon.input("x", shape: {nil, 2}) |> Axon.softmax()
    {_, predict_fn} = model |> Mlx.Axon.optimize() |> Axon.build()

    loss =
      Nx.Defn.jit(fn x, y ->
        Axon.Losses.categorical_cross_entropy(y, predict_fn.(Axon.ModelState.empty(), x),
          reduction: :mean
        )
      end)

    assert_in_delta loss.(Nx.tensor([[200.0, 0.0]]), Nx.tensor([[0, 1]])) |> Nx.to_number(),
                    200.0,
                    1.0e-3
  end

  test "blocks, layers that are used twice, hooks and other layers" do
    block = Axon.block(fn x -> x |> Axon.dense(8) |> Axon.layer_norm() end)
    x = normal(1, {2, 3, 8})
    assert_same(input() |> block.() |> block.(), x, %{"fast:layer_norm" => 2}, drawn: false)

    norm = Axon.layer_norm(input())
    model = Axon.add(norm, norm |> Axon.dense(8, activation: :relu) |> Axon.batch_norm())
    assert_same(model, x, %{"fast:layer_norm" => 1})

    test = self()
    model = input() |> Axon.layer_norm() |> Axon.attach_hook(&send(test, {:seen, &1.shape}))
    Axon.predict(Mlx.Axon.optimize(model), init(model, x), x)
    assert_received {:seen, {2, 3, 8}}
  end

  test "only models are optimized" do
    assert_raise ArgumentError, ~r/\[optimize\] expected a model/, fn ->
      Mlx.Axon.optimize(%{})
    end
  end

  describe "Bumblebee's" do
    alias Bumblebee.Layers

    test "norms" do
      x = normal(1, {2, 3, 8})

      for options <- [[], [shift: 1.0, epsilon: 0.5], [upcast: :all]] do
        assert_same(Layers.rms_norm(input(), options), x, %{"fast:rms_norm" => 1})
      end
    end

    defp none, do: Axon.layer(fn _ -> %Axon.None{} end, [], op_name: :none)

    # Queries, keys and values of two heads from one input.
    defp attention(given, options) do
      [q, k, v] =
        for name <- ["q", "k", "v"],
            do: input() |> Axon.dense(8, name: name) |> Axon.reshape({:batch, 3, 2, 4})

      given = Enum.map([:key_mask, :head_mask, :bias, :offset], &(given[&1] || none()))
      apply(Layers, :attention, [q, k, v] ++ given ++ [options])
    end

    @fused %{"fast:scaled_dot_product_attention" => 1}

    test "attention, with its masks" do
      x = normal(1, {2, 3, 8})
      # The first example sees nothing at all.
      mask = Axon.constant(Nx.tensor([[0, 0, 0], [1, 1, 0]]))
      by_head = Axon.constant(Nx.tensor([[[[1, 0, 0], [1, 1, 0], [1, 1, 1]]]]))
      bias = Axon.constant(normal(3, {1, 2, 3, 3}))

      for given <- [
            [],
            [key_mask: mask],
            [key_mask: by_head],
            [bias: bias],
            [bias: bias, key_mask: mask]
          ],
          options <- [
            [],
            [causal: true],
            [window_size: {1, 0}],
            [window_size: {1, 2}, causal: true],
            [scale: 2.0]
          ] do
        {output, _weights} = attention(given, options)
        assert_same(output, x, @fused)
      end

      {output, _weights} = attention([offset: Axon.constant(Nx.tensor(1))], causal: true)
      assert_same(output, x, @fused)
    end

    test "attention of heads that are masked, and what dropout leaves in training" do
      x = normal(1, {2, 3, 8})
      {output, _weights} = attention([head_mask: Axon.constant(Nx.tensor([1, 0]))], [])
      assert_same(output, x, %{})

      {output, weights} = attention([], dropout_rate: 0.5)
      assert_same(output, x, @fused)
      {init_fn, plain} = Axon.build(output, mode: :train, seed: 1)
      {_, train} = output |> Mlx.Axon.optimize() |> Axon.build(mode: :train)
      state = init_fn.(x, Axon.ModelState.empty())
      assert near?(train.(state, x).prediction, plain.(state, x).prediction)

      # The weights are still there.
      both = Axon.container(%{output: output, weights: weights})
      optimized = Mlx.Axon.optimize(both)
      assert near?(Axon.predict(optimized, state, x), Axon.predict(both, state, x))
      assert ops(optimized, state, x) == @fused
    end

    test "attention whose weights are watched or rounded is as it was" do
      {output, _} = attention([], [])

      watched =
        Axon.map_nodes(output, fn node ->
          if node.op_name == :dropout, do: %{node | hooks: [{:forward, :both, & &1}]}, else: node
        end)

      x = normal(1, {2, 3, 8})

      refute Map.has_key?(
               ops(Mlx.Axon.optimize(watched), init(output, x), x),
               "fast:scaled_dot_product_attention"
             )
    end

    test "rotary positions that the model counts" do
      x = normal(1, {2, 3, 8})
      heads = Axon.reshape(input(), {:batch, 3, 2, 4})
      counted = Axon.nx(input(), &Nx.iota({Nx.axis_size(&1, 0), Nx.axis_size(&1, 1)}, axis: -1))
      given = Axon.constant(Nx.tensor([[0, 1, 2], [0, 0, 1]]))
      first = &Axon.nx(&1, fn {query, _key} -> query end)

      for {options, fused} <- [
            {[], 2},
            {[base: 100], 2},
            {[scaling_strategy: %{type: :linear, factor: 2}], 2},
            {[scaling_strategy: %{type: :dynamic, factor: 1}], 0}
          ] do
        both = Layers.rotary_embedding(heads, heads, counted, 4, options)
        sum = Axon.nx(both, fn {query, key} -> Nx.add(query, Nx.multiply(key, 2)) end)
        assert_same(sum, x, if(fused > 0, do: %{"fast:rope" => fused}, else: %{}))
      end

      assert_same(first.(Layers.rotary_embedding(heads, heads, given, 4)), x, %{})
    end
  end
end
