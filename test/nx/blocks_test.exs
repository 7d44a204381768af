defmodule Mlx.Backend.BlocksTest do
  use ExUnit.Case, async: true

  alias Mlx.{Compare, Inputs}
  alias Nx.Block

  @structs [
    Block.LogicalNot,
    Block.Phase,
    Block.LinAlg.Cholesky,
    Block.LinAlg.Solve,
    Block.LinAlg.QR,
    Block.LinAlg.Eigh,
    Block.LinAlg.SVD,
    Block.LinAlg.LU,
    Block.LinAlg.Determinant,
    Block.AllClose,
    Block.CumulativeSum,
    Block.CumulativeProduct,
    Block.CumulativeMin,
    Block.CumulativeMax,
    Block.Take,
    Block.TakeAlongAxis,
    Block.TopK,
    Block.FFT2,
    Block.IFFT2,
    Block.RFFT,
    Block.IRFFT
  ]

  test "all structs of Nx.Block are ops of the registry" do
    {:ok, modules} = :application.get_key(:nx, :modules)

    of_nx =
      for module <- modules, match?(["Nx", "Block", _ | _], Module.split(module)), do: module

    assert Enum.sort(of_nx) == Enum.sort(@structs)

    for module <- @structs do
      assert {name, attributes} = Mlx.Op.block(struct(module))
      assert "#{name}" in Mlx.NIF.op_names()
      assert Keyword.keys(attributes) -- Map.keys(struct(module)) == []
    end
  end

  test "the default function of a struct that the registry has is not called" do
    tensor = Nx.tensor([1, 0, 2], backend: Mlx.Backend)
    out = Nx.template({3}, {:u, 8})
    result = Nx.block(%Block.LogicalNot{}, [tensor], out, fn _, _ -> flunk("it is called") end)
    assert Nx.to_flat_list(result) == [0, 1, 0]
  end

  describe "values of the reference" do
    # The function on operands (names of inputs) of every type of a kind.
    defp same(kind, operands, fun) do
      for type <- Inputs.types(kind) do
        tensors = Enum.map(operands, &input(&1, type))
        Compare.assert_same(tensors, &apply(fun, &1), tolerance: tolerance(type))
      end
    end

    test "logical_not", do: same(:real, [:plain], &Nx.logical_not/1)
    test "phase", do: same(:no_c128, [:plain], &Nx.phase/1)
    test "determinant", do: same(:all, [:definite], &Nx.LinAlg.determinant/1)
    test "cholesky", do: same(:real, [:definite], &Nx.LinAlg.cholesky/1)

    test "solve" do
      same(:all, [:definite, :definite], fn a, b ->
        {Nx.LinAlg.solve(a, b), Nx.LinAlg.solve(a, b[0])}
      end)
    end

    test "all_close" do
      same(:all, [:plain, :plain], fn a, b ->
        {Nx.all_close(a, b), Nx.all_close(a, Nx.add(b, 1), atol: 1.5), Nx.all_close(a, 0)}
      end)
    end

    test "cumulative_sum", do: same(:all, [:cube], &cumulative(:cumulative_sum, &1))
    test "cumulative_product", do: same(:all, [:small_cube], &cumulative(:cumulative_product, &1))
    test "cumulative_min", do: same(:real, [:cube], &cumulative(:cumulative_min, &1))
    test "cumulative_max", do: same(:real, [:cube], &cumulative(:cumulative_max, &1))

    test "take" do
      same(:all, [:matrix], fn t ->
        {Nx.take(t, Nx.tensor([1, 0, 1])), Nx.take(t, Nx.tensor([[3, 0]], type: :u8), axis: -1)}
      end)
    end

    test "take_along_axis" do
      same(:all, [:matrix], fn t ->
        {Nx.take_along_axis(t, Nx.tensor([[1, 0, 1, 0]]), axis: 0),
         Nx.take_along_axis(t, Nx.tensor([[3, 0], [1, 1]], type: :s64), axis: 1)}
      end)
    end

    test "top_k", do: same(:real, [:no_ties], &{Nx.top_k(&1), Nx.top_k(&1, k: 3)})

    test "fft2 and ifft2" do
      same(:no_c128, [:cube], fn t ->
        for way <- [[], [lengths: [3, 2]], [axes: [-1, -2]]],
            do: {Nx.fft2(t, way), Nx.ifft2(t, way)}
      end)
    end

    test "rfft" do
      same(:real_without_f64, [:matrix], fn t ->
        for way <- [[], [length: 6], [axis: 0]], do: Nx.rfft(t, way)
      end)
    end

    test "fft along the first of three axes, where the reference mixes up the others" do
      tensor = Nx.backend_copy(Inputs.cube({:f, 32}), Mlx.Backend)

      by_hand =
        tensor |> Nx.transpose(axes: [1, 2, 0]) |> Nx.fft() |> Nx.transpose(axes: [2, 0, 1])

      assert Nx.to_binary(Nx.fft(tensor, axis: 0)) == Nx.to_binary(by_hand)
      both = Nx.fft2(tensor, axes: [0, 2])
      assert Nx.to_binary(both) == Nx.to_binary(Nx.fft(by_hand))
    end

    # The reference answers f32 where Nx asks for 16 bits.
    test "irfft" do
      same(:wide, [:matrix], fn t ->
        for way <- [[], [length: 5], [length: 4]], do: Nx.irfft(t, way)
      end)
    end

    defp cumulative(name, tensor) do
      for way <- [[], [axis: 1], [axis: -1, reverse: true]], do: apply(Nx, name, [tensor, way])
    end

    defp input(:small_cube, type), do: Nx.reshape(Inputs.small(type), {2, 2, 2})
    # No ties: their order is the backend's.
    defp input(:no_ties, type), do: Inputs.tensor([[5, 1, 7, 0], [3, 4, 6, 2]], type)
    defp input(name, type), do: apply(Inputs, name, [type])

    # The reference solves in its own order.
    defp tolerance({_, 16}), do: 4.0e-2
    defp tolerance({:f, 64}), do: 1.0e-9
    defp tolerance(_), do: 2.0e-5
  end

  describe "decompositions, whose vectors have several answers" do
    setup do
      {:ok, key: Nx.backend_copy(Nx.Random.key(7), Mlx.Backend)}
    end

    # Matrices of a type, also many at once.
    defp matrices(key, shape, type) do
      {tensor, _} = Nx.Random.uniform(key, -1.0, 1.0, shape: shape, type: type)
      tensor
    end

    defp assert_close(a, b, type) do
      tolerance = if type == {:f, 64}, do: 1.0e-10, else: 2.0e-5

      assert Nx.to_number(Nx.all_close(a, b, atol: tolerance, rtol: tolerance)) == 1,
             "#{inspect(a)}\n#{inspect(b)}"
    end

    defp product(a, b), do: Nx.dot(a, [-1], batch(a), b, [-2], batch(b))
    defp batch(tensor), do: Enum.to_list(0..(Nx.rank(tensor) - 3)//1)

    defp transpose(tensor) do
      rank = Nx.rank(tensor)
      Nx.transpose(tensor, axes: batch(tensor) ++ [rank - 1, rank - 2])
    end

    defp identity_like(tensor), do: Nx.eye(Nx.shape(tensor), type: tensor.type)

    test "qr", %{key: key} do
      for type <- [{:f, 32}, {:f, 64}],
          shape <- [{3, 3}, {5, 2}, {2, 4, 3}],
          mode <- [:reduced, :complete] do
        a = matrices(key, shape, type)
        {q, r} = Nx.LinAlg.qr(a, mode: mode)
        assert_close(product(q, r), a, type)
        qtq = product(transpose(q), q)
        assert_close(qtq, identity_like(qtq), type)
        assert_close(Nx.triu(r), r, type)
      end
    end

    test "lu", %{key: key} do
      for type <- [{:f, 32}, {:f, 64}], shape <- [{3, 3}, {2, 4, 4}] do
        a = matrices(key, shape, type)
        {p, l, u} = Nx.LinAlg.lu(a)
        assert_close(product(product(p, l), u), a, type)
        assert_close(Nx.tril(l), l, type)
        assert_close(Nx.triu(u), u, type)
        ptp = product(transpose(p), p)
        assert_close(ptp, identity_like(ptp), type)
      end
    end

    test "eigh", %{key: key} do
      for type <- [{:f, 32}, {:f, 64}], shape <- [{3, 3}, {2, 4, 4}] do
        a = matrices(key, shape, type)
        a = Nx.add(a, transpose(a))
        {values, vectors} = Nx.LinAlg.eigh(a)
        assert_close(product(a, vectors), Nx.multiply(vectors, Nx.new_axis(values, -2)), type)
        vtv = product(transpose(vectors), vectors)
        assert_close(vtv, identity_like(vtv), type)
        magnitudes = Nx.abs(values)
        assert_close(Nx.sort(magnitudes, axis: -1, direction: :desc), magnitudes, type)
      end
    end

    test "svd", %{key: key} do
      for type <- [{:f, 32}, {:f, 64}],
          shape <- [{3, 3}, {5, 2}, {2, 3, 4}],
          full? <- [true, false] do
        a = matrices(key, shape, type)
        {u, s, vt} = Nx.LinAlg.svd(a, full_matrices?: full?)
        k = Nx.axis_size(s, -1)
        us = Nx.multiply(Nx.slice_along_axis(u, 0, k, axis: -1), Nx.new_axis(s, -2))
        assert_close(product(us, Nx.slice_along_axis(vt, 0, k, axis: -2)), a, type)
        utu = product(transpose(u), u)
        assert_close(utu, identity_like(utu), type)
        assert_close(Nx.sort(s, axis: -1, direction: :desc), s, type)
      end
    end
  end

  describe "a struct of the user's own" do
    defmodule Scale do
      defstruct by: 1
    end

    # Written against the default backend on purpose.
    defp scale(tensor, by) do
      Nx.block(%Scale{by: by}, [tensor], tensor, fn %Scale{by: by}, tensor ->
        send(self(), {:backend, Nx.default_backend()})
        Nx.multiply(tensor, Nx.tensor(by))
      end)
    end

    test "runs its function, whose constants are on this backend" do
      Nx.with_default_backend(Nx.BinaryBackend, fn ->
        result = scale(Nx.tensor([1, 2], backend: Mlx.Backend), 3)
        assert %Mlx.Backend{} = result.data
        assert Nx.to_flat_list(result) == [3, 6]
        assert_received {:backend, {Mlx.Backend, []}}
        assert Nx.default_backend() == {Nx.BinaryBackend, []}
      end)
    end

    test "keeps the device" do
      result = scale(Nx.tensor([1, 2], backend: {Mlx.Backend, device: :cpu}), 3)
      assert result.data.device == :cpu
      assert_received {:backend, {Mlx.Backend, device: :cpu}}
    end

    test "raises what its function raises, and the default backend is back" do
      before = Nx.default_backend()
      tensor = Nx.tensor([1, 2], backend: Mlx.Backend)

      assert_raise RuntimeError, "no", fn ->
        Nx.block(%Scale{}, [tensor], tensor, fn _, _ -> raise "no" end)
      end

      assert Nx.default_backend() == before
    end

    test "takes containers and options as arguments, and answers tuples" do
      tensor = Nx.tensor([1, 2], backend: Mlx.Backend)

      {a, b} =
        Nx.block(%Scale{by: 2}, [tensor, [extra: 5]], {tensor, tensor}, fn %{by: by},
                                                                           t,
                                                                           options ->
          {Nx.multiply(t, by), Nx.add(t, options[:extra])}
        end)

      assert {Nx.to_flat_list(a), Nx.to_flat_list(b)} == {[2, 4], [6, 7]}
    end
  end
end
