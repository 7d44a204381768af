defmodule Mlx.NN.ActivationsTest do
  use ExUnit.Case, async: true

  import Nx.Defn

  doctest Mlx.NN

  # A function of two places, one of which asks for options.
  defn(gated(x), do: Mlx.NN.elu(x, alpha: 2.0) * Mlx.NN.sigmoid(x))

  defn(slope(x), do: grad(x, fn x -> x |> gated() |> Nx.sum() end))

  defp numbers, do: Nx.tensor([-2.0, -0.5, 0.0, 1.5])

  defp expected(x) do
    for x <- x, do: if(x > 0, do: x, else: 2 * (:math.exp(x) - 1)) / (1 + :math.exp(-x))
  end

  defp assert_near(tensor, list) do
    for {a, b} <- Enum.zip(Nx.to_flat_list(tensor), list), do: assert_in_delta(a, b, 1.0e-5)
    assert Nx.size(tensor) == length(list)
  end

  describe "in defn" do
    test "functions work under any compiler, on tensors of any backend" do
      wanted = expected(Nx.to_list(numbers()))

      for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator],
          backend <- [Mlx.Backend, Nx.BinaryBackend] do
        x = Nx.backend_copy(numbers(), backend)
        assert_near(Nx.Defn.jit(&gated/1, compiler: compiler).(x), wanted)
      end
    end

    test "Nx.Defn.grad and Mlx.grad go through" do
      slopes = Nx.Defn.jit(&slope/1, compiler: Nx.Defn.Evaluator).(numbers())
      assert_near(Mlx.grad(fn x -> x |> gated() |> Nx.sum() end).(numbers()), Nx.to_list(slopes))
    end
  end

  describe "outside of defn" do
    test "tensors of other backends are taken, and numbers" do
      x = Nx.backend_copy(numbers(), Nx.BinaryBackend)
      assert Nx.to_list(Mlx.NN.relu(x)) == [0.0, 0.0, 0.0, 1.5]
      assert Nx.to_number(Mlx.NN.relu(-3)) == 0
    end

    test "names stay where the shape does" do
      x = Nx.iota({2, 4}, names: [:row, :column], type: :f32)
      assert Mlx.NN.softmax(x).names == [:row, :column]
      assert Mlx.NN.glu(x).names == [nil, nil]
    end

    test "vectorized axes are mapped over" do
      x = Nx.vectorize(Nx.tensor([[0.0, 0.0], [3.0, 0.0]]), :example)
      answer = Mlx.NN.glu(x)
      assert answer.vectorized_axes == [example: 2]
      assert answer |> Nx.devectorize() |> Nx.to_list() == [[0.0], [1.5]]

      slopes = Nx.vectorize(Nx.tensor([0.5, 0.25]), :channel)
      answer = Mlx.NN.prelu(Nx.negate(x), slopes)
      assert answer.vectorized_axes == [example: 2, channel: 2]

      assert answer |> Nx.devectorize() |> Nx.to_list() ==
               [[[0.0, 0.0], [0.0, 0.0]], [[-1.5, 0.0], [-0.75, 0.0]]]
    end

    test "a call of the same types is compiled once" do
      call = {:function, :activation, :mish, [true], []}
      program = Mlx.NN.Callable.program(call, [{{:f, 32}, {5}}])
      assert Mlx.NN.Callable.program(call, [{{:f, 32}, {5}}]) == program
      assert Mlx.NN.Callable.program(call, [{{:f, 32}, {6}}]) != program
    end
  end

  test "what a function does not take is refused" do
    assert_raise ArgumentError,
                 ~r/\[elu\] expected no options but :alpha, got: \[beta: 1\]/,
                 fn ->
                   Mlx.NN.elu(1.0, beta: 1)
                 end

    assert_raise ArgumentError, ~r/\[elu\] alpha: expected a number, got much/, fn ->
      Mlx.NN.elu(1.0, alpha: :much)
    end

    assert_raise ArgumentError, ~r/\[glu\] axis -1 of f32\[3\] can't be halved/, fn ->
      Mlx.NN.glu(Nx.tensor([1.0, 2.0, 3.0]))
    end

    assert_raise ArgumentError, fn -> Mlx.NN.softmax(Nx.tensor([1.0]), axis: 1) end
  end

  test "every activation function of the core is there" do
    rows = for {"activation", name, _, _, _} <- Mlx.NIF.nn_rows(), do: name
    assert length(rows) >= 27
    names = Mlx.NN.__info__(:functions) |> Keyword.keys() |> MapSet.new(&Atom.to_string/1)
    assert Enum.reject(rows, &(&1 in names)) == []
  end
end
