# The cases of `make bench-nx`, on Mlx.Backend. bench/compare.py writes the name of a case on a line and reads a line
# with the microseconds of each measurement, by the clock and of all CPUs; the line `list` asks for the names, and
# `memory NAME CALLS` for the bytes that tensors and the process hold before and after so many calls.
#
# With a third argument `reference`, those of reference.exs alone, on Nx.BinaryBackend.
#
# usage: mix run bench/nx.exs PER_BLOCK SECONDS [reference]

# Each block runs in a process of its own, and the other setting is for one process.
Nx.global_default_backend(
  if "reference" in System.argv(), do: Nx.BinaryBackend, else: Mlx.Backend
)

Code.require_file("nn.exs", __DIR__)
Code.require_file("reference.exs", __DIR__)

defmodule Bench.Functions do
  import Nx.Defn

  defn twenty(x) do
    five(five(five(five(five(x, x), x), x), x), x)
  end

  defnp(five(value, x), do: Nx.tanh(value * x + x) - x)

  defn forward(x, {w1, b1, w2, b2, w3, b3}) do
    x |> layer(w1, b1) |> Nx.max(0) |> layer(w2, b2) |> Nx.max(0) |> layer(w3, b3)
  end

  defnp(layer(x, w, b), do: Nx.dot(x, w) + b)

  defn sgd_step(x, params) do
    gradients = grad(params, fn params -> x |> forward(params) |> Nx.pow(2) |> Nx.mean() end)
    update(params, gradients)
  end

  deftransformp update(params, gradients) do
    [params, gradients]
    |> Enum.map(&Tuple.to_list/1)
    |> Enum.zip_with(fn [p, g] -> Nx.subtract(p, Nx.multiply(1.0e-3, g)) end)
    |> List.to_tuple()
  end

  defn while_constant(x) do
    {_, x} =
      while {i = 0, x}, i < 1000 do
        {i + 1, x * 0.5 + 1.0}
      end

    x
  end

  defn while_run_time(x, bound) do
    {_, x, _} =
      while {i = 0, x, bound}, i < bound do
        {i + 1, x * 0.5 + 1.0, bound}
      end

    x
  end

  defn lazy(flag, x) do
    if flag, do: Nx.sum(Nx.dot(x, x)), else: x[0][0]
  end
end

