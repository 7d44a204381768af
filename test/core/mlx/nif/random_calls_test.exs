defmodule Mlx.NIF.RandomCallsTest do
  # Ops with operands, attributes and results picked by chance: whatever comes, the VM lives and the errors are those promised.
  use ExUnit.Case, async: true

  alias Mlx.NIF

  @shapes [{}, {0}, {1}, {3}, {2, 3}, {3, 3}, {0, 3}, {1, 1}, {2, 3, 4}, {2, 2, 2}, {1, 1, 4, 4}]
  @integers [
    -2,
    5,
    100,
    0x7FFFFFFF,
    0x80000000,
    -0x80000000,
    0x7FFFFFFFFFFFFFFF,
    -0x8000000000000000
  ]
  @errors [ArgumentError, ArithmeticError, Mlx.UnsupportedError, Mlx.Error]

  defp tensor(type, shape) do
    {_, bits} = type = mostly(type, Mlx.Dtype.all())
    shape = mostly(shape, @shapes)
    size = Enum.product(Tuple.to_list(shape)) * div(bits, 8)

    # Zeros, largest unsigned and NaN, any bits.
    bytes =
      Enum.random([
        fn -> :binary.copy(<<0>>, size) end,
        fn -> :binary.copy(<<255>>, size) end,
        fn -> :rand.bytes(size) end
      ]).()

    {NIF.from_binary({type, shape}, bytes, nil), type, shape}
  end

  defp mostly(usual, others), do: if(:rand.uniform(4) > 1, do: usual, else: Enum.random(others))
  defp integer, do: mostly(Enum.random([-1, 0, 1, 2, 3]), @integers)
  defp some(fun), do: for(_ <- 1..:rand.uniform(4), do: fun.())

  defp attribute do
    Enum.random([
      fn -> integer() end,
      fn -> some(&integer/0) end,
      fn -> List.to_tuple(some(&integer/0)) end,
      fn -> some(fn -> {integer(), integer()} end) end,
      fn -> some(fn -> {integer(), integer(), integer()} end) end,
      fn -> some(fn -> Enum.random([integer(), {:operand, integer()}]) end) end,
      fn -> Enum.random([true, false, nil, [], 1.5, :nan, :infinity, -1.0e300]) end,
      fn -> Enum.random([:asc, :desc, :low, :high, :transpose, :reduced, :complete, "none"]) end,
      fn -> Enum.random(Mlx.Dtype.all()) end,
      fn -> Enum.random(@shapes) end
    ]).()
  end

  # Calls the op again with what its errors ask for: the number of operands, the type of the result.
  defp call(name, handles, attributes, out, tries) do
    result =
      case NIF.op(name, handles, attributes, out, nil) do
        {:collect, _, handle} -> handle
        handle -> handle
      end

    {{_, bits}, shape} = NIF.type_of(result)
    count = Enum.product(Tuple.to_list(shape))

    if count < 1_000_000,
      do: assert(byte_size(NIF.to_binary(result, count)) == div(count * bits, 8))

    :done
  rescue
    error in @errors ->
      text = Exception.message(error)
      assert text != ""

      cond do
        tries == 0 -> :refused
        wanted = wanted_operands(text, handles) -> call(name, wanted, attributes, out, tries - 1)
        wanted = wanted_result(text) -> call(name, handles, attributes, wanted, tries - 1)
        true -> :refused
      end
  end

  defp wanted_operands(text, handles) do
    with [_, count] <- Regex.run(~r/takes (\d) operands?, got/, text),
         do: Enum.take(Stream.cycle(handles), String.to_integer(count))
  end

  defp wanted_result(text) do
    with [_, family, bits, dims] <-
           Regex.run(~r/the outputs are ([a-z]+)(\d+)((?:\[\d+\])*), and/, text) do
      shape = for [dim] <- Regex.scan(~r/\d+/, dims), do: String.to_integer(dim)
      {{String.to_existing_atom(family), String.to_integer(bits)}, List.to_tuple(shape)}
    end
  end

  for name <- NIF.op_names() do
    test "#{name} takes anything" do
      name = String.to_existing_atom(unquote(name))
      keys = for key <- NIF.op_attributes(name), do: String.to_atom(key)
      :rand.seed(:exsss, {:erlang.phash2(name), 2, 3})

      for _ <- 1..60 do
        [type, shape] = [Enum.random(Mlx.Dtype.all()), Enum.random(@shapes)]
        operands = some(fn -> tensor(type, shape) end)
        {_, type, shape} = hd(operands)
        attributes = for key <- keys, :rand.uniform(5) > 1, do: {key, attribute()}
        handles = for {handle, _, _} <- operands, do: handle
        assert call(name, handles, attributes, {type, shape}, 3) in [:done, :refused]
      end
    end
  end
end
