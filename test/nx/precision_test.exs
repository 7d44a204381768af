defmodule Mlx.PrecisionTest do
  # What f32 and half floats round, at once and in compiled functions.
  use ExUnit.Case, async: true

  alias Mlx.Backend

  defp mlx(value, opts \\ []), do: Nx.tensor(value, [backend: Backend] ++ opts)

  defp constants(value, count) do
    binary = :binary.copy(<<value::float-32-native>>, count)
    Nx.from_binary(binary, :f32, backend: Backend)
  end

  # Applies a function by the backend and as a program.
  defp both_ways(args, fun) do
    compiled = Nx.Defn.jit(fun, compiler: Mlx.Compiler)
    for apply_to <- [&apply(fun, &1), &apply(compiled, &1)], do: apply_to.(args)
  end

  defp assert_near(result, expected) do
    assert_in_delta Nx.to_number(result), expected, 2.0e-6 * expected
  end

  test "long dot products, sums and means keep their digits" do
    count = 1_000_000
    tenths = constants(0.1, count)
    ones = constants(1.0, count)

    for result <- both_ways([tenths, ones], &Nx.dot/2), do: assert_near(result, 0.1 * count)
    for result <- both_ways([tenths], &Nx.sum/1), do: assert_near(result, 0.1 * count)
    for result <- both_ways([tenths], &Nx.LinAlg.norm/1), do: assert_near(result, 100.0)

    for result <- both_ways([constants(0.6, 100_000)], &Nx.mean/1),
        do: assert_near(result, 0.6)
  end

  test "variance and standard deviation of a million values that differ by one" do
    values = :binary.copy(<<10_000.0::float-32-native, 10_001.0::float-32-native>>, 500_000)

    for shape <- [{1_000_000}, {1000, 1000}] do
      t = values |> Nx.from_binary(:f32, backend: Backend) |> Nx.reshape(shape)
      for result <- both_ways([t], &Nx.variance/1), do: assert_near(result, 0.25)
      for result <- both_ways([t], &Nx.standard_deviation/1), do: assert_near(result, 0.5)
    end
  end

  test "integers that are too large for a half float count in full" do
    large = mlx(100_000)

    for {type, value} <- [{:f16, 49984.0}, {:bf16, 49920.0}] do
      half = mlx(0.5, type: type)

      for result <- both_ways([large, half], &Nx.multiply/2),
          do: assert(Nx.to_number(result) == value)

      two = mlx(2.0, type: type)

      for result <- both_ways([large, two], &Nx.divide/2),
          do: assert(Nx.to_number(result) == value)
    end

    infinite = mlx(:infinity, type: :f16)

    for result <- both_ways([mlx(-2_147_483_648), infinite], &Nx.add/2),
        do: assert(Nx.to_number(result) == :infinity)
  end

  # Each lies just beyond the middle of two half floats, and on it as an f32.
  test "casts of doubles to half floats round once" do
    for {type, values, expected} <- [
          {:f16, [1.00048828126, 0.99975585937, 65519.999],
           [1.0009765625, 0.99951171875, 65504.0]},
          {:bf16, [1.00390626, -1.00390626], [1.0078125, -1.0078125]}
        ],
        result <- both_ways([mlx(values, type: :f64)], &Nx.as_type(&1, type)) do
      assert Nx.to_flat_list(result) == expected
    end
  end

  test "casts of floats to integers keep the low bits of any size" do
    values = [-1.0e20, 1.0e20, 3.0e38, 1.8446744073709556e19, 2.5, -2.5, :nan, :infinity]

    for from <- [:f64, :f32, :bf16], to <- [:s64, :u64, :s32, :u8] do
      t = Nx.tensor(values, type: from, backend: Nx.BinaryBackend)
      expected = t |> Nx.as_type(to) |> Nx.to_flat_list()

      for result <- both_ways([Nx.backend_copy(t, Backend)], &Nx.as_type(&1, to)),
          do: assert(Nx.to_flat_list(result) == expected, inspect({from, to}))
    end
  end

  test "a semidefinite matrix has no negative eigenvalues" do
    fun = fn r -> r |> Nx.outer(r) |> Nx.multiply(0.25) |> Nx.LinAlg.eigh() |> elem(0) end

    for values <- both_ways([mlx([1.0, -1.0, 0.5, -0.5])], fun) do
      assert Nx.to_flat_list(values) == [0.625, 0.0, 0.0, 0.0]
      assert values |> Nx.sqrt() |> Nx.is_nan() |> Nx.any() |> Nx.to_number() == 0
    end
  end
end
