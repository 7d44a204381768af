defmodule Mlx.Telemetry do
  @moduledoc """
  Telemetry events, where the `:telemetry` package is there; the core alone leaves them out.

  | event | measurements | metadata |
  |---|---|---|
  | `[:mlx, :eval, :start]`, `[:mlx, :eval, :stop]`, `[:mlx, :eval, :exception]` | those of `:telemetry.span/3` | `:count` tensors |
  | `[:mlx, :to_binary, :start]`, `…:stop]`, `…:exception]` | those of `:telemetry.span/3` | `:bytes` |
  | `[:mlx, :memory, :collect]` | `:active_bytes`, `:cache_bytes`, `:peak_bytes`, `:limit_bytes` | `:major?` |
  | `[:mlx, :f64_on_cpu]` | `:count` of ops that went from a GPU to the CPU because of f64, since the last of these events | |

  `Mlx.eval/1` of tensors that are computed already is no event. The last one tells that tensors built since the last time
  made a process collect its garbage.
  """

  @compile {:no_warn_undefined, :telemetry}

  @key {__MODULE__, :available?}

  @doc false
  # Asked at run time, since `telemetry` may come after the core was compiled; and once, since loading a module takes long.
  def available? do
    case :persistent_term.get(@key, nil) do
      nil ->
        available? = Code.ensure_loaded?(:telemetry)
        :persistent_term.put(@key, available?)
        available?

      available? ->
        available?
    end
  end

  @doc false
  @spec span(atom(), map(), (-> result)) :: result when result: term()
  def span(event, metadata, fun) do
    if available?() do
      :telemetry.span([:mlx, event], metadata, fn -> {fun.(), metadata} end)
    else
      fun.()
    end
  end

  @doc false
  @spec execute([atom()], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if available?(), do: :telemetry.execute([:mlx | event], measurements, metadata)
    :ok
  end
end
