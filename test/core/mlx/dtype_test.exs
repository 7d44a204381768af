defmodule Mlx.DtypeTest do
  use ExUnit.Case, async: true

  alias Mlx.Dtype

  doctest Dtype

  test "there are thirteen types, and names go both ways" do
    assert length(Dtype.all()) == 13
    for type <- Dtype.all(), do: assert(type |> Dtype.to_mlx() |> Dtype.from_mlx() == type)
    assert Dtype.all() |> Enum.map(&Dtype.to_mlx/1) |> Enum.uniq() |> length() == 13
  end

  test "the native side knows the same types" do
    for {family, bits} = type <- Dtype.all() do
      handle = Mlx.NIF.from_binary({type, {1}}, <<0::size(bits)>>, nil)
      assert Mlx.NIF.type_of(handle) == {{family, bits}, {1}}
    end
  end

  test "MLX's bool is u8" do
    assert Dtype.from_mlx(:bool) == {:u, 8}
  end

  test "types that MLX lacks are unsupported" do
    for type <- [{:c, 128}, {:f, 8}, {:f8_e4m3fn, 8}, {:s, 2}, {:s, 4}, {:u, 2}, {:u, 4}] do
      assert_raise Mlx.UnsupportedError, ~r/#{Regex.escape(inspect(type))}/, fn ->
        Dtype.to_mlx(type)
      end
    end
  end

  test "names that MLX lacks are bad arguments" do
    for name <- [:float8, "float32", nil, {:f, 32}] do
      assert_raise ArgumentError, ~r/got: #{Regex.escape(inspect(name))}/, fn ->
        Dtype.from_mlx(name)
      end
    end
  end
end
