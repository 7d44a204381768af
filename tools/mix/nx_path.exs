defmodule Mlx.NxPath do
  @moduledoc """
  Dependencies for a build against checkouts of Nx and Axon, also on a machine without Hex.

  Nx needs `complex` and `telemetry`, which lie in the checkout's `deps` after `mix deps.get` there. They become path
  dependencies that override what Nx asks for. So does `polaris`, which Axon needs.
  """

  @needed_by_nx [:complex, :telemetry]

  @doc """
  The dependencies, `path` being the folder of Nx's own `mix.exs`.
  """
  def deps(path) do
    unless File.regular?(Path.join(path, "mix.exs")) do
      Mix.raise(
        "NX_PATH has to name the folder nx of a checkout of Nx; there is no mix.exs in #{path}"
      )
    end

    if Code.ensure_loaded?(Hex) do
      [{:nx, path: path, override: true}, {:telemetry, "~> 0.4 or ~> 1.0"}]
    else
      Mix.SCM.append(__MODULE__.Overridden)

      # Axon asks for a version from Hex.
      [
        {:nx, path: path, override: true}
        | Enum.map(@needed_by_nx, &beside_nx(&1, Path.join([path, "deps", "#{&1}"])))
      ]
    end
  end

  @doc """
  What a checkout of Axon adds. Polaris lies in its `deps`, or where `polaris_path` says.
  """
  def axon(path, polaris_path) do
    unless File.regular?(Path.join(path, "mix.exs")) do
      Mix.raise("AXON_PATH has to name a checkout of Axon; there is no mix.exs in #{path}")
    end

    axon = {:axon, path: path, optional: true}

    cond do
      polaris_path != "" ->
        [axon, {:polaris, path: Path.expand(polaris_path), override: true}]

      Code.ensure_loaded?(Hex) ->
        [axon]

      true ->
        [axon, beside(:polaris, Path.join([path, "deps", "polaris"]), "Axon")]
    end
  end

  defp beside_nx(app, path), do: beside(app, path, "Nx")

  defp beside(app, path, checkout) do
    unless File.dir?(path) do
      Mix.raise(
        "#{path} is missing: run mix deps.get in the checkout of #{checkout}, or put #{app} there"
      )
    end

    {app, [path: path, override: true] ++ how_to_compile(app, path)}
  end

  # Before 1.3 telemetry had no mix.exs, and rebar3 comes with Hex.
  defp how_to_compile(app, path) do
    if File.regular?(Path.join(path, "mix.exs")) do
      []
    else
      [
        manager: :make,
        compile:
          "mkdir -p ebin && erlc -o ebin src/*.erl && cp src/#{app}.app.src ebin/#{app}.app"
      ]
    end
  end

  defmodule Overridden do
    @moduledoc """
    Stands for the Hex packages that a path dependency asks for, so that Mix reads them without Hex.

    A path dependency of the same name overrides each that is needed. One that is not overridden counts as missing.
    """

    @behaviour Mix.SCM

    @impl true
    def fetchable?, do: false

    @impl true
    def format(_opts), do: "a package from Hex"

    @impl true
    def format_lock(_opts), do: nil

    @impl true
    def accepts_options(_app, opts) do
      unless opts[:path] || opts[:git] || opts[:github], do: opts
    end

    @impl true
    def checked_out?(_opts), do: false

    @impl true
    def checkout(_opts), do: Mix.raise("Hex is needed to fetch this package (mix local.hex)")

    @impl true
    def update(opts), do: checkout(opts)

    @impl true
    def lock_status(_opts), do: :ok

    @impl true
    def equal?(opts1, opts2), do: opts1[:app] == opts2[:app]

    @impl true
    def managers(_opts), do: []
  end
end
