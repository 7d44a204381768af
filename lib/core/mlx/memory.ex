defmodule Mlx.Memory do
  @moduledoc """
  The memory that tensors hold, as MLX's allocator counts it. All figures are bytes.

  Tensors are freed by the BEAM's garbage collector. It does not see how large they are, so ops count what they build and
  make the calling process collect from time to time; nothing has to be done for a loop over large tensors to stay within
  bounds. `Nx.backend_deallocate/1` frees one at once.
  """

  alias Mlx.NIF

  @type info :: %{
          active_bytes: non_neg_integer(),
          peak_bytes: non_neg_integer(),
          cache_bytes: non_neg_integer(),
          limit_bytes: non_neg_integer()
        }

  @doc """
  What the allocator holds: `:active_bytes` in live tensors, `:peak_bytes` the highest value of that,
  `:cache_bytes` freed and kept for the next tensors, `:limit_bytes` where allocation starts to wait and reclaim.

  ## Examples

      iex> %{active_bytes: active, peak_bytes: peak} = Mlx.Memory.info()
      iex> peak >= 0 and active >= 0
      true
  """
  @spec info() :: info
  def info, do: NIF.memory()

  @doc """
  The compiled programs that live, and the bytes of the tensors that they captured, which are part of `active/0`.

  A program lives while a cache keeps it, a compiled function holds it, or it waits for the garbage collector. See
  `Mlx.Compiler.clear_cache/0`.

  ## Examples

      iex> %{count: count, bytes: bytes} = Mlx.Memory.programs()
      iex> count >= 0 and bytes >= 0
      true
  """
  @spec programs() :: %{count: non_neg_integer(), bytes: non_neg_integer()}
  def programs do
    {count, bytes} = NIF.program_memory()
    %{count: count, bytes: bytes}
  end

  @doc "Bytes held by live tensors. MLX: `mlx.core.get_active_memory`."
  @spec active() :: non_neg_integer()
  def active, do: info().active_bytes

  @doc "The highest value of `active/0` since the start or `reset_peak/0`. MLX: `mlx.core.get_peak_memory`."
  @spec peak() :: non_neg_integer()
  def peak, do: info().peak_bytes

  @doc "Bytes freed by tensors and kept for the next ones. MLX: `mlx.core.get_cache_memory`."
  @spec cache() :: non_neg_integer()
  def cache, do: info().cache_bytes

  @doc "Sets `peak/0` back to the present figure. MLX: `mlx.core.reset_peak_memory`."
  @spec reset_peak() :: :ok
  def reset_peak, do: NIF.reset_peak_memory()

  @doc "Gives the cache, and what malloc keeps, back to the system. MLX: `mlx.core.clear_cache`."
  @spec clear_cache() :: :ok
  def clear_cache, do: NIF.clear_cache()

  @doc """
  Bounds the cache to `bytes` and returns the bound before.

  The start value is 1 GiB, or that of the environment variable `MLXNX_CACHE_LIMIT`. MLX 0.31 keeps no cache on the CPU
  and answers 0; on Linux, malloc is told at the start to keep as much, up to 256 MiB. MLX: `mlx.core.set_cache_limit`.
  """
  @spec set_cache_limit(non_neg_integer()) :: non_neg_integer()
  def set_cache_limit(bytes), do: NIF.set_cache_limit(bytes)

  @doc """
  Sets the allocator's limit to `bytes` and returns the limit before.

  A single tensor that exceeds it is refused with `Mlx.Error` when it is built; together, tensors may exceed it where the
  system has the memory. MLX: `mlx.core.set_memory_limit`.

  ## Examples

      iex> before = Mlx.Memory.set_memory_limit(1_000_000_000)
      iex> Mlx.Memory.set_memory_limit(before)
      1_000_000_000
  """
  @spec set_memory_limit(non_neg_integer()) :: non_neg_integer()
  def set_memory_limit(bytes), do: NIF.set_memory_limit(bytes)

  @doc false
  # The result in a native call's answer.
  def collected({:collect, major?, result}) do
    collect(major?)
    collected(result)
  end

  def collected({:f64_on_cpu, count, result}) do
    Mlx.Telemetry.execute([:f64_on_cpu], %{count: count}, %{})
    result
  end

  def collected(result), do: result

  @doc false
  # What an op's answer asks for when tensors have grown: see native/nif/pressure.h.
  def collect(major?) do
    :erlang.garbage_collect(self(), type: if(major?, do: :major, else: :minor))
    Mlx.Telemetry.execute([:memory, :collect], info(), %{major?: major?})
  end
end
