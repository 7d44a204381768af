defmodule Mlx.StreamTest do
  # The default device, the limits and the streams are the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.Stream

  doctest Stream

  @f32 {:f, 32}
  @cpu_only Mlx.Device.available() == [:cpu]

  defp add(a, b), do: op(:add, [a, b], {@f32, {2}})
  defp numbers, do: tensor([1.0, 2.0])

  test "new takes the default device" do
    assert %Stream{device: device, ref: ref} = Stream.new()
    assert device == Mlx.Device.default()
    assert is_reference(ref)
  end

  test "new refuses what is no device" do
    assert_raise ArgumentError, ~r/^\[stream_new\] expected :cpu or :gpu, got tpu/, fn ->
      Stream.new(:tpu)
    end
  end

  @tag skip: not @cpu_only && "this machine has every device"
  test "new refuses a device that the machine lacks" do
    assert_raise Mlx.UnsupportedError, "[stream] this machine has no device gpu", fn ->
      Stream.new(:gpu)
    end
  end

  test "with_stream answers what the function answers" do
    assert Stream.with_stream(Stream.new(), fn -> {:ok, 1} end) == {:ok, 1}
  end

  test "with_stream takes a stream and a function of no arguments" do
    for arguments <- [[nil, fn -> 1 end], [make_ref(), fn -> 1 end], [Stream.new(), & &1]] do
      error = assert_raise ArgumentError, fn -> apply(Stream, :with_stream, arguments) end
      assert error.message =~ ~r/^\[with_stream\] expected a (stream|function without arg)/
    end
  end

  test "calls nest" do
    [outer, inner] = [Stream.new(), Stream.new()]
    assert Stream.where() == nil

    Stream.with_stream(outer, fn ->
      assert Stream.where() == outer.ref
      Stream.with_stream(inner, fn -> assert Stream.where() == inner.ref end)
      assert Stream.where() == outer.ref
      Stream.with_stream(outer, fn -> assert Stream.where() == outer.ref end)
      assert Stream.where() == outer.ref
    end)

    assert Stream.where() == nil
  end

  test "the stream before is back after an exception, a throw and an exit" do
    [outer, inner] = [Stream.new(), Stream.new()]

    Stream.with_stream(outer, fn ->
      for end_with <- [fn -> raise "no" end, fn -> throw(:no) end, fn -> exit(:no) end] do
        try do
          Stream.with_stream(inner, end_with)
        catch
          _, _ -> :ok
        end

        assert Stream.where() == outer.ref
      end
    end)

    assert_raise RuntimeError, fn -> Stream.with_stream(outer, fn -> raise "no" end) end
    assert Stream.where() == nil
  end

  test "other processes are not touched" do
    Stream.with_stream(Stream.new(), fn ->
      assert Task.await(Task.async(&Stream.where/0)) == nil
      assert values(Task.await(Task.async(fn -> add(numbers(), numbers()) end))) == [2.0, 4.0]
    end)
  end

  test "tensors cross streams" do
    [a, b] = [Stream.new(), Stream.new()]
    # Each tensor waits, uncomputed, for the stream that it was built under.
    common = add(numbers(), numbers())
    in_a = Stream.with_stream(a, fn -> add(common, numbers()) end)
    in_b = Stream.with_stream(b, fn -> add(in_a, common) end)
    back = add(in_b, in_a)
    in_a_again = Stream.with_stream(a, fn -> add(back, in_b) end)

    assert Stream.with_stream(b, fn -> values(in_a_again) end) == [13.0, 26.0]
    assert Enum.map([common, in_a, in_b, back], &values/1) == [[2, 4], [3, 6], [5, 10], [8, 16]]
    assert Mlx.eval({common, in_a, in_b, back}) == {common, in_a, in_b, back}
  end

  test "synchronize waits for the stream given, else for the one in force" do
    stream = Stream.new()
    {computing, _} = :timer.tc(fn -> values(slow(40)) end)
    handle = Stream.with_stream(stream, fn -> slow(40) end)

    for synchronize <- [
          fn -> Mlx.synchronize(stream) end,
          fn -> Stream.with_stream(stream, fn -> Mlx.synchronize() end) end
        ] do
      Mlx.async_eval(handle)
      assert synchronize.() == :ok
    end

    {reading, _} = :timer.tc(fn -> values(handle) end)
    assert reading < computing / 2
  end

  test "streams do not wait for each other" do
    busy = Stream.new()
    handle = Stream.with_stream(busy, fn -> slow(40) end)

    {long, {short, _}} =
      :timer.tc(fn ->
        waiting = Task.async(fn -> Stream.with_stream(busy, fn -> values(handle) end) end)
        Process.sleep(20)

        other =
          :timer.tc(fn ->
            Stream.with_stream(Stream.new(), fn -> values(add(numbers(), numbers())) end)
          end)

        Task.await(waiting)
        other
      end)

    assert short < long / 2
  end

  test "tensors outlive the stream that they were built under" do
    tensors =
      for _ <- 1..4 do
        stream = Stream.new()
        Stream.with_stream(stream, fn -> add(numbers(), numbers()) end)
      end

    # Nobody holds the streams; the tensors, not computed yet, need them.
    :erlang.garbage_collect()
    assert Enum.map(tensors, &values/1) == List.duplicate([2.0, 4.0], 4)
    assert values(add(hd(tensors), numbers())) == [3.0, 6.0]
  end

  test "a hundred streams come and go, and their threads are used again" do
    use_streams = fn count ->
      for i <- 1..count do
        stream = Stream.new(:cpu)
        result = Stream.with_stream(stream, fn -> add(tensor([i, i]), numbers()) end)
        assert values(result) == [i + 1.0, i + 2.0]
        :erlang.garbage_collect()
      end
    end

    use_streams.(5)
    threads = Mlx.VM.threads()
    use_streams.(100)
    if threads, do: assert(Mlx.VM.threads() <= threads + 2)
  end

  test "eight processes share one stream" do
    stream = Stream.new()

    results =
      1..8
      |> Task.async_stream(fn i ->
        Stream.with_stream(stream, fn ->
          for j <- 1..50, do: values(add(tensor([i, j]), numbers()))
        end)
      end)
      |> Enum.map(fn {:ok, values} -> values end)

    assert results == for(i <- 1..8, do: for(j <- 1..50, do: [i + 1.0, j + 2.0]))
  end
end
