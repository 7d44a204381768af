defmodule Mlx.Compiler.Cache do
  # The programs that `Mlx.Compiler` keeps: a table that any process reads, and a process that owns it and drops the
  # programs which were not used for longest.
  @moduledoc false

  use GenServer

  @table __MODULE__

  @doc """
  The program kept under `key`, or what `build` makes of it, kept from now on. `bytes` tells what it holds.

  Raises `Mlx.Error` where the application is stopped.
  """
  @spec fetch(term(), (-> program), (program -> non_neg_integer())) :: program
        when program: term()
  def fetch(key, build, bytes) do
    start()

    # The key, which may be large, is neither copied out of the table nor looked for twice.
    case :ets.lookup_element(@table, key, 2, nil) do
      {program, used} ->
        :atomics.put(used, 1, now())
        Mlx.Telemetry.execute([:compiler, :hit], %{count: 1}, %{key: key})
        program

      nil ->
        Mlx.Telemetry.execute([:compiler, :miss], %{count: 1}, %{key: key})
        program = build.()
        used = :atomics.new(1, [])
        :atomics.put(used, 1, now())
        :ets.insert(@table, {key, {program, used}, bytes.(program)})
        # The next program is not built before there is room for this one.
        GenServer.call(__MODULE__, :trim, :infinity)
        program
    end
  end

  @doc "The number of programs kept, and the bytes that they hold."
  @spec size() :: {non_neg_integer(), non_neg_integer()}
  def size do
    if running?(), do: rows() |> total(), else: {0, 0}
  end

  @doc "Forgets all programs."
  @spec clear() :: :ok
  def clear do
    if running?(), do: :ets.delete_all_objects(@table)
    :ok
  end

  defp running?, do: :ets.whereis(@table) != :undefined

  # On first use: the core's application knows nothing of compilers.
  defp start do
    if not running?() do
      case Supervisor.start_child(Mlx.Supervisor, __MODULE__) do
        {:ok, _} -> :ok
        {:error, {:already_started, _}} -> :ok
        {:error, :already_present} -> Supervisor.restart_child(Mlx.Supervisor, __MODULE__)
      end
    end
  catch
    :exit, _ ->
      raise Mlx.Error,
        message:
          "[Mlx.Compiler] the application :elixir_mlx is not running, so that no program can be kept: start it with " <>
            "Application.ensure_all_started(:elixir_mlx), or pass cache: false"
  end

  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init(_) do
    :ets.new(@table, [:named_table, :public, read_concurrency: true])
    {:ok, nil}
  end

  @impl true
  def handle_call(:trim, _from, state) do
    rows = rows()
    if not fits?(total(rows)), do: rows |> Enum.sort_by(&elem(&1, 0)) |> trim(total(rows))
    {:reply, :ok, state}
  end

  # The one used last stays, however large it is: it would be built anew for each call.
  defp trim([_last], _total), do: :ok

  defp trim([{_used, bytes, key} | rest], {count, sum} = total) do
    if not fits?(total) do
      :ets.delete(@table, key)
      trim(rest, {count - 1, sum - bytes})
    end
  end

  # When each was used, its bytes and its key.
  defp rows do
    rows = :ets.select(@table, [{{:"$1", {:_, :"$2"}, :"$3"}, [], [{{:"$2", :"$3", :"$1"}}]}])
    for {used, bytes, key} <- rows, do: {:atomics.get(used, 1), bytes, key}
  end

  defp total(rows), do: {length(rows), rows |> Enum.map(&elem(&1, 1)) |> Enum.sum()}

  # `:infinity` is no bound: atoms are more than numbers.
  defp fits?({count, bytes}) do
    count <= Application.get_env(:elixir_mlx, :program_cache_size, 256) and
      bytes <= Application.get_env(:elixir_mlx, :program_cache_bytes, 1_073_741_824)
  end

  defp now, do: System.monotonic_time()
end
