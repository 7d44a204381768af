defmodule Mlx.ProcessesTest do
  # It counts threads and bytes, which are the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.{NIF, VM}

  @f32 {:f, 32}
  @s32 {:s, 32}
  @megabyte 0x100000

  defp assert_healthy do
    a = tensor([1.0, 2.0])
    assert values(op(:add, [a, a], {@f32, {2}})) == [2.0, 4.0]
    assert Mlx.synchronize() == :ok
  end

  # What an op on a tensor that others may deallocate answers.
  defp gone_or(fun) do
    fun.()
  rescue
    error in ArgumentError ->
      assert error.message =~ "the tensor was deallocated"
      :gone
  end

  test "eight processes use the same tensors" do
    a = numbers(1000)
    b = op(:add, [a, a], {@f32, {1000}})

    work = fn ->
      for _ <- 1..100 do
        sum = op(:add, [a, b], {@f32, {1000}})
        total = op(:sum, [sum], {@f32, {}})
        [total] = values(total)
        {total, NIF.to_binary(b, 2), NIF.type_of(a), values(NIF.copy(b)) |> List.last()}
      end
    end

    results = 1..8 |> Enum.map(fn _ -> Task.async(work) end) |> Task.await_many(30_000)

    assert Enum.uniq(List.flatten(results)) == [
             {1_498_500.0, <<0.0::float-32-native, 2.0::float-32-native>>, {@f32, {1000}}, 1998.0}
           ]
  end

  test "eight processes use the same tensors while one deallocates them" do
    for _ <- 1..50 do
      handles = for i <- 1..20, do: op(:add, [tensor([1.0 * i]), tensor([1.0])], {@f32, {1}})

      use_all = fn ->
        for {handle, i} <- Enum.with_index(handles, 1) do
          expected = [2.0 * (i + 1.0)]
          answer = gone_or(fn -> values(op(:add, [handle, handle], {@f32, {1}})) end)
          assert answer in [expected, :gone]
          assert gone_or(fn -> NIF.eval([handle]) end) in [:ok, :gone]
          assert gone_or(fn -> NIF.address(handle) > 0 end) in [true, :gone]
          assert gone_or(fn -> values(NIF.copy(handle)) end) in [[i + 1.0], :gone]
          answer == :gone
        end
      end

      free_all = fn -> for handle <- Enum.shuffle(handles), do: NIF.deallocate(handle) end

      users = for _ <- 1..7, do: Task.async(use_all)
      freed = Task.await(Task.async(free_all))
      Task.await_many(users)
      assert Enum.all?(freed, &(&1 == :ok))
      for handle <- handles, do: assert(NIF.deallocate(handle) == :already_deallocated)
    end
  end

  test "a tensor is deallocated once, whoever asks" do
    for _ <- 1..200 do
      handle = tensor([1.0])

      answers =
        1..4
        |> Enum.map(fn _ -> Task.async(fn -> NIF.deallocate(handle) end) end)
        |> Task.await_many()

      assert Enum.count(answers, &(&1 == :ok)) == 1
    end
  end

  test "tensors go from process to process" do
    last =
      Enum.reduce(1..200, tensor([0.0]), fn _, handle ->
        Task.await(Task.async(fn -> op(:add, [handle, tensor([1.0])], {@f32, {1}}) end))
      end)

    assert values(last) == [200.0]
  end

  test "a process that is killed while it evaluates leaves the VM well and its memory free" do
    before = settled_memory()

    waits = [
      fn -> NIF.eval([slow(15)]) end,
      fn -> values(slow(15)) end,
      fn ->
        NIF.async_eval([slow(15)])
        NIF.synchronize(nil)
      end,
      fn -> Mlx.Stream.with_stream(Mlx.Stream.new(), fn -> values(slow(15)) end) end
    ]

    for wait <- waits do
      # Again and again, so that it is at work however late the signal comes.
      {pid, monitor} = spawn_monitor(fn -> Enum.each(Stream.repeatedly(wait), & &1) end)
      Process.sleep(30)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 30_000
      assert_healthy()
    end

    assert eventually(fn -> settled_memory() < before + @megabyte end)
  end

  test "many processes are killed while they evaluate" do
    before = settled_memory()
    threads = VM.threads()

    for round <- 1..10 do
      workers =
        for i <- 1..8 do
          spawn_monitor(fn ->
            Enum.each(Stream.iterate(1, &(&1 + 1)), fn j ->
              values(op(:add, [numbers(10_000 * i), tensor([1.0 * j])], {@f32, {10_000 * i}}))
            end)
          end)
        end

      Process.sleep(3 * round)
      for {pid, _} <- workers, do: Process.exit(pid, :kill)

      for {pid, monitor} <- workers do
        assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 30_000
      end
    end

    assert_healthy()
    assert eventually(fn -> settled_memory() < before + @megabyte end)
    if threads, do: assert(VM.threads() <= threads + 2)
  end

  test "loops that last hold neither a scheduler nor the engine, and end with their processes" do
    large = {@f32, {300, 300}}
    body = {[{0, "", large}], [{1, {:op, :cos, [0], [], [large], nil}}], [1]}

    # Of cosines it always holds.
    condition =
      {[{0, "", large}],
       [
         {1, {:op, :sum, [0], [], [{@f32, {}}], nil}},
         {2, {:constant, tensor([-1.0]) |> then(&op(:sum, [&1], {@f32, {}}))}},
         {3, {:op, :greater, [1, 2], [], [{{:u, 8}, {}}], nil}}
       ], [3]}

    loop =
      NIF.program_build({[{0, "x", large}], [{1, {:while, [0], [], condition, body}}], [1]}, [])

    start = op(:reshape, [numbers(90_000)], large, shape: [300, 300])
    before = settled_memory()

    workers =
      for _ <- 1..(System.schedulers_online() + 2) do
        spawn_monitor(fn -> Mlx.Session.run_program(loop, [start], nil) end)
      end

    Process.sleep(20)

    for i <- 1..10 do
      [sum] =
        values(
          op(:sum, [op(:add, [numbers(50_000), tensor([1.0 * i])], {@f32, {50_000}})], {@f32, {}})
        )

      assert_in_delta sum / (1_249_975_000 + 50_000 * i), 1.0, 1.0e-5
    end

    for {pid, monitor} <- workers do
      assert Process.alive?(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 30_000
    end

    # Nothing of them is left at work: the engine is idle.
    assert_healthy()
    assert eventually(fn -> settled_memory() < before + @megabyte end)
  end

  test "100,000 messages in the mailbox change neither results nor how an op waits" do
    work = fn ->
      for i <- 1..200 do
        a = op(:add, [tensor([1.0 * i]), tensor([1.0])], {@f32, {1}})
        Mlx.eval(a)
        values(a)
      end
    end

    with_mailbox = fn count ->
      Task.async(fn ->
        for i <- 1..count//1, do: send(self(), {:unread, i})
        # A first round outside of the clock: code, heap and threads are there then.
        work.()
        {microseconds, values} = :timer.tc(work)
        {:message_queue_len, length} = Process.info(self(), :message_queue_len)
        assert length == count
        {microseconds, values}
      end)
      |> Task.await(60_000)
    end

    {_, expected} = with_mailbox.(0)
    {microseconds, values} = with_mailbox.(100_000)
    assert values == expected
    # A scan of the mailbox takes 1 ms or more; these are 600 calls.
    assert microseconds < 600_000
  end

  test "100,000 messages in the mailbox do not reach a function that native code calls" do
    Task.async(fn ->
      for i <- 1..100_000, do: send(self(), {make_ref(), :call, [i]})
      ref = make_ref()
      zero = op(:constant, [], {@s32, {}}, value: 0, type: @s32, shape: {})
      operands = [tensor(Enum.to_list(1..100), @s32), zero]
      session = NIF.op_with_function(ref, :reduce, operands, [axes: [0]], {@s32, {}}, nil)
      assert values(Mlx.Calls.serve(ref, session, &Mlx.Calls.add/1)) == [5050]
      {:message_queue_len, length} = Process.info(self(), :message_queue_len)
      assert length == 100_000
    end)
    |> Task.await(60_000)
  end
end
