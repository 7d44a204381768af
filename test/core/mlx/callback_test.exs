defmodule Mlx.CallbackTest do
  # Functions that native code calls while it builds an op. The tests count threads, which are the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles
  import Mlx.Calls
  alias Mlx.{NIF, VM}

  @s32 {:s, 32}

  defp vector, do: tensor(Enum.to_list(1..100), @s32)

  defp assert_threads_return(before) do
    if before, do: assert(eventually(fn -> VM.threads() <= before end))
  end

  test "the function's results make the op's result" do
    {ref, session} = start_reduce(vector())
    assert values(serve(ref, session, &add/1)) == [5050]
  end

  test "window_reduce calls the function as well" do
    zero = op(:constant, [], {@s32, {}}, value: 0, type: @s32, shape: {})
    ref = make_ref()
    attributes = [window: {2}, padding: [{0, 0}], strides: [2], window_dilations: [1]]
    operands = [tensor([1, 2, 3, 4], @s32), zero]
    session = NIF.op_with_function(ref, :window_reduce, operands, attributes, {@s32, {2}}, nil)
    assert values(serve(ref, session, &add/1)) == [3, 7]
  end

  test "the function may evaluate, read, and start further ops with functions" do
    {ref, session} = start_reduce(vector())

    nested = fn [element, accumulator] ->
      Mlx.eval(element)
      {inner, inner_session} = start_reduce(tensor([1, 2, 3], @s32))
      assert values(serve(inner, inner_session, &add/1)) == [6]
      assert [_ | _] = values(accumulator)
      add([element, accumulator])
    end

    assert values(serve(ref, session, nested)) == [5050]
  end

  test "another process may answer" do
    {ref, session} = start_reduce(vector())
    answer = fn arguments -> Task.await(Task.async(fn -> add(arguments) end)) end
    assert values(serve(ref, session, answer)) == [5050]
  end

  test "the op runs where it is told to" do
    stream = Mlx.Stream.new()
    {ref, session} = start_reduce(vector(), stream.ref)
    assert values(serve(ref, session, &add/1)) == [5050]
  end

  test "a function that fails ends the op, and the next one works" do
    for _ <- 1..20 do
      {ref, session} = start_reduce(vector())

      fail = fn _ ->
        NIF.callback_failed(session)
        [tensor([0], @s32)]
      end

      assert %Mlx.Error{message: "[callback] the function raised"} = serve(ref, session, fail)
    end

    {ref, session} = start_reduce(vector())
    assert values(serve(ref, session, &add/1)) == [5050]
  end

  test "answers of the wrong number, type or shape are refused" do
    answers = [
      {fn _ -> [] end, ArgumentError, ~r/one tensor/},
      {fn [a, b] -> [a, b] end, ArgumentError, ~r/one tensor/},
      {fn _ -> [tensor([1, 2, 3, 4, 5, 6, 7], @s32)] end, ArgumentError, ~r/./}
    ]

    for {fun, exception, text} <- answers do
      {ref, session} = start_reduce(vector())
      assert %^exception{message: message} = serve(ref, session, fun)
      assert message =~ text
    end
  end

  test "an answer that is no tensor raises where it is given, and the op goes on" do
    {ref, session} = start_reduce(vector())

    answer = fn arguments ->
      for wrong <- [[nil], [make_ref()], :none, [1 | 2]] do
        assert_raise ArgumentError, ~r/^\[callback_reply\] expected/, fn ->
          NIF.callback_reply(session, wrong)
        end
      end

      add(arguments)
    end

    assert values(serve(ref, session, answer)) == [5050]
  end

  test "the op's errors come as messages" do
    handle = vector()
    ref = make_ref()
    # The accumulator is no scalar.
    NIF.op_with_function(ref, :reduce, [handle, handle], [axes: [0]], {@s32, {}}, nil)
    assert_receive {^ref, :failed, %ArgumentError{message: "[reduce]" <> _}}, 5000
  end

  test "a process killed in the middle of a call leaves no thread behind" do
    before = VM.threads()
    parent = self()

    for _ <- 1..20 do
      {pid, monitor} =
        spawn_monitor(fn ->
          {ref, _session} = start_reduce(vector())

          receive do
            {^ref, :call, _} -> send(parent, {self(), :called})
          end

          Process.sleep(:infinity)
        end)

      assert_receive {^pid, :called}, 5000
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5000
    end

    assert_threads_return(before)
    {ref, session} = start_reduce(vector())
    assert values(serve(ref, session, &add/1)) == [5050]
  end

  test "a process that ends before it is called leaves no thread behind" do
    before = VM.threads()

    for _ <- 1..50 do
      {_, monitor} = spawn_monitor(fn -> start_reduce(vector()) end)
      assert_receive {:DOWN, ^monitor, :process, _, :normal}, 5000
    end

    assert_threads_return(before)
  end

  test "a process killed while its function evaluates leaves no thread behind" do
    before = VM.threads()
    parent = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        {ref, session} = start_reduce(vector())

        serve(ref, session, fn arguments ->
          send(parent, :called)
          Mlx.eval(slow(10))
          add(arguments)
        end)
      end)

    assert_receive :called, 5000
    Process.sleep(20)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 30_000
    assert_threads_return(before)
    {ref, session} = start_reduce(vector())
    assert values(serve(ref, session, &add/1)) == [5050]
  end

  test "a session that nobody answers is cancelled once it is collected" do
    before = VM.threads()

    # The process lives on and drops the only way to answer.
    {ref, _} = start_reduce(vector())
    assert_receive {^ref, :call, _}, 5000

    assert eventually(fn ->
             :erlang.garbage_collect()
             VM.threads() == nil or VM.threads() <= before
           end)

    assert_receive {^ref, :failed, %Mlx.Error{message: "[callback]" <> _}}, 5000
  end

  test "eight processes run functions at once" do
    results =
      1..8
      |> Task.async_stream(fn _ ->
        for _ <- 1..20 do
          {ref, session} = start_reduce(vector())
          values(serve(ref, session, &add/1))
        end
      end)
      |> Enum.flat_map(fn {:ok, results} -> results end)

    assert Enum.uniq(results) == [[5050]]
  end
end
