defmodule Mlx.Stream do
  @moduledoc """
  Queues of work that run side by side.

  Ops of one stream are computed in order. All processes share one stream unless they ask for another:

      stream = Mlx.Stream.new()

      Mlx.Stream.with_stream(stream, fn ->
        # long work that others need not wait for
      end)

  A stream is a thread of its own; a few per application are enough. Tensors of one stream may be used under another:
  they are computed where they were built first.
  """

  alias Mlx.{Argument, NIF}

  @enforce_keys [:ref, :device]
  defstruct [:ref, :device]

  @type t :: %__MODULE__{ref: reference(), device: Mlx.Device.t()}

  @key :mlx_stream

  @doc """
  Makes a stream whose ops run on `device`, by default `Mlx.Device.default/0`.

  Once nobody holds it or a tensor built under it, its thread serves the next stream that is made. Raises `Mlx.UnsupportedError` when this machine has no such
  device. MLX: `mlx.core.new_stream`.

  ## Examples

      iex> Mlx.Stream.new(:cpu).device
      :cpu
  """
  @spec new(Mlx.Device.t()) :: t
  def new(device \\ Mlx.Device.default()) do
    %__MODULE__{ref: NIF.stream_new(device), device: device}
  end

  @doc """
  Runs `fun` with `stream` as the stream of this process's ops, and returns what it returns.

  Calls nest; other processes are not touched. Raises `ArgumentError` for anything but a stream and a function. MLX: `with mlx.core.stream(stream)`.

  ## Examples

      iex> Mlx.Stream.with_stream(Mlx.Stream.new(), fn -> 1 + 1 end)
      2
  """
  @spec with_stream(t, (-> result)) :: result when result: term()
  def with_stream(stream, fun) do
    ref = ref!(stream, "with_stream")
    Argument.check!(is_function(fun, 0), "with_stream", "a function without arguments", fun)
    outer = Process.put(@key, ref)

    try do
      fun.()
    after
      if outer, do: Process.put(@key, outer), else: Process.delete(@key)
    end
  end

  @doc false
  # The stream's own reference, for the function called `name`.
  def ref!(stream, name) do
    stream?(stream) |> Argument.check!(name, "a stream of Mlx.Stream.new/1", stream)
    stream.ref
  end

  defp stream?(stream), do: match?(%__MODULE__{ref: ref} when is_reference(ref), stream)

  @doc false
  # The `where` argument of native calls: nil for the common stream.
  def where, do: Process.get(@key)
end
