defmodule Mlx.Calls do
  @moduledoc """
  The part of a process whose functions native code calls, as `Mlx.Backend` plays it.
  """

  import Mlx.Handles
  alias Mlx.NIF

  @doc "Answers calls with `fun`, from handles to handles, and returns the op's first result or its exception."
  def serve(ref, session, fun) do
    receive do
      {^ref, :call, arguments} ->
        NIF.callback_reply(session, fun.(arguments))
        serve(ref, session, fun)

      {^ref, :done, [handle | _]} ->
        handle

      {^ref, :failed, exception} ->
        exception
    after
      30_000 -> raise "no message from the native side"
    end
  end

  @doc "The function that adds."
  def add([element, accumulator]) do
    [op(:add, [element, accumulator], NIF.type_of(accumulator))]
  end

  @doc "Starts the sum of `handle`'s elements by a function. Returns its reference and session."
  def start_reduce(handle, where \\ nil) do
    {type, _} = NIF.type_of(handle)
    zero = op(:constant, [], {type, {}}, value: 0, type: type, shape: {})
    ref = make_ref()
    out = {type, {}}
    {ref, NIF.op_with_function(ref, :reduce, [handle, zero], [axes: [0]], out, where)}
  end
end
