defmodule Mlx.Compiler.Cache do
  # The programs that `Mlx.Compiler` keeps: a table that any process reads, and a process that owns it and drops the
  # programs which were not used for longest.
  @moduledoc false

  use GenServer

  @table __MODULE__

  @doc """
  The program kept under `key`, or what `build` makes of it, kept from now on.

  The key has to be one that `keeps?/1`.
  """
  @spec fetch(term(), (-> program)) :: program when program: term()
  def fetch(key, build) do
    start()
    look_up(key, build)
  end

  @most_terms 100_000

  @doc """
  Whether a program may be kept under `key`: it holds no expressions and is not very large. Copies and hashes repeat what a
  term shares, and an expression of some dozens of nodes may share exponentially much.
  """
  @spec keeps?(term()) :: boolean()
  def keeps?(key), do: is_integer(walk(key, @most_terms))

  # How many more terms may follow, or nil.
  defp walk(_term, left) when left == nil or left <= 0, do: nil
  defp walk(%Nx.Defn.Expr{}, _left), do: nil
  defp walk([head | tail], left), do: walk(tail, walk(head, left - 1))
  defp walk(tuple, left) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> walk(left)
  defp walk(%{} = map, left), do: map |> :maps.to_list() |> walk(left)

  defp walk(fun, left) when is_function(fun) do
    {:env, env} = :erlang.fun_info(fun, :env)
    walk(env, left - 1)
  end

  defp walk(_other, left), do: left - 1

  defp look_up(key, build) do
    case :ets.lookup(@table, key) do
      [{_key, program, _used}] ->
        :ets.update_element(@table, key, {3, now()})
        Mlx.Telemetry.execute([:compiler, :hit], %{count: 1}, %{key: key})
        program

      [] ->
        Mlx.Telemetry.execute([:compiler, :miss], %{count: 1}, %{key: key})
        program = build.()
        :ets.insert(@table, {key, program, now()})
        if :ets.info(@table, :size) > limit(), do: GenServer.cast(__MODULE__, :trim)
        program
    end
  end

  @doc "The number of programs kept."
  def size do
    start()
    :ets.info(@table, :size)
  end

  @doc "Forgets all programs."
  def clear do
    start()
    :ets.delete_all_objects(@table)
    :ok
  end

  # On first use: the core's application knows nothing of compilers.
  defp start do
    if :ets.whereis(@table) == :undefined do
      case Supervisor.start_child(Mlx.Supervisor, __MODULE__) do
        {:ok, _} -> :ok
        {:error, {:already_started, _}} -> :ok
        {:error, :already_present} -> Supervisor.restart_child(Mlx.Supervisor, __MODULE__)
      end
    end
  end

  def start_link(_), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init(_) do
    :ets.new(@table, [:named_table, :public, read_concurrency: true])
    {:ok, nil}
  end

  @impl true
  def handle_cast(:trim, state) do
    excess = :ets.info(@table, :size) - limit()

    if excess > 0 do
      @table
      |> :ets.select([{{:"$1", :_, :"$2"}, [], [{{:"$2", :"$1"}}]}])
      |> Enum.sort_by(&elem(&1, 0))
      |> Enum.take(excess)
      |> Enum.each(fn {_used, key} -> :ets.delete(@table, key) end)
    end

    {:noreply, state}
  end

  defp limit, do: Application.get_env(:elixir_mlx, :program_cache_size, 256)
  defp now, do: System.monotonic_time()
end
