defmodule Mlx.Axon.QuantizeTest do
  use ExUnit.Case, async: true

  import Mlx.AxonModels

  defp model do
    Axon.input("ids", shape: {nil, 3})
    |> Axon.embedding(10, 64, name: "table", kernel_initializer: :normal)
    |> Axon.dense(128, name: "hidden", activation: :relu, use_bias: false)
    |> Axon.dense(64, bias_initializer: :normal)
    |> Axon.dense(5, name: "head")
    |> Axon.dense(2, name: "odd")
  end

  @ids Nx.tensor([[0, 9, 3], [2, 2, 1]])

  # The state with the matrices that the words stand for, which the first model takes.
  defp unpacked(packed, kernels, options) do
    data =
      Map.new(packed.data, fn
        {name, %{"weight" => words, "scales" => scales} = layer} ->
          biases = if layer["biases"], do: [biases: layer["biases"]], else: []
          rows = Mlx.Fast.dequantize(words, scales, [dtype: {:f, 32}] ++ biases ++ options)
          kernel = if kernels == :rows or name == "table", do: rows, else: Nx.transpose(rows)
          {name, layer |> Map.drop(["weight", "scales", "biases"]) |> Map.put("kernel", kernel)}

        layer ->
          layer
      end)

    Axon.ModelState.new(data)
  end

  test "answers are those of the matrices that the words stand for, in every mode" do
    state = init(model(), @ids)

    for options <- [
          [],
          [bits: 8, group_size: 32],
          [mode: "mxfp4"],
          [mode: "mxfp8"],
          [mode: "nvfp4"]
        ],
        compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      {small, packed} = Mlx.Axon.quantize(model(), state, options)
      assert packed.data["table"]["weight"].type == {:u, 32}
      assert Map.has_key?(packed.data["table"], "biases") == (options[:mode] == nil)
      assert Map.keys(packed.data["odd"]) == ["bias", "kernel"]
      got = Axon.predict(small, packed, @ids, compiler: compiler)
      assert near?(got, Axon.predict(model(), unpacked(packed, :columns, options), @ids), 1.0e-3)
    end

    {small, packed} = Mlx.Axon.quantize(model(), state)
    assert %{"fast:quantized_dot" => 3, "fast:dequantize" => 1} = ops(small, packed, @ids)
  end

  test "the state tells what is frozen, and what the model draws has its form" do
    {small, packed} =
      Mlx.Axon.quantize(
        model(),
        Axon.ModelState.freeze(init(model(), @ids), &(&1 == ["odd", "bias"]))
      )

    matrix = ["weight", "scales", "biases"]

    assert packed.frozen_parameters == %{
             "table" => matrix,
             "hidden" => matrix,
             "dense_1" => matrix,
             "head" => matrix,
             "odd" => ["bias"]
           }

    assert %{"dense_1" => %{"bias" => _} = only, "odd" => %{"kernel" => _}} =
             trainable = Axon.ModelState.trainable_parameters(packed)

    assert map_size(only) == 1 and Map.keys(trainable["odd"]) == ["kernel"]
    assert inspect(packed) =~ "Trainable Parameters"

    drawn = init(small, @ids)

    types =
      &Map.new(Mlx.NN.Parameters.flatten(&1.data), fn {name, t} -> {name, {t.type, t.shape}} end)

    assert types.(drawn) == types.(packed)
    assert Enum.sort(drawn.frozen_parameters["hidden"]) == Enum.sort(matrix)

    # An initial state stands in place of what is drawn.
    {init_fn, _} = Axon.build(small)
    assert near?(init_fn.(@ids, packed).data, packed.data, 0.0)
  end

  test "layers are chosen by name" do
    state = init(model(), @ids)
    {_, packed} = Mlx.Axon.quantize(model(), state, only: ["hidden"])
    assert for({name, %{"weight" => _}} <- packed.data, do: name) == ["hidden"]
    {_, packed} = Mlx.Axon.quantize(model(), state, only: &String.starts_with?(&1, "dense"))
    assert for({name, %{"weight" => _}} <- packed.data, do: name) == ["dense_1"]

    assert_raise ArgumentError,
                 ~r/\[quantize\] expected a function or names among .*"hidden"/,
                 fn ->
                   Mlx.Axon.quantize(model(), state, only: ["relu_0"])
                 end
  end

  test "layers of one name share their matrix, or stay as they are" do
    x = Axon.input("x", shape: {nil, 64})
    twice = x |> Axon.dense(64, name: "same") |> Axon.dense(64, name: "same")
    state = init(twice, Nx.template({1, 64}, :f32))
    {small, packed} = Mlx.Axon.quantize(twice, state, bits: 8)
    assert Map.has_key?(packed.data["same"], "weight")
    x = normal(1, {2, 64})

    assert near?(
             Axon.predict(small, packed, x),
             Axon.predict(twice, unpacked(packed, :columns, bits: 8), x),
             1.0e-3
           )

    ids = Axon.input("ids", shape: {nil, 64})

    tied =
      Axon.add(
        Axon.embedding(ids, 64, 64, name: "same"),
        Axon.dense(ids, 64, name: "same", use_bias: false)
      )

    state = init(tied, Nx.template({64, 64}, :s32))
    assert {_, ^state} = Mlx.Axon.quantize(tied, state)
  end

  test "types are those of the operands and the matrix" do
    model = Axon.input("x", shape: {nil, 64}) |> Axon.dense(32)
    state = init(model, Nx.template({1, 64}, :f32))

    half = %{
      state
      | data:
          Mlx.NN.Parameters.rebuild(
            state.data,
            for({_, t} <- Mlx.NN.Parameters.flatten(state.data), do: Nx.as_type(t, :bf16))
          )
    }

    for {state, type} <- [{state, :f32}, {half, :bf16}], given <- [:s32, :bf16, :f32] do
      {small, packed} = Mlx.Axon.quantize(model, state)
      x = Nx.iota({2, 64}, type: given)

      assert Axon.predict(small, packed, x).type == Axon.predict(model, state, x).type,
             "#{type} #{given}"
    end

    # Scales without a type of their own.
    {small, packed} = Mlx.Axon.quantize(model, state, mode: "mxfp4")
    assert Axon.predict(small, packed, Nx.iota({2, 64})).type == {:f, 32}
    table = Axon.input("ids", shape: {nil}) |> Axon.embedding(4, 32)
    {small, packed} = Mlx.Axon.quantize(table, init(table, Nx.tensor([1])), mode: "mxfp4")
    assert Axon.predict(small, packed, Nx.tensor([1])).type == {:f, 32}

    policy =
      Axon.MixedPrecision.create_policy(params: {:bf, 16}, compute: {:bf, 16}, output: {:f, 32})

    {small, packed} = Mlx.Axon.quantize(model, half)
    small = Axon.MixedPrecision.apply_policy(small, policy)
    assert Axon.predict(small, packed, normal(1, {2, 64})).type == {:f, 32}
    assert init(small, Nx.template({1, 64}, :f32)).data["dense_0"]["weight"].type == {:u, 32}
  end

  test "Bumblebee's transposed layers, and models that were optimized" do
    model =
      Axon.input("x", shape: {nil, 64})
      |> Axon.layer_norm(name: "norm", gamma_initializer: :ones)
      |> Bumblebee.Layers.dense_transposed(5)

    x = normal(1, {2, 64})
    state = init(model, x)

    for quantize <- [
          &Mlx.Axon.quantize(Mlx.Axon.optimize(&1), &2, bits: 8),
          fn model, state ->
            {small, packed} = Mlx.Axon.quantize(model, state, bits: 8)
            {Mlx.Axon.optimize(small), packed}
          end
        ] do
      {small, packed} = quantize.(model, state)
      assert packed.data["head"]["weight"].shape == {5, 16}

      assert near?(
               Axon.predict(small, packed, x),
               Axon.predict(model, unpacked(packed, :rows, bits: 8), x),
               1.0e-3
             )

      assert ops(small, packed, x) == %{"fast:layer_norm" => 1, "fast:quantized_dot" => 1}
    end
  end

  test "what is no option, state or mode is refused" do
    state = init(model(), @ids)

    assert_raise ArgumentError, ~r/no options but/, fn ->
      Mlx.Axon.quantize(model(), state, size: 3)
    end

    assert_raise ArgumentError, ~r/a state of the model/, fn ->
      Mlx.Axon.quantize(model(), %{})
    end

    assert_raise ArgumentError, ~r/a model of Axon/, fn -> Mlx.Axon.quantize(state, state) end
    assert_raise ArgumentError, fn -> Mlx.Axon.quantize(model(), state, mode: "mxfp5") end
    assert_raise ArgumentError, fn -> Mlx.Axon.quantize(model(), state, group_size: 48) end
    assert_raise ArgumentError, fn -> Mlx.Axon.quantize(model(), state, bits: 7) end
  end
end
