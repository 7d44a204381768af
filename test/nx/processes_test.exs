defmodule Mlx.Backend.ProcessesTest do
  # It counts bytes and threads, which are the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles, only: [settled_memory: 0, eventually: 1]
  alias Mlx.VM

  @megabyte 0x100000

  setup do
    Nx.default_backend(Mlx.Backend)
    :ok
  end

  defp here(fun) do
    Task.async(fn ->
      Nx.default_backend(Mlx.Backend)
      fun.()
    end)
  end

  import Nx.Defn

  defnp while_not_negative({x}) do
    while({x}, x >= 0, do: {Nx.sin(x) + 0.001})
  end

  # A small network's step: shapes, products, random numbers, functions.
  defp step(key) do
    {x, key} = Nx.Random.normal(key, shape: {16, 8})
    {w, key} = Nx.Random.uniform(key, shape: {8, 4})
    logits = x |> Nx.dot(w) |> Nx.tanh()
    exponents = Nx.exp(Nx.subtract(logits, Nx.reduce_max(logits, axes: [1], keep_axes: true)))
    softmax = Nx.divide(exponents, Nx.sum(exponents, axes: [1], keep_axes: true))
    {Nx.to_number(Nx.sum(softmax)), key}
  end

  test "eight processes work at once and agree" do
    results =
      1..8
      |> Enum.map(fn _ ->
        here(fn ->
          {sums, _} = Enum.map_reduce(1..20, Nx.Random.key(3), fn _, key -> step(key) end)
          sums
        end)
      end)
      |> Task.await_many(60_000)

    assert [sums] = Enum.uniq(results)
    for sum <- sums, do: assert_in_delta(sum, 16.0, 1.0e-4)
  end

  test "eight processes share tensors while one deallocates them" do
    for _ <- 1..20 do
      tensors = for i <- 1..20, do: Nx.add(Nx.iota({100}), i)

      users =
        for _ <- 1..7 do
          here(fn ->
            for {tensor, i} <- Enum.with_index(tensors, 1) do
              try do
                assert Nx.to_number(Nx.sum(tensor)) == 4950 + 100 * i
              rescue
                error in ArgumentError -> assert error.message =~ "the tensor was deallocated"
              end
            end
          end)
        end

      here(fn -> Enum.each(Enum.shuffle(tensors), &Nx.backend_deallocate/1) end) |> Task.await()
      Task.await_many(users)
    end
  end

  test "endless loops of small tensors, one for each scheduler, keep nobody from evaluating" do
    endless = fn x -> {x} |> while_not_negative() |> elem(0) end
    loop = Nx.Defn.jit(endless, compiler: Mlx.Compiler)
    test = self()

    loops =
      for _ <- 1..System.schedulers_online() do
        spawn_monitor(fn ->
          Nx.default_backend(Mlx.Backend)
          send(test, :begun)
          loop.(Nx.tensor(0.5))
        end)
      end

    for _ <- loops, do: assert_receive(:begun, 5000)
    Process.sleep(100)
    sum = here(fn -> Nx.to_number(Nx.sum(Nx.iota({50_000}))) end)
    assert Task.await(sum, 10_000) == 1_249_975_000

    for {pid, monitor} <- loops do
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 10_000
    end
  end

  test "a process killed in the middle of its function leaves nothing behind" do
    threads = VM.threads()
    test = self()

    for stage <- [:sleeping, :evaluating, :nested], _ <- 1..5 do
      {pid, monitor} =
        spawn_monitor(fn ->
          Nx.default_backend(Mlx.Backend)

          Nx.reduce(Nx.iota({50}), 0, fn x, acc ->
            send(test, {self(), :called})

            case stage do
              :sleeping -> Process.sleep(:infinity)
              :evaluating -> for _ <- 1..10_000, do: Nx.to_number(Nx.sum(Nx.iota({10_000})))
              :nested -> Nx.reduce(Nx.iota({50}), 0, fn _, _ -> Process.sleep(:infinity) end)
            end

            Nx.add(x, acc)
          end)
        end)

      assert_receive {^pid, :called}, 5000
      Process.sleep(5)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 10_000
    end

    assert Nx.to_number(Nx.reduce(Nx.iota({50}), 0, &Nx.add/2)) == 1225
    if threads, do: assert(eventually(fn -> VM.threads() <= threads + 1 end))
  end

  test "the memory is back at its start after 100,000 ops" do
    round = fn ->
      here(fn ->
        Enum.reduce(1..25_000, Nx.tensor(1.0), fn i, acc ->
          # Four ops each, and now and then a reader.
          acc = acc |> Nx.add(i) |> Nx.multiply(0.5) |> Nx.max(0)
          if rem(i, 50) == 0, do: assert(is_float(Nx.to_number(acc)))
          Nx.negate(acc)
          acc
        end)
      end)
      |> Task.await(120_000)

      {settled_memory(), VM.resident_bytes() || 0}
    end

    steady =
      Enum.reduce_while(1..5, round.(), fn _, {active, resident} ->
        {active_after, resident_after} = round.()

        if active_after <= active and resident_after - resident < 24 * @megabyte,
          do: {:halt, :steady},
          else: {:cont, {active_after, resident_after}}
      end)

    assert steady == :steady
  end

  test "100,000 messages in the mailbox change no result" do
    work = fn ->
      {sums, _} = Enum.map_reduce(1..10, Nx.Random.key(3), fn _, key -> step(key) end)
      {sums, Nx.to_number(Nx.reduce(Nx.iota({100}), 0, &Nx.add/2))}
    end

    expected = Task.await(here(work))

    with_mailbox =
      here(fn ->
        for i <- 1..100_000, do: send(self(), {make_ref(), :done, [i]})
        result = work.()
        {:message_queue_len, count} = Process.info(self(), :message_queue_len)
        {result, count}
      end)

    assert Task.await(with_mailbox, 60_000) == {expected, 100_000}
  end

  test "the application stops and starts under tensors" do
    tensor = Nx.tensor([1, 2])

    ExUnit.CaptureLog.capture_log(fn ->
      :ok = Application.stop(:elixir_mlx)
      assert Nx.to_flat_list(Nx.add(tensor, 1)) == [2, 3]
      {:ok, _} = Application.ensure_all_started(:elixir_mlx)
    end)

    assert Nx.to_flat_list(Nx.add(tensor, Nx.tensor([1, 1]))) == [2, 3]
  end

  test "the native module is reloaded under tensors" do
    tensor = Nx.tensor([1, 2])
    lazy = Nx.add(tensor, 1)

    for _ <- 1..3 do
      :code.purge(Mlx.NIF)
      assert {:module, Mlx.NIF} = :code.load_file(Mlx.NIF)
      assert Nx.to_flat_list(Nx.add(tensor, lazy)) == [3, 5]
      assert Nx.to_number(Nx.reduce(tensor, 0, &Nx.add/2)) == 3
    end
  end
end
