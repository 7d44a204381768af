# What Nx is told of the core's structs.

defimpl Nx.LazyContainer, for: Mlx.LazyTensor do
  def traverse(lazy, acc, fun),
    do: fun.(Nx.template(lazy.shape, lazy.type), fn -> Mlx.LazyTensor.read(lazy) end, acc)
end

# Not derived, since parts may be absent.
defimpl Nx.Container, for: Mlx.Quantized do
  alias Mlx.Quantized

  def traverse(quantized, acc, fun) do
    Enum.reduce(Quantized.parts(quantized), {quantized, acc}, fn {part, tensor}, {all, acc} ->
      {tensor, acc} = fun.(tensor, acc)
      {Map.replace!(all, part, tensor), acc}
    end)
  end

  def reduce(quantized, acc, fun) do
    Enum.reduce(Quantized.parts(quantized), acc, fn {_part, tensor}, acc -> fun.(tensor, acc) end)
  end

  def serialize(quantized),
    do: {__MODULE__, Quantized.parts(quantized), Quantized.options(quantized)}

  def deserialize(parts, options), do: struct!(Quantized, parts ++ options)
end