defmodule Bench do
  alias Bench.Functions

  def waves(shape) do
    shape |> Nx.iota(type: :f64) |> Nx.sin() |> Nx.as_type(:f32) |> Mlx.eval()
  end

  # Case -> function that makes inputs and answers what is timed, with the number of ops in one call.
  def cases do
    if "reference" in System.argv(), do: Bench.Reference.cases(), else: all_cases()
  end

  defp all_cases do
    Bench.Networks.cases(&waves/1)
    |> Map.merge(Bench.Reference.cases())
    |> Map.merge(%{
      "build_add_f32_10" => fn -> pair(fn a, b -> Nx.add(a, b) end) end,
      "build_eval_add_f32_10" => fn -> pair(fn a, b -> Mlx.eval(Nx.add(a, b)) end) end,
      "add_then_to_binary_f32_10" => fn -> pair(fn a, b -> Nx.to_binary(Nx.add(a, b)) end) end,
      "add_with_100000_messages_waiting" => fn -> add_among_messages(:on_heap) end,
      "add_with_100000_messages_off_heap" => fn -> add_among_messages(:off_heap) end,
      "chain_100_adds_f32_10" => fn ->
        pair(fn a, b -> Mlx.eval(Enum.reduce(1..100, a, fn _, sum -> Nx.add(sum, b) end)) end)
      end,
      "elementwise_20_f32_1000" => fn ->
        x = waves({1000})

        fn ->
          Mlx.eval(
            Enum.reduce(1..5, x, fn _, value ->
              value |> Nx.multiply(x) |> Nx.add(x) |> Nx.tanh() |> Nx.subtract(x)
            end)
          )
        end
      end,
      "read_4_mib" => fn ->
        a = waves({1024, 1024})
        fn -> Nx.to_binary(a) end
      end,
      "dot_1024_f32" => fn ->
        a = waves({1024, 1024})
        fn -> Mlx.eval(Nx.dot(a, a)) end
      end,
      "program_elementwise_20_f32_1000" => fn ->
        compiled(&Functions.twenty/1, [waves({1000})])
      end,
      "jit_elementwise_20_f32_1000" => fn ->
        x = waves({1000})
        fn -> Mlx.eval(Nx.Defn.jit(&Functions.twenty/1, compiler: Mlx.Compiler).(x)) end
      end,
      "program_mlp_forward_64x784" => fn -> compiled(&Functions.forward/2, mlp()) end,
      "program_mlp_sgd_step_64x784" => fn -> compiled(&Functions.sgd_step/2, mlp()) end,
      "program_while_1000_constant" => fn ->
        compiled(&Functions.while_constant/1, [waves({10})])
      end,
      "program_while_1000_run_time" => fn ->
        compiled(&Functions.while_run_time/2, [waves({10}), Nx.tensor(1000)])
      end,
      "program_cond_lazy_dot_256" => fn ->
        compiled(&Functions.lazy/2, [Nx.tensor(0, type: :u8), waves({256, 256})])
      end,
      "adds_by_4_processes" => fn ->
        a = waves({10})
        adds = fn -> for _ <- 1..500, do: Mlx.eval(Nx.add(a, a)) end
        {2000, fn -> 1..4 |> Enum.map(fn _ -> Task.async(adds) end) |> Task.await_many() end}
      end
    })
  end

  defp compiled(fun, args) do
    run = Nx.Defn.compile(fun, args, compiler: Mlx.Compiler)
    # Past the runs after which kernels are fused.
    for _ <- 1..20, do: Mlx.eval(apply(run, args))
    fn -> Mlx.eval(apply(run, args)) end
  end

  defp add_among_messages(where) do
    Process.flag(:message_queue_data, where)
    for i <- 1..100_000, do: send(self(), {:waiting, i})
    pair(fn a, b -> Mlx.eval(Nx.add(a, b)) end)
  end

  defp mlp do
    layers = for {n, m} <- [{784, 512}, {512, 512}, {512, 10}], s <- [{n, m}, {m}], do: waves(s)
    [waves({64, 784}), List.to_tuple(layers)]
  end

  defp pair(fun) do
    a = waves({10})
    b = waves({10})
    fn -> fun.(a, b) end
  end

  # Bytes of tensors and of this system's process, once a case is prepared and after so many calls.
  def memory(name, calls) do
    Task.async(fn ->
      body = Map.fetch!(cases(), name).()
      prepared = held()
      repeat(body, calls)
      [prepared, held()]
    end)
    |> Task.await(:infinity)
  end

  defp held do
    :erlang.garbage_collect()
    [_, resident | _] = "/proc/self/statm" |> File.read!() |> String.split()
    [Mlx.Memory.active(), String.to_integer(resident) * 4096]
  end

  # In a process of its own, so that each block starts with a fresh heap and mailbox.
  def measure(name, per_block, seconds) do
    Task.async(fn ->
      {calls, body} =
        case Map.fetch!(cases(), name).() do
          {calls, body} -> {calls, body}
          body -> {1, body}
        end

      body.()
      {once, _} = :timer.tc(body)
      count = max(1, ceil(seconds * 1.0e6 / max(once, 1)))
      {before, _} = :erlang.statistics(:runtime)
      times = for _ <- 1..per_block, do: microseconds(body, count) / count / calls
      # Counted in milliseconds, hence for all of them together.
      {now, _} = :erlang.statistics(:runtime)
      cpu = (now - before) * 1000 / (count * calls * per_block)
      Enum.map(times, &[&1, cpu])
    end)
    |> Task.await(:infinity)
  end

  defp microseconds(body, count) do
    start = System.monotonic_time(:nanosecond)
    repeat(body, count)
    (System.monotonic_time(:nanosecond) - start) / 1000
  end

  defp repeat(_body, 0), do: :ok

  defp repeat(body, count) do
    body.()
    repeat(body, count - 1)
  end
end

[per_block, seconds | _] = System.argv()
per_block = String.to_integer(per_block)
seconds = String.to_float(seconds)

IO.stream()
|> Stream.map(&String.trim/1)
|> Enum.each(fn
  "list" ->
    Bench.cases() |> Map.keys() |> Enum.join(" ") |> IO.puts()

  "memory " <> case_and_calls ->
    [name, calls] = String.split(case_and_calls)
    name |> Bench.memory(String.to_integer(calls)) |> inspect() |> IO.puts()

  name ->
    name
    |> Bench.measure(per_block, seconds)
    |> inspect(limit: :infinity, charlists: :as_lists)
    |> IO.puts()
end)
