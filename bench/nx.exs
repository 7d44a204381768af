# The cases of `make bench-nx`, on Mlx.Backend. bench/compare.py writes the name of a case on a line and reads a line
# with the microseconds of each measurement; the line `list` asks for the names.
#
# usage: mix run bench/nx.exs PER_BLOCK SECONDS

# Each block runs in a process of its own, and the other setting is for one process.
Nx.global_default_backend(Mlx.Backend)

defmodule Bench do
  def waves(shape) do
    count = shape |> Tuple.to_list() |> Enum.product()
    values = for i <- 0..(count - 1), into: <<>>, do: <<:math.sin(i)::float-32-native>>
    values |> Nx.from_binary(:f32) |> Nx.reshape(shape) |> Mlx.eval()
  end

  # Case -> function that makes inputs and answers what is timed, with the number of ops in one call.
  def cases do
    %{
      "build_add_f32_10" => fn -> pair(fn a, b -> Nx.add(a, b) end) end,
      "build_eval_add_f32_10" => fn -> pair(fn a, b -> Mlx.eval(Nx.add(a, b)) end) end,
      "add_then_to_binary_f32_10" => fn -> pair(fn a, b -> Nx.to_binary(Nx.add(a, b)) end) end,
      "add_with_100000_messages_waiting" => fn ->
        for i <- 1..100_000, do: send(self(), {:waiting, i})
        pair(fn a, b -> Mlx.eval(Nx.add(a, b)) end)
      end,
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
      "adds_by_4_processes" => fn ->
        a = waves({10})
        adds = fn -> for _ <- 1..500, do: Mlx.eval(Nx.add(a, a)) end
        {2000, fn -> 1..4 |> Enum.map(fn _ -> Task.async(adds) end) |> Task.await_many() end}
      end
    }
  end

  defp pair(fun) do
    a = waves({10})
    b = waves({10})
    fn -> fun.(a, b) end
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
      for _ <- 1..per_block, do: microseconds(body, count) / count / calls
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

[per_block, seconds] = System.argv()
per_block = String.to_integer(per_block)
seconds = String.to_float(seconds)

IO.stream()
|> Stream.map(&String.trim/1)
|> Enum.each(fn
  "list" -> Bench.cases() |> Map.keys() |> Enum.join(" ") |> IO.puts()
  name -> name |> Bench.measure(per_block, seconds) |> inspect(limit: :infinity) |> IO.puts()
end)
