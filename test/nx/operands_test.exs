defmodule Mlx.Backend.OperandsTest do
  # Operands of other backends, vectorized ones, and starts that are computed.
  use ExUnit.Case, async: true

  alias Mlx.Backend
  alias Mlx.Compare

  defp mlx(value), do: Nx.tensor(value, backend: Backend)
  defp binary(value), do: Nx.tensor(value, backend: Nx.BinaryBackend)

  describe "operands of Nx.BinaryBackend" do
    test "are taken beside those of Mlx.Backend, in every position" do
      [a, b] = [[1, 2, 3], [4, 5, 6]]

      for {left, right} <- [{mlx(a), binary(b)}, {binary(a), mlx(b)}] do
        for {result, expected} <- [
              {Nx.add(left, right), [5, 7, 9]},
              {Nx.concatenate([left, right]), [1, 2, 3, 4, 5, 6]},
              {Nx.stack([left, right, left]), [1, 2, 3, 4, 5, 6, 1, 2, 3]},
              {Nx.select(Nx.greater(left, 1), left, right), [4, 2, 3]},
              {Nx.dot(left, right), [32]},
              {Nx.clip(left, Nx.reduce_min(right), 9), [4, 4, 4]},
              {Nx.gather(left, Nx.tensor([[2], [0]])), [3, 1]},
              {Nx.put_slice(left, [1], right[0..1]), [1, 4, 5]},
              {Nx.indexed_add(left, Nx.tensor([[0]]), right[0..0]), [5, 2, 3]},
              {Nx.pad(left, right[0], [{1, 0, 0}]), [4, 1, 2, 3]}
            ] do
          assert Nx.to_flat_list(result) == expected
        end

        assert %Backend{} = Nx.add(left, right).data
        assert %Backend{} = Nx.stack([left, right]).data
      end
    end

    test "of every type" do
      for type <- Mlx.Dtype.all() do
        reference = Mlx.Inputs.matrix(type)
        sum = Nx.add(Nx.backend_copy(reference, Backend), reference)
        assert Nx.to_binary(sum) == Nx.to_binary(Nx.add(reference, reference))
      end
    end

    test "serve as starts and in blocks" do
      t = mlx([1, 2, 3, 4])
      assert Nx.to_flat_list(Nx.slice(t, [binary(2)], [2])) == [3, 4]
      assert Nx.to_flat_list(Nx.take(t, binary([3, 0]))) == [4, 1]
      assert Nx.to_number(Nx.all_close(binary([1, 2]), mlx([1, 2]))) == 1
    end

    test "and functions that make tensors on the default backend" do
      Nx.with_default_backend(Nx.BinaryBackend, fn ->
        assert Nx.to_number(
                 Nx.reduce(mlx([1, 2, 3]), 0, fn x, acc ->
                   Nx.add(Nx.add(x, acc), Nx.tensor(1))
                 end)
               ) == 9
      end)
    end
  end

  describe "vectorized tensors" do
    setup do
      {:ok, tensors: [Nx.iota({2, 3, 4}, type: :f32), Nx.iota({3, 2}, type: :f32)]}
    end

    defp assert_same(tensors, fun),
      do: Compare.assert_same(tensors, fn list -> apply(fun, list) end)

    test "element by element, alone and with others", %{tensors: [a, b]} do
      assert_same([a, b], fn a, b ->
        x = Nx.vectorize(a, :x)
        y = Nx.vectorize(b, :y)

        [
          Nx.exp(Nx.divide(x, 10)),
          Nx.add(x, 1),
          Nx.add(Nx.sum(x), y),
          Nx.multiply(Nx.vectorize(a, [:x, :y]), Nx.vectorize(Nx.transpose(b), :x) |> Nx.sum()),
          Nx.select(Nx.greater(x, 5), x, 0)
        ]
      end)
    end

    test "reductions, shapes, indexing", %{tensors: [a, _]} do
      assert_same([a], fn a ->
        x = Nx.vectorize(a, :x)

        [
          Nx.sum(x, axes: [0]),
          Nx.argmax(x, axis: 1),
          Nx.reshape(x, {4, 3}),
          Nx.transpose(x),
          Nx.sort(x, direction: :desc),
          Nx.cumulative_sum(x, axis: 1),
          Nx.take(x, Nx.tensor([2, 0])),
          Nx.slice(x, [1, 0], [2, 2]),
          Nx.dot(x, Nx.transpose(x)),
          Nx.reduce(x, 0.0, [axes: [1]], fn x, acc -> Nx.add(x, acc) end),
          Nx.window_sum(x, {2, 2}),
          Nx.concatenate([x, x], axis: 1)
        ]
      end)
    end

    test "devectorize, revectorize, broadcast", %{tensors: [a, b]} do
      assert_same([a, b], fn a, b ->
        x = Nx.vectorize(a, [:x, :y])

        [
          Nx.devectorize(x),
          Nx.devectorize(x, keep_names: false),
          Nx.revectorize(x, [z: 6], target_shape: {4}),
          Nx.broadcast_vectors([x, Nx.vectorize(b, :y)]),
          Nx.reshape_vectors([x, Nx.vectorize(b, :z)])
        ]
      end)
    end

    test "linear algebra" do
      matrix = Nx.add(Nx.iota({2, 3, 3}, type: :f64), Nx.multiply(Nx.eye(3), 10))

      assert_same([matrix], fn m ->
        x = Nx.vectorize(m, :x)

        [
          Nx.LinAlg.determinant(x),
          Nx.LinAlg.solve(x, Nx.tensor([1.0, 2.0, 3.0])),
          Nx.LinAlg.invert(x)
        ]
      end)
    end
  end

  describe "starts that are computed" do
    test "slice and put_slice where they say, clamped to the tensor" do
      reference = Nx.iota({4, 5})

      for row <- [-7, 0, 1, 3, 9],
          column <- [-1, 0, 2, 100],
          type <- [{:s, 64}, {:s, 32}, {:s, 8}] do
        Compare.assert_same([reference], fn [t] ->
          row = Nx.add(Nx.tensor(row, type: type), 0)
          column = Nx.tensor(column, type: type)

          [
            Nx.slice(t, [row, column], [2, 3]),
            Nx.slice(t, [row, 1], [1, 2]),
            Nx.slice(t, [0, column], [2, 3], strides: [1, 2]),
            Nx.put_slice(t, [row, column], Nx.tensor([[100, 101]])),
            Nx.put_slice(t, [2, column], Nx.tensor([[100], [101]]))
          ]
        end)
      end
    end

    test "unsigned ones of every width" do
      for bits <- [8, 16, 32, 64] do
        t = mlx([1, 2, 3, 4])
        start = Nx.tensor(2, type: {:u, bits}, backend: Backend)
        assert Nx.to_flat_list(Nx.slice(t, [start], [2])) == [3, 4]
        most = Nx.tensor(2 ** bits - 1, type: {:u, bits}, backend: Backend)
        assert Nx.to_flat_list(Nx.slice(t, [most], [2])) == [3, 4]
      end
    end
  end

  describe "special values" do
    # Where Nx.BinaryBackend has no answer; IEEE 754 has.
    test "follow IEEE 754" do
      for type <- Mlx.Inputs.types(:float) do
        one = fn value -> Nx.tensor([value], type: type, backend: Backend) end

        for {result, expected} <- [
              {Nx.divide(one.(1), one.(0)), :infinity},
              {Nx.divide(one.(-1), one.(0)), :neg_infinity},
              {Nx.divide(one.(0), one.(0)), :nan},
              {Nx.log(one.(0)), :neg_infinity},
              {Nx.log(one.(-1)), :nan},
              {Nx.sqrt(one.(-1)), :nan},
              {Nx.rsqrt(one.(0)), :infinity},
              {Nx.tanh(one.(:infinity)), 1.0},
              {Nx.exp(one.(:neg_infinity)), 0.0},
              {Nx.atanh(one.(1)), :infinity},
              {Nx.acos(one.(2)), :nan},
              {Nx.remainder(one.(1), one.(0)), :nan},
              {Nx.floor(one.(:infinity)), :infinity},
              {Nx.round(one.(:nan)), :nan},
              {Nx.max(one.(:nan), one.(1)), :nan}
            ] do
          assert Nx.to_flat_list(result) == [expected]
        end
      end
    end

    test "of integers are defined" do
      for type <- Mlx.Inputs.types(:integer) do
        zero = Nx.tensor([0], type: type, backend: Backend) |> Nx.multiply(1)
        seven = Nx.tensor([7], type: type, backend: Backend)
        # Nobody knows the divisor when the graph is built.
        assert [quotient] = Nx.to_flat_list(Nx.quotient(seven, zero))
        assert is_integer(quotient)
        assert [7] = Nx.to_flat_list(Nx.remainder(seven, zero))
      end
    end
  end
end
