defmodule Mlx.Backend.ErrorsTest do
  use ExUnit.Case, async: true

  setup do
    Nx.default_backend(Mlx.Backend)
    :ok
  end

  @lacking [{:c, 128}, {:f, 8}, {:f8_e4m3fn, 8}, {:s, 2}, {:s, 4}, {:u, 2}, {:u, 4}]

  defp name({:f8_e4m3fn, _}), do: "f8_e4m3fn"
  defp name({family, bits}), do: "#{family}#{bits}"

  test "types that MLX lacks raise and are named, wherever they come from" do
    for type <- @lacking do
      reference = Nx.tensor([1, 1], type: type, backend: Nx.BinaryBackend)
      tensor = Nx.tensor([1, 1])

      for use <- [
            fn -> Nx.tensor([1, 1], type: type) end,
            fn -> Nx.tensor(1, type: type) end,
            fn -> Nx.iota({2}, type: type) end,
            fn -> Nx.eye(2, type: type) end,
            fn -> Nx.as_type(tensor, type) end,
            fn -> Nx.backend_copy(reference, Mlx.Backend) end,
            fn -> Nx.backend_transfer(reference, Mlx.Backend) end,
            fn -> Nx.concatenate([tensor, reference]) end
          ] do
        error = assert_raise Mlx.UnsupportedError, use
        assert error.message == "[type] MLX has no type #{name(type)} on any device"
      end
    end
  end

  test "ops whose result would be c128 raise" do
    f64 = Nx.tensor([1.0, 2.0], type: :f64)
    c64 = Nx.tensor([Complex.new(1, 2), Complex.new(3, 4)])

    for use <- [
          fn -> Nx.fft(f64) end,
          fn -> Nx.conjugate(f64) end,
          fn -> Nx.add(f64, c64) end,
          fn -> Nx.complex(f64, f64) end
        ] do
      assert_raise Mlx.UnsupportedError, ~r/no type c128/, use
    end
  end

  test "numbers that do not fit their type wrap, as Nx has them" do
    assert Nx.to_number(Nx.tensor(300, type: :u8)) == 44
    assert Nx.to_number(Nx.tensor(-1, type: :u64)) == 0xFFFFFFFFFFFFFFFF
  end

  test "what Nx refuses before the backend sees it" do
    t = Nx.tensor([[1, 2], [3, 4]])

    for use <- [
          fn -> Nx.add(t, Nx.tensor([1, 2, 3])) end,
          fn -> Nx.reshape(t, {3}) end,
          fn -> Nx.dot(t, Nx.tensor([1, 2, 3])) end,
          fn -> Nx.sum(t, axes: [2]) end,
          fn -> Nx.concatenate([t, Nx.tensor([1])]) end,
          fn -> Nx.LinAlg.cholesky(Nx.iota({2, 3})) end
        ] do
      assert_raise ArgumentError, use
    end
  end

  test "an index out of bounds that is known raises Nx's text, and an unknown one is clamped" do
    t = Nx.tensor([1, 2, 3])

    assert_raise ArgumentError, "index 3 is out of bounds for axis 0 in shape {3}", fn ->
      Nx.gather(t, Nx.tensor([[3]]))
    end

    for use <- [
          fn -> Nx.take(t, Nx.tensor([7])) end,
          fn -> Nx.take_along_axis(t, Nx.tensor([7]), axis: 0) end,
          fn -> Nx.indexed_add(t, Nx.tensor([[7]]), Nx.tensor([1])) end,
          fn -> Nx.indexed_put(t, Nx.tensor([[7]]), Nx.tensor([1])) end
        ] do
      assert_raise ArgumentError, ~r/index 7 is out of bounds/, use
    end

    # The largest of too many numbers to be computed at once.
    unknown = Nx.reduce_max(Nx.iota({5000, 1}), axes: [0])
    assert Nx.to_flat_list(Nx.take(t, unknown)) == [3]
  end

  test "singular systems raise where that is known" do
    singular = Nx.tensor([[1.0, 0.0], [2.0, 0.0]])

    assert_raise ArgumentError, ~r/singular/, fn ->
      Nx.LinAlg.triangular_solve(singular, Nx.tensor([1.0, 2.0]))
    end
  end

  test "tensors too large for the machine are refused when they are built" do
    for use <- [
          fn -> Nx.iota({1_000_000, 1_000_000}) end,
          fn -> Nx.outer(Nx.iota({2_000_000}), Nx.iota({2_000_000})) end
        ] do
      error = assert_raise Mlx.Error, use
      assert error.message =~ "exceeds the memory limit"
    end

    for use <- [
          fn -> Nx.iota({3_000_000_000}) end,
          fn -> Nx.broadcast(1, {3_000_000_000}) end,
          fn -> Nx.reshape(Nx.broadcast(1, {50_000, 60_000}), {3_000_000_000}) end
        ] do
      assert_raise Mlx.UnsupportedError, ~r/axis 0 of s32\[3000000000\] is too long/, use
    end

    assert Nx.to_number(Nx.sum(Nx.iota({10}))) == 45
  end

  test "every error is one of four kinds, and its text begins with the op" do
    for {module, text} <- [
          {ArgumentError, "[op] expected the name of an op, got no_op"},
          {Mlx.UnsupportedError, "[type] MLX has no type f8 on any device"}
        ] do
      use = fn ->
        if module == ArgumentError,
          do: Mlx.NIF.op(:no_op, [], [], {{:f, 32}, {}}, nil),
          else: Nx.tensor(1, type: {:f, 8})
      end

      assert_raise module, text, use
    end

    for module <- [Mlx.Error, Mlx.UnsupportedError, Mlx.FormatError] do
      assert Exception.message(struct(module, message: "[op] text")) == "[op] text"
    end
  end
end
