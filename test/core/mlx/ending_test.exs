defmodule Mlx.EndingTest do
  @moduledoc """
  A VM may end in any way in the midst of any work: with its own status, what it wrote, and at once. MLXNX_ENDINGS says
  how often each is tried.
  """
  use ExUnit.Case, async: false

  alias Mlx.VM

  @start """
  import Mlx.Handles
  alias Mlx.NIF
  {:ok, _} = Application.ensure_all_started(:elixir_mlx)
  a = tensor([1.0, 2.0])
  sin = fn x -> op(:sin, [x], NIF.type_of(x)) end
  forever = fn step -> spawn(fn -> Enum.each(Stream.repeatedly(step), & &1) end) end
  """

  @works [
    products: "Mlx.async_eval(slow(40))",
    elementwise:
      "Mlx.async_eval(Enum.reduce(1..100, numbers(4_000_000), fn _, x -> sin.(x) end))",
    lapack: """
    shape = {1000, 1000}
    matrix = op(:reshape, [sin.(numbers(1_000_000))], {{:f, 32}, shape}, shape: shape)
    types = [{{:f, 32}, {1000}}, {{:f, 32}, shape}]
    [values, _] = NIF.op_many(:"block:LinAlg.Eigh", [matrix], [], types, nil)
    Mlx.async_eval(values)
    """,
    small: "for _ <- 1..4, do: forever.(fn -> op(:add, [a, a], {{:f, 32}, {2}}) end)",
    evaluations: """
    stream = Mlx.Stream.new()
    forever.(fn -> Mlx.eval(slow(10)) end)
    forever.(fn -> Mlx.Stream.with_stream(stream, fn -> Mlx.eval(slow(10)) end) end)
    """
  ]

  # Erlang takes a second or more by itself to shut applications down, and longer beside busy processes.
  @at_once 1000
  @orderly 10_000

  @endings [
    {"the last line", "", 0, @orderly},
    {"raise", ~s|raise "on purpose"|, 1, @orderly},
    {"exit", "exit({:shutdown, 4})", 4, @orderly},
    {"System.stop", "System.stop(6)\nProcess.sleep(:infinity)", 6, @orderly},
    {"System.halt", "System.halt(3)", 3, @at_once},
    {"a halt that flushes nothing", ":erlang.halt(3, flush: false)", 3, @at_once},
    {"SIGTERM", ~s|System.cmd("kill", ["-TERM", System.pid()])\nProcess.sleep(:infinity)|, 0,
     @orderly},
    {"SIGINT", ~s|System.cmd("kill", ["-INT", System.pid()])\nProcess.sleep(:infinity)|, 0,
     @orderly}
  ]

  for {work, start} <- @works, {ending, stop, status, limit} <- @endings do
    test "#{ending} in the midst of #{work}" do
      for try <- 1..String.to_integer(System.get_env("MLXNX_ENDINGS", "1")) do
        code = """
        #{@start}
        #{unquote(start)}
        Process.sleep(#{rem(try * 37, 100)})
        IO.puts("ends at \#{System.os_time(:millisecond)}")
        #{unquote(stop)}
        """

        {output, status} = VM.run(code)
        ended = System.os_time(:millisecond)
        assert {unquote(status), [_, asked]} = {status, Regex.run(~r/^ends at (\d+)$/m, output)}
        assert ended - String.to_integer(asked) < unquote(limit)
      end
    end
  end
end
