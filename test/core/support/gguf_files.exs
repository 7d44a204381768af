defmodule Mlx.GgufFiles do
  @moduledoc """
  Files in the GGUF format, for the tests of what reads them.
  """

  @types [:u8, :s8, :u16, :s16, :u32, :s32, :f32, :bool, :text, :list, :u64, :s64, :f64]
  @alignment 32

  @doc """
  Writes a file of version 3. Keys are `{key, {type, value}}`, where a list's value is `{type of its items, items}`; tensors
  `{name, the format's number of the type, shape, bytes}`.
  """
  def write!(path, keys, tensors) do
    {described, _end} =
      Enum.map_reduce(tensors, 0, fn {name, type, shape, bytes}, offset ->
        dims = shape |> Tuple.to_list() |> Enum.reverse()
        dims_binary = for dim <- dims, into: "", do: <<dim::64-little>>

        {[
           text(name),
           <<length(dims)::32-little>>,
           dims_binary,
           <<type::32-little, offset::64-little>>
         ], offset + byte_size(bytes) + padding(byte_size(bytes))}
      end)

    header =
      IO.iodata_to_binary([
        "GGUF",
        <<3::32-little, length(tensors)::64-little, length(keys)::64-little>>,
        for({key, {type, value}} <- keys, do: [text(key), number(type), encode(type, value)]),
        described
      ])

    elements = for {_, _, _, bytes} <- tensors, do: [bytes, zeros(byte_size(bytes))]
    File.write!(path, [header, zeros(byte_size(header)), elements])
  end

  defp zeros(size), do: :binary.copy(<<0>>, padding(size))
  defp padding(size), do: rem(@alignment - rem(size, @alignment), @alignment)
  defp text(text), do: [<<byte_size(text)::64-little>>, text]
  defp number(type), do: <<Enum.find_index(@types, &(&1 == type))::32-little>>

  defp encode(:text, value), do: text(value)
  defp encode(:bool, value), do: <<if(value, do: 1, else: 0)>>
  defp encode(:f32, bits) when is_integer(bits), do: <<bits::32-little>>
  defp encode(:f32, value), do: <<value::float-32-little>>
  defp encode(:f64, value), do: <<value::float-64-little>>

  defp encode(:list, {type, items}),
    do: [number(type), <<length(items)::64-little>>, Enum.map(items, &encode(type, &1))]

  defp encode(type, value) do
    <<_sign, bits::binary>> = Atom.to_string(type)
    <<value::size(String.to_integer(bits))-little>>
  end
end
