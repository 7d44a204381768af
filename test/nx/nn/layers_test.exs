defmodule Mlx.NN.LayersTest do
  use ExUnit.Case, async: true

  alias Mlx.NN

  @linear NN.layer(:linear, input_dims: 3, output_dims: 2)

  test "parameters have MLX's names, shapes and ranges, and come from the key alone" do
    params = NN.init(@linear, 7)
    assert %{"weight" => weight, "bias" => bias} = params
    assert {weight.shape, bias.shape, weight.type} == {{2, 3}, {2}, {:f, 32}}
    assert Nx.to_number(Nx.reduce_max(Nx.abs(weight))) <= 1 / :math.sqrt(3)
    assert NN.init(@linear, Nx.Random.key(7)) == params or same?(NN.init(@linear, 7), params)
    refute same?(NN.init(@linear, 8), params)

    assert Map.keys(NN.init(NN.layer(:linear, input_dims: 3, output_dims: 2, bias: false), 0)) ==
             ["weight"]
  end

  defp same?(a, b), do: Nx.to_binary(a["weight"]) == Nx.to_binary(b["weight"])

  test "first weights are the same on any backend and under any compiler" do
    wanted = NN.init(@linear, 5)
    key = Nx.backend_copy(Nx.Random.key(5), Nx.BinaryBackend)

    for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      assert same?(Nx.Defn.jit(&NN.init(@linear, &1), compiler: compiler).(key), wanted)
    end
  end

  test "models nest, and every layer draws its own numbers" do
    model = %{encoder: [@linear, @linear], head: NN.sequential([@linear, &NN.relu/1])}
    params = NN.init(model, 0)
    assert %{"encoder" => %{"0" => a, "1" => b}, "head" => %{"layers" => %{"0" => c}}} = params
    refute same?(a, b)
    refute same?(b, c)

    names = params |> NN.Parameters.flatten() |> Enum.map(&elem(&1, 0))

    assert names ==
             ~w(encoder.0.bias encoder.0.weight encoder.1.bias encoder.1.weight head.layers.0.bias head.layers.0.weight)

    assert NN.Parameters.nest(NN.Parameters.flatten(params)) == params
  end

  test "calls are differentiated and compiled by any compiler" do
    params = %{
      "weight" => Nx.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]]),
      "bias" => Nx.tensor([0.5, -10.0])
    }

    model = NN.sequential([@linear, &NN.relu/1])
    x = Nx.tensor([[1.0, 1.0, 1.0]])
    loss = fn params -> NN.call(model, %{"layers" => %{"0" => params}}, x) |> Nx.sum() end
    assert Nx.to_number(loss.(params)) == 6.5

    for grad <- [Mlx.grad(loss), &Nx.Defn.grad(&1, loss)] do
      slopes = grad.(params)
      assert Nx.to_list(slopes["weight"]) == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
      assert Nx.to_list(slopes["bias"]) == [1.0, 0.0]
    end

    evaluated = Nx.Defn.jit(loss, compiler: Nx.Defn.Evaluator).(params)
    assert Nx.to_number(evaluated) == 6.5
  end

  test "parameters that do not fit are named" do
    x = Nx.tensor([1.0, 1.0, 1.0])
    bias = Nx.tensor([0.0, 0.0])

    assert_raise ArgumentError,
                 "[linear] the parameters don't fit: 1 missing: weight",
                 fn -> NN.call(@linear, %{"bias" => bias}, x) end

    assert_raise ArgumentError, ~r/scale/, fn ->
      NN.call(@linear, Map.put(NN.init(@linear, 0), "scale", bias), x)
    end

    assert_raise ArgumentError, ~r/weight/, fn ->
      NN.call(@linear, %{"weight" => Nx.eye(2), "bias" => bias}, x)
    end
  end

  test "options and operands that there are not are refused" do
    assert_raise ArgumentError, ~r/\[linear\] has no attribute width/, fn ->
      NN.init(NN.layer(:linear, width: 3), 0)
    end

    assert_raise ArgumentError, ~r/output_dims/, fn ->
      NN.init(NN.layer(:linear, input_dims: 3), 0)
    end

    assert_raise Mlx.UnsupportedError, ~r/no such layer/, fn -> NN.init(NN.layer(:lenear), 0) end
    assert_raise ArgumentError, ~r/a model/, fn -> NN.init(:linear, 0) end

    assert_raise ArgumentError, ~r/a list of layers/, fn -> NN.sequential([:relu]) end
    params = NN.init(@linear, 0)
    x = Nx.tensor([1.0, 1.0, 1.0])
    assert_raise ArgumentError, fn -> NN.call(@linear, params, {x, x}) end
    assert_raise ArgumentError, fn -> NN.call(@linear, params, Nx.tensor([1.0])) end
    assert_raise ArgumentError, fn -> NN.call(@linear, params, x, training: true) end

    assert_raise ArgumentError, ~r/\[linear\] expected a map of parameters/, fn ->
      NN.call(@linear, nil, x)
    end

    dropout = NN.layer(:dropout, p: 0.5)

    assert_raise ArgumentError, ~r/needs the operand key, or the option training to be/, fn ->
      NN.call(dropout, %{}, x)
    end

    assert_raise ArgumentError, ~r/each option once/, fn -> NN.layer(:dropout, p: 0.1, p: 0.2) end
    assert_raise ArgumentError, ~r/no tensor for :p/, fn -> NN.layer(:dropout, p: x) end
  end

  test "a sequence takes the options of its layers, and their parameters alone" do
    norm = NN.layer(:batch_norm, num_features: 3)
    model = NN.sequential([NN.sequential([norm]), &NN.relu/1])
    params = NN.init(model, 0)
    x = Nx.tensor([[1.0, 2.0, 3.0], [2.0, 2.0, -3.0]])
    {_, trained} = NN.call(model, params, x)
    assert trained != params
    {_, same} = NN.call(model, params, x, training: false)
    assert inspect(same) == inspect(params)
    # It means nothing to these.
    plain = NN.sequential([@linear])
    assert NN.call(plain, NN.init(plain, 0), x, training: false).shape == {2, 2}

    assert_raise ArgumentError, ~r/no options but :key, :training, got: \[traning: false\]/, fn ->
      NN.call(model, params, x, traning: false)
    end

    for extra <- [%{"zzz" => x}, %{"layers" => Map.put(params["layers"], "7", %{"weight" => x})}] do
      assert_raise ArgumentError, ~r/parameters of 2 layers.*got: \["(zzz|7)"\]/, fn ->
        NN.call(model, Map.merge(params, extra), x)
      end
    end
  end

  # Options, the shapes of operands, and the shape of the answer.
  @shapes [
    alibi: {[], [{1, 2, 3, 3}], {1, 2, 3, 3}},
    avg_pool1d: {[kernel_size: 2], [{1, 4, 3}], {1, 2, 3}},
    avg_pool2d: {[kernel_size: {2, 1}], [{1, 4, 4, 3}], {1, 2, 4, 3}},
    avg_pool3d: {[kernel_size: 2, stride: 1], [{1, 2, 2, 2, 3}], {1, 1, 1, 1, 3}},
    batch_norm: {[num_features: 3], [{4, 3}], {4, 3}},
    bilinear: {[input1_dims: 2, input2_dims: 3, output_dims: 4], [{5, 2}, {5, 3}], {5, 4}},
    conv1d: {[in_channels: 2, out_channels: 3, kernel_size: 2], [{1, 4, 2}], {1, 3, 3}},
    conv2d:
      {[in_channels: 2, out_channels: 3, kernel_size: 2, stride: 2], [{1, 4, 4, 2}], {1, 2, 2, 3}},
    conv3d:
      {[in_channels: 1, out_channels: 2, kernel_size: 2], [{1, 2, 2, 2, 1}], {1, 1, 1, 1, 2}},
    conv_transpose1d:
      {[in_channels: 2, out_channels: 3, kernel_size: 2, stride: 2], [{1, 3, 2}], {1, 6, 3}},
    conv_transpose2d:
      {[in_channels: 2, out_channels: 3, kernel_size: 2], [{1, 2, 2, 2}], {1, 3, 3, 3}},
    conv_transpose3d:
      {[in_channels: 1, out_channels: 1, kernel_size: 2], [{1, 1, 1, 1, 1}], {1, 2, 2, 2, 1}},
    dropout: {[p: 0.5], [{4, 3}, :key], {4, 3}},
    embedding: {[num_embeddings: 5, dims: 3], [{:s32, {2, 4}}], {2, 4, 3}},
    group_norm: {[num_groups: 2, dims: 4], [{2, 3, 4}], {2, 3, 4}},
    gru: {[input_size: 2, hidden_size: 3], [{1, 4, 2}], {1, 4, 3}},
    instance_norm: {[dims: 3], [{2, 4, 3}], {2, 4, 3}},
    layer_norm: {[dims: 3], [{2, 3}], {2, 3}},
    max_pool1d: {[kernel_size: 2], [{1, 4, 3}], {1, 2, 3}},
    max_pool3d: {[kernel_size: 2], [{1, 2, 2, 2, 3}], {1, 1, 1, 1, 3}},
    multi_head_attention: {[dims: 4, num_heads: 2], [{1, 3, 4}, {1, 5, 4}, {1, 5, 4}], {1, 3, 4}},
    prelu: {[], [{2, 3}], {2, 3}},
    quantized_embedding: {[num_embeddings: 5, dims: 64], [{:s32, {2}}], {2, 64}},
    quantized_linear: {[input_dims: 64, output_dims: 3], [{2, 64}], {2, 3}},
    rms_norm: {[dims: 3], [{2, 3}], {2, 3}},
    rnn: {[input_size: 2, hidden_size: 3], [{1, 4, 2}], {1, 4, 3}},
    rope: {[dims: 4], [{1, 2, 3, 4}], {1, 2, 3, 4}},
    sinusoidal_positional_encoding: {[dims: 4], [{3}], {3, 4}},
    transformer_encoder_layer: {[dims: 4, num_heads: 2], [{1, 3, 4}, nil], {1, 3, 4}},
    upsample: {[scale_factor: 2.0], [{1, 2, 2, 3}], {1, 4, 4, 3}}
  ]

  test "layers of every kind are made and called" do
    for {name, {options, operands, shape}} <- @shapes do
      layer = NN.layer(name, options)
      params = NN.init(layer, 0)

      operands =
        for operand <- operands do
          case operand do
            nil -> nil
            :key -> Nx.Random.key(1)
            {:s32, shape} -> Nx.remainder(Nx.iota(shape), 5)
            shape -> Nx.divide(Nx.iota(shape, type: :f32), 7)
          end
        end

      answer =
        case NN.call(layer, params, List.to_tuple(operands)) do
          {answer, %{} = params} when not is_struct(params) ->
            assert Map.keys(params) == Map.keys(NN.init(layer, 0))
            answer

          answer ->
            answer
        end

      assert {name, answer.shape} == {name, shape}
      assert answer |> Nx.is_nan() |> Nx.any() |> Nx.to_number() == 0, "#{name}"
    end

    {hidden, cell} =
      :lstm
      |> NN.layer(input_size: 2, hidden_size: 3)
      |> then(&NN.call(&1, NN.init(&1, 0), Nx.iota({1, 4, 2})))

    assert {hidden.shape, cell.shape} == {{1, 4, 3}, {1, 4, 3}}
  end

  test "every layer of mlx.nn is there" do
    names = Keyword.keys(NN.layers())
    assert length(names) >= 65
    assert Enum.reject(Keyword.keys(@shapes), &(&1 in names)) == []
    for activation <- [:relu, :gelu, :softmax, :glu], do: assert(activation in names)
  end
end
