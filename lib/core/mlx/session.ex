defmodule Mlx.Session do
  # Native work that runs on a thread of its own, and calls Elixir functions meanwhile: native/nif/callback.h.
  @moduledoc false

  alias Mlx.NIF

  @doc """
  Starts native work by `start.(ref)`, answers its calls with `fun` (handles to handles) and returns its results' handles.

  What `fun` raises, throws or exits with first is raised here, once the native work has ended; from then on `fun` is called no
  more.
  """
  def run(start, fun) do
    # Made here, so that waiting below skips the messages that were in the mailbox before.
    ref = make_ref()
    session = start.(ref) |> Mlx.Memory.collected()
    serve(ref, session, fun, nil)
  end

  # `raised` is the first thing that `fun` raised.
  defp serve(ref, session, fun, raised) do
    receive do
      {^ref, :call, arguments} when raised == nil ->
        serve(ref, session, fun, answer(session, fun, arguments))

      {^ref, :call, _arguments} ->
        NIF.callback_failed(session)
        serve(ref, session, fun, raised)

      {^ref, :done, handles} when raised == nil ->
        handles

      {^ref, :failed, exception} when raised == nil ->
        raise exception

      {^ref, _, _} ->
        {kind, reason, stacktrace} = raised
        :erlang.raise(kind, reason, stacktrace)
    end
  end

  defp answer(session, fun, arguments) do
    NIF.callback_reply(session, fun.(arguments))
    nil
  catch
    kind, reason ->
      NIF.callback_failed(session)
      {kind, reason, __STACKTRACE__}
  end

  @doc """
  Handles of what the program answers for handles, of which those in `donated` are deallocated. Where its loops may last it holds no
  scheduler meanwhile.
  """
  def run_program(handle, inputs, donated \\ [], where) do
    if NIF.program_lasts(handle),
      do: run_program_with_callbacks(handle, inputs, donated, where, nil),
      else: handle |> NIF.program_run(inputs, donated, where) |> Mlx.Memory.collected()
  end

  @doc "The same for a program whose callbacks `fun` answers, as in `run/2`."
  def run_program_with_callbacks(handle, inputs, donated, where, fun) do
    handles = run(&NIF.program_run_with_callbacks(&1, handle, inputs, where), fun)
    Enum.each(donated, &NIF.deallocate/1)
    handles
  end
end
