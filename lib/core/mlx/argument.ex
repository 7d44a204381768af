defmodule Mlx.Argument do
  # The words in which public functions refuse their arguments.
  @moduledoc false

  @doc "Raises unless `fits?`: the function `name` expected what `expected` says, and got `value`."
  @spec check!(boolean(), String.t(), String.t(), term()) :: :ok
  def check!(true, _name, _expected, _value), do: :ok

  def check!(false, name, expected, value) do
    raise ArgumentError, "[#{name}] expected #{expected}, got: #{inspect(value)}"
  end

  @doc "Raises unless `path` is a text that may name a file."
  @spec check_path!(term(), String.t()) :: :ok
  def check_path!(path, name) do
    fits? = is_binary(path) and path != "" and not String.contains?(path, <<0>>)
    check!(fits?, name, "the path of a file", path)
  end
end
