defmodule Mlx.Telemetry do
  @moduledoc """
  Telemetry events, where the `:telemetry` package is there; the core alone leaves them out.

  | event | measurements | metadata |
  |---|---|---|
  | `[:mlx, :eval, :start]`, `[:mlx, :eval, :stop]`, `[:mlx, :eval, :exception]` | those of `:telemetry.span/3` | `:count` tensors |
  | `[:mlx, :to_binary, :start]`, `…:stop]`, `…:exception]` | those of `:telemetry.span/3` | `:bytes` |
  | `[:mlx, :memory, :collect]` | `:active_bytes`, `:cache_bytes`, `:peak_bytes`, `:limit_bytes` | `:major?` |
  | `[:mlx, :llm, :generate, :start]` | `:system_time`, `:monotonic_time` | `:family` of the model |
  | `[:mlx, :llm, :generate, :stop]` | `:duration`, `:monotonic_time`, `:prompt_tokens`, `:generation_tokens`, `:prompt_seconds`, `:generation_seconds`, `:peak_memory` | the same, and `:finish_reason`: `:stop`, `:length`, or `:halted` by who enumerates |
  | `[:mlx, :llm, :generate, :exception]` | `:duration`, `:monotonic_time` | the same, and `:kind`, `:reason`, `:stacktrace` |
  | `[:mlx, :f64_on_cpu]` | `:count` of ops that went from a GPU to the CPU because of f64, since the last of these events | |

  `Mlx.eval/1` of tensors that are computed already is no event, nor is reading up to 1 KiB of what is computed at once. `[:mlx, :memory, :collect]` tells that tensors built since the last
  time made a process collect its garbage. The events of one text share a `:telemetry_span_context`; a text whose process is killed
  has a start only.
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
  # The start of a span that is no function's, with what `span/3` would tell; `stop/3` or `exception/4` is its end.
  @spec start([atom()], map()) :: map()
  def start(event, metadata) do
    span = %{
      event: event,
      metadata: Map.put(metadata, :telemetry_span_context, make_ref()),
      since: System.monotonic_time()
    }

    measured = %{monotonic_time: span.since, system_time: System.system_time()}
    execute(event ++ [:start], measured, span.metadata)
    span
  end

  @doc false
  @spec stop(map(), map(), map()) :: :ok
  def stop(span, measurements, metadata), do: finish(span, :stop, measurements, metadata)

  @doc false
  @spec exception(map(), atom(), term(), Exception.stacktrace()) :: :ok
  def exception(span, kind, reason, stacktrace) do
    finish(span, :exception, %{}, %{kind: kind, reason: reason, stacktrace: stacktrace})
  end

  defp finish(span, name, measurements, metadata) do
    now = System.monotonic_time()
    measured = Map.merge(measurements, %{duration: now - span.since, monotonic_time: now})
    execute(span.event ++ [name], measured, Map.merge(span.metadata, metadata))
  end

  @doc false
  @spec execute([atom()], map(), map()) :: :ok
  def execute(event, measurements, metadata) do
    if available?(), do: :telemetry.execute([:mlx | event], measurements, metadata)
    :ok
  end
end
