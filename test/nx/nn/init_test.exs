defmodule Mlx.NN.InitTest do
  use ExUnit.Case, async: true

  alias Mlx.NN.Init

  doctest Init

  # Options that have to be given.
  @needed [constant: [value: 0.5], sparse: [sparsity: 0.5]]

  test "every initializer of the library is a function here" do
    rows = for {"init", name, _, _, _} <- Mlx.NIF.nn_rows(), do: String.to_atom(name)
    functions = for {name, 3} <- Init.__info__(:functions), do: name
    assert Enum.sort(rows) == Enum.sort(functions)
    assert length(rows) == 10
  end

  test "a key gives the same values, of the type that is asked for, inside of defn too" do
    for {name, 3} <- Init.__info__(:functions) do
      draw = fn key, options ->
        apply(Init, name, [key, {8, 8}, Keyword.merge(@needed[name] || [], options)])
      end

      drawn = draw.(3, [])
      assert {drawn.type, drawn.shape} == {{:f, 32}, {8, 8}}
      assert Nx.to_binary(draw.(Nx.Random.key(3), [])) == Nx.to_binary(drawn)
      same? = Nx.to_binary(draw.(4, [])) == Nx.to_binary(drawn)
      assert same? == name in [:constant, :identity], "#{name}"
      assert draw.(3, dtype: {:bf, 16}).type == {:bf, 16}
      compiled = Nx.Defn.jit(&draw.(&1, []), compiler: Mlx.Compiler).(Nx.Random.key(3))
      assert Nx.all_close(compiled, drawn, atol: 1.0e-5) |> Nx.to_number() == 1
    end
  end

  test "draws have the deviation that they say" do
    deviation = fn tensor -> tensor |> Nx.standard_deviation() |> Nx.to_number() end
    shape = {200, 50}

    for {drawn, wanted} <- [
          {Init.glorot_normal(1, shape), :math.sqrt(2 / 250)},
          {Init.glorot_uniform(1, shape, gain: 2), 2 * :math.sqrt(2 / 250)},
          {Init.he_normal(1, shape), :math.sqrt(1 / 50)},
          {Init.he_uniform(1, shape, mode: :fan_out), :math.sqrt(1 / 200)},
          {Init.normal(1, shape, std: 0.3), 0.3}
        ],
        do: assert_in_delta(deviation.(drawn), wanted, wanted * 0.05)
  end

  test "shapes and options that do not fit are refused" do
    for {text, call} <- [
          {~r/square/, fn -> Init.identity(0, {2, 3}) end},
          {~r/two axes/, fn -> Init.he_normal(0, {3}) end},
          {~r/matrices/, fn -> Init.orthogonal(0, {2, 2, 2}) end},
          {~r/value/, fn -> Init.constant(0, {2}) end},
          {~r/in \[0, 1\]/, fn -> Init.sparse(0, {2, 2}, sparsity: 2) end},
          {~r/fan/, fn -> Init.he_normal(0, {2, 2}, mode: :fan) end},
          {~r/no options but/, fn -> Init.normal(0, {2}, gain: 1) end},
          {~r/a shape/, fn -> Init.normal(0, [2]) end},
          {~r/a shape/, fn -> Init.normal(0, {-2}) end},
          {~r/no options but :dtype/, fn -> Init.normal(0, {2}, 1) end},
          {~r/no options but/, fn -> Init.normal(0, {2}, shape: {3}) end},
          {~r/u32\[2\]/, fn -> Init.normal(Nx.tensor([1.0]), {2}) end},
          {~r/type/, fn -> Init.normal(0, {2}, dtype: :f31) end},
          {~r/float/, fn -> Init.normal(0, {2}, dtype: :s32) end}
        ],
        do: assert_raise(ArgumentError, text, call)
  end
end
