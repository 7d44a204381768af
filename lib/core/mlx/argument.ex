defmodule Mlx.Argument do
  # The words in which public functions refuse their arguments.
  @moduledoc false

  @doc "Raises unless `fits?`: the function `name` expected what `expected` says, and got `value`."
  @spec check!(boolean(), String.t(), String.t(), term()) :: :ok
  def check!(true, _name, _expected, _value), do: :ok

  def check!(false, name, expected, value) do
    raise ArgumentError, "[#{name}] expected #{expected}, got: #{inspect(value)}"
  end

  @doc "Raises unless `options` are a keyword list of `known` keys, each there once."
  @spec check_options!(term(), [atom()], String.t()) :: :ok
  def check_options!(options, known, name) do
    keys = if Keyword.keyword?(options), do: Keyword.keys(options)
    only = if known == [], do: "", else: " but #{Enum.map_join(known, ", ", &inspect/1)}"
    check!(keys != nil and Enum.all?(keys, &(&1 in known)), name, "no options" <> only, options)
    check_once!(options, name)
  end

  @doc "Raises unless each key of the keyword list is there once."
  @spec check_once!(keyword(), String.t()) :: :ok
  def check_once!(options, name) do
    keys = Keyword.keys(options)
    check!(keys == Enum.uniq(keys), name, "each option once", options)
  end

  @doc "Whether `value` is a list, of which `fits?` holds for each element."
  @spec list_of?(term(), (term() -> boolean())) :: boolean()
  def list_of?(value, fits?),
    do: is_list(value) and not List.improper?(value) and Enum.all?(value, fits?)

  @doc "Raises unless `path` is a text that may name a file."
  @spec check_path!(term(), String.t()) :: :ok
  def check_path!(path, name) do
    fits? = is_binary(path) and path != "" and not String.contains?(path, <<0>>)
    check!(fits?, name, "the path of a file", path)
  end
end
