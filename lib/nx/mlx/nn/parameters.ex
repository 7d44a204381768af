defmodule Mlx.NN.Parameters do
  # Maps of parameters, nested by the parts of dotted names.
  @moduledoc false

  alias Nx.Tensor, as: T

  @doc "The nested map of `{dotted_name, tensor}`."
  @spec nest([{String.t(), Nx.Tensor.t()}]) :: map()
  def nest(named) do
    Enum.reduce(named, %{}, fn {name, tensor}, nested ->
      path = name |> String.split(".") |> Enum.map(&Access.key(&1, %{}))
      put_in(nested, path, tensor)
    end)
  end

  @doc "The tensors of a nested map with their dotted names, sorted by these."
  @spec flatten(map()) :: [{String.t(), Nx.Tensor.t()}]
  def flatten(nested), do: nested |> flatten("") |> Enum.sort_by(&elem(&1, 0))

  defp flatten(%T{} = tensor, path), do: [{path, tensor}]

  defp flatten(%{} = nested, path) do
    Enum.flat_map(nested, fn {key, value} -> flatten(value, join(path, key)) end)
  end

  @doc "One map with what the second says in place of what the first does."
  @spec merge(map(), map()) :: map()
  def merge(a, b) do
    Map.merge(a, b, fn
      _key, %T{}, new -> new
      _key, old, new -> merge(old, new)
    end)
  end

  defp join("", key), do: to_string(key)
  defp join(path, key), do: "#{path}.#{key}"
end
