defmodule Mlx.NN.Parameters do
  # Containers of parameters, and their dotted names.
  @moduledoc false

  alias Mlx.{Argument, NIF, Quantized}
  alias Nx.Tensor, as: T

  @doc """
  The nested map of `{dotted_name, tensor}`.

  Raises `ArgumentError` where one name goes on from another: a tensor holds no parameters.
  """
  @spec nest(Enumerable.t({String.t(), Nx.Tensor.t()})) :: map()
  def nest(named),
    do:
      Enum.reduce(named, %{}, fn {name, tensor}, nested ->
        put(nested, String.split(name, "."), tensor, name)
      end)

  defp put(%{} = map, [key], tensor, _name) when not is_struct(map) and not is_map_key(map, key),
    do: Map.put(map, key, tensor)

  defp put(%{} = map, [key | [_ | _] = path], tensor, name) when not is_struct(map),
    do: Map.put(map, key, map |> Map.get(key, %{}) |> put(path, tensor, name))

  defp put(_taken, _path, _tensor, name) do
    raise ArgumentError,
          "[nest] #{name} can't stand beside another tensor, whose name is a part of it or goes on from it"
  end

  @doc "The tensors of a container with their dotted names, in the order of the container."
  @spec flatten(Nx.Container.t()) :: [{String.t(), Nx.Tensor.t()}]
  def flatten(container) do
    {_, named} =
      traverse(container, "", [], fn name, tensor, acc -> {tensor, [{name, tensor} | acc]} end)

    Enum.reverse(named)
  end

  @doc """
  The same for what goes on by names, such as a file or an optimizer's state.

  Raises `ArgumentError` where two have one name: by the dots in a key, or by keys that are an atom and a text.
  """
  @spec named(Nx.Container.t()) :: [{String.t(), Nx.Tensor.t()}]
  def named(container) do
    all = flatten(container)
    names = Enum.map(all, &elem(&1, 0))

    case names -- Enum.uniq(names) do
      [] -> all
      [name | _] -> raise ArgumentError, "[parameters] two tensors are called #{name}"
    end
  end

  @doc "The container with other tensors, in the order of `flatten/1`."
  @spec rebuild(Nx.Container.t(), [Nx.Tensor.t()]) :: Nx.Container.t()
  def rebuild(container, tensors) do
    {container, []} =
      traverse(container, "", tensors, fn _name, _old, [new | rest] -> {new, rest} end)

    container
  end

  @doc """
  The names of what is trained: floats that are no statistics and that `which` means, a function of the name, or of the name and the
  tensor.
  """
  @spec trained(Nx.Container.t(), function(), String.t()) :: [String.t()]
  def trained(container, which, owner) do
    fits? = is_function(which, 1) or is_function(which, 2)

    expected =
      ":trainable to be a function of the name of a parameter, and of it as a second argument"

    Argument.check!(fits?, owner, expected, which)
    named = named(container)
    roles = named |> Enum.map(&elem(&1, 0)) |> NIF.nn_roles()

    for {{name, tensor}, role} <- Enum.zip(named, roles),
        role != "statistic",
        Nx.Type.float?(tensor.type) and not Nx.Type.complex?(tensor.type),
        if(is_function(which, 1), do: which.(name), else: which.(name, tensor)),
        do: name
  end

  @doc """
  The tensors of these names, at least one, as a container in which they have the same names, and the function that puts others in
  their places.
  """
  @spec part(Nx.Container.t(), MapSet.t(String.t())) ::
          {Nx.Container.t(), (Nx.Container.t() -> Nx.Container.t())}
  def part(container, names) do
    all = flatten(container)

    if Enum.all?(all, fn {name, _} -> name in names end) do
      {container, & &1}
    else
      together = fn part ->
        new = Map.new(flatten(part))
        rebuild(container, for({name, old} <- all, do: Map.get(new, name, old)))
      end

      {Map.new(for {name, tensor} <- all, name in names, do: {name, tensor}), together}
    end
  end

  @doc "One map with what the second says in place of what the first does."
  @spec merge(map(), map()) :: map()
  def merge(a, b) do
    Map.merge(a, b, fn
      _key, %T{}, new -> new
      _key, old, new -> merge(old, new)
    end)
  end

  @doc "The quantized matrices of a layer's parameters, with the names of the layers within it that they are of."
  @spec quantized(Nx.Container.t(), String.t()) :: [{String.t(), Quantized.t()}]
  def quantized(parameters, path \\ "")

  def quantized(%{} = parameters, path) when not is_struct(parameters) do
    Enum.flat_map(parameters, fn
      {key, %Quantized{} = matrix} when key in ["weight", :weight] -> [{path, matrix}]
      {key, below} -> quantized(below, join(path, key))
    end)
  end

  def quantized(_other, _path), do: []

  # Maps by their sorted keys, anything else by position.
  defp traverse(%T{} = tensor, path, acc, fun), do: fun.(path, tensor, acc)

  defp traverse(number, path, acc, fun) when is_number(number),
    do: fun.(path, Nx.tensor(number), acc)

  defp traverse(%{} = map, path, acc, fun) when not is_struct(map) do
    {pairs, acc} =
      map
      |> Enum.sort_by(fn {key, _} -> to_string(key) end)
      |> Enum.map_reduce(acc, fn {key, value}, acc ->
        {value, acc} = member(value, path, key, acc, fun)
        {{key, value}, acc}
      end)

    {Map.new(pairs), acc}
  end

  defp traverse(container, path, acc, fun) do
    fits? = Nx.Container.impl_for(container) != nil
    Argument.check!(fits?, "parameters", "tensors in maps, tuples and containers", container)

    {container, {acc, _count}} =
      Nx.Container.traverse(container, {acc, 0}, fn value, {acc, count} ->
        {value, acc} = traverse(value, join(path, count), acc, fun)
        {value, {acc, count + 1}}
      end)

    {container, acc}
  end

  # A quantized matrix stands in the place of its words, and its other parts beside them.
  defp member(%Quantized{} = matrix, path, key, acc, fun) do
    Enum.reduce(Quantized.parts(matrix), {matrix, acc}, fn {part, tensor}, {matrix, acc} ->
      name = if part == :weight, do: key, else: part
      {tensor, acc} = traverse(tensor, join(path, name), acc, fun)
      {Map.replace!(matrix, part, tensor), acc}
    end)
  end

  defp member(value, path, key, acc, fun), do: traverse(value, join(path, key), acc, fun)

  defp join("", key), do: to_string(key)
  defp join(path, key), do: "#{path}.#{key}"
end
