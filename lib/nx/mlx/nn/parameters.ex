defmodule Mlx.NN.Parameters do
  # Containers of parameters, and their dotted names.
  @moduledoc false

  alias Nx.Tensor, as: T

  @doc """
  The nested map of `{dotted_name, tensor}`.

  Raises `ArgumentError` where one name goes on from another: a tensor holds no parameters.
  """
  @spec nest([{String.t(), Nx.Tensor.t()}]) :: map()
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

  @doc "The tensors of a container with their dotted names, in the order of `map/2`."
  @spec flatten(Nx.Container.t()) :: [{String.t(), Nx.Tensor.t()}]
  def flatten(container) do
    {_, named} =
      traverse(container, "", [], fn name, tensor, acc -> {tensor, [{name, tensor} | acc]} end)

    Enum.reverse(named)
  end

  @doc "The container with other tensors, in the order of `flatten/1`."
  @spec rebuild(Nx.Container.t(), [Nx.Tensor.t()]) :: Nx.Container.t()
  def rebuild(container, tensors) do
    {container, []} =
      traverse(container, "", tensors, fn _name, _old, [new | rest] -> {new, rest} end)

    container
  end

  @doc "One map with what the second says in place of what the first does."
  @spec merge(map(), map()) :: map()
  def merge(a, b) do
    Map.merge(a, b, fn
      _key, %T{}, new -> new
      _key, old, new -> merge(old, new)
    end)
  end

  # Maps by their sorted keys, anything else by position.
  defp traverse(%T{} = tensor, path, acc, fun), do: fun.(path, tensor, acc)

  defp traverse(number, path, acc, fun) when is_number(number),
    do: fun.(path, Nx.tensor(number), acc)

  defp traverse(%{} = map, path, acc, fun) when not is_struct(map) do
    {pairs, acc} =
      map
      |> Enum.sort_by(fn {key, _} -> to_string(key) end)
      |> Enum.map_reduce(acc, fn {key, value}, acc ->
        {value, acc} = traverse(value, join(path, key), acc, fun)
        {{key, value}, acc}
      end)

    {Map.new(pairs), acc}
  end

  defp traverse(container, path, acc, fun) do
    {container, {acc, _count}} =
      Nx.Container.traverse(container, {acc, 0}, fn value, {acc, count} ->
        {value, acc} = traverse(value, join(path, count), acc, fun)
        {value, {acc, count + 1}}
      end)

    {container, acc}
  end

  defp join("", key), do: to_string(key)
  defp join(path, key), do: "#{path}.#{key}"
end
