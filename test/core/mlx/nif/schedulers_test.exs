defmodule Mlx.NIF.SchedulersTest do
  # It watches the schedulers.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.NIF

  # A singular system, known to be one when the op is built; at 400 elements on a dirty scheduler.
  defp singular_system(size) do
    type = {{:f, 32}, {size, size}}
    zeros = NIF.from_binary(type, :binary.copy(<<0::32>>, size * size), nil)
    vector = NIF.from_binary({{:f, 32}, {size}}, :binary.copy(<<0::32>>, size), nil)
    {[zeros, vector], {{:f, 32}, {size}}}
  end

  test "a normal scheduler raises" do
    {operands, out} = singular_system(2)

    assert_raise ArgumentError, ~r/singular/, fn ->
      NIF.op(:triangular_solve, operands, [], out, nil)
    end
  end

  test "an op that moved to a dirty scheduler raises the same, and the VM knows the caller" do
    {operands, out} = singular_system(20)

    error =
      assert_raise ArgumentError, ~r/singular/, fn ->
        NIF.op(:triangular_solve, operands, [], out, nil)
      end

    {operands, out} = singular_system(2)

    assert_raise ArgumentError, error.message, fn ->
      NIF.op(:triangular_solve, operands, [], out, nil)
    end

    # Operands were given back on both ways.
    for operand <- operands, do: assert(NIF.deallocate(operand) == :ok)
  end

  test "an index out of bounds raises on both kinds of scheduler" do
    for count <- [10, 100_000] do
      numbers = numbers(count)
      NIF.eval([numbers])
      index = NIF.from_binary({{:s, 32}, {1, 1}}, <<count::32-native>>, nil)

      assert_raise ArgumentError, ~r/index #{count} is out of bounds/, fn ->
        NIF.op(:gather, [numbers, index], [axes: [0]], {{:f, 32}, {1}}, nil)
      end
    end
  end

  test "functions that always run on a dirty scheduler raise" do
    assert_raise ArgumentError, ~r/^\[address\] expected a tensor/, fn -> NIF.address(:x) end
    assert_raise ArgumentError, ~r/^\[synchronize\] expected/, fn -> NIF.synchronize(:x) end
    assert_raise ArgumentError, ~r/^\[stream_new\] expected/, fn -> NIF.stream_new(:x) end
  end

  test "many processes raise at once on all schedulers" do
    {operands, out} = singular_system(20)

    errors =
      1..64
      |> Task.async_stream(
        fn _ ->
          for _ <- 1..20 do
            assert_raise(ArgumentError, fn ->
              NIF.op(:triangular_solve, operands, [], out, nil)
            end).message
          end
        end,
        max_concurrency: 64
      )
      |> Enum.flat_map(fn {:ok, messages} -> messages end)

    assert length(errors) == 64 * 20
    assert [_] = Enum.uniq(errors)
  end

  test "long evaluations leave the normal schedulers alone" do
    :erlang.system_monitor(self(), [{:long_schedule, 200}])
    on_exit(fn -> :erlang.system_monitor(:undefined) end)

    waits = [
      fn -> values(slow(60)) end,
      fn -> NIF.eval([slow(60)]) end,
      fn ->
        NIF.async_eval([slow(60)])
        NIF.synchronize(nil)
      end,
      fn -> NIF.address(slow(60)) end
    ]

    waits
    |> Enum.map(fn wait ->
      Task.async(fn ->
        {microseconds, _} = :timer.tc(wait)
        # Else this test shows nothing.
        assert microseconds > 250_000
        self()
      end)
    end)
    |> Task.await_many(60_000)
    |> then(fn pids ->
      # The monitor tells of the whole VM; others are none of our business.
      for pid <- pids, do: refute_received({:monitor, ^pid, :long_schedule, _})
    end)
  end
end
