defmodule Mlx.WithNx do
  # Functions of the core that need Nx. Their modules are found by name when they are called, since the core compiles without.
  @moduledoc false

  @doc """
  Calls `function` of the module `Mlx.<name>`.

  Raises `Mlx.UnsupportedError` where the package was compiled without Nx.
  """
  @spec call(atom(), atom(), [term()]) :: term()
  def call(name, function, args) do
    if available?(name) do
      name |> module() |> apply(function, args)
    else
      raise Mlx.UnsupportedError,
        message:
          "[#{function}] this needs Nx, and elixir_mlx was compiled without: add Nx to the dependencies and run " <>
            "mix deps.compile elixir_mlx --force"
    end
  end

  @doc "Whether the module `Mlx.<name>` is there."
  @spec available?(atom()) :: boolean()
  def available?(name), do: name |> module() |> Code.ensure_loaded?()

  defp module(name), do: Module.concat(Mlx, name)
end
