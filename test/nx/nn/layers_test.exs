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

    assert_raise ArgumentError, ~r/weight/, fn -> NN.call(@linear, %{"bias" => bias}, x) end

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
  end
end
