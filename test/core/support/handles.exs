defmodule Mlx.Handles do
  @moduledoc """
  Tensors without Nx, for the tests of the core: handles made from lists, ops on them, and lists made from them.
  """

  require ExUnit.Assertions
  alias Mlx.NIF

  @doc "The vector of `numbers`."
  def tensor(numbers, type \\ {:f, 32}) do
    binary = for number <- numbers, into: "", do: encode(type, number)

    {type, {length(numbers)}}
    |> NIF.from_binary(binary, Mlx.Stream.where())
    |> Mlx.Memory.collected()
  end

  defp encode({:f, bits}, number), do: <<number::float-size(bits)-native>>
  defp encode({_, bits}, number), do: <<number::size(bits)-native>>

  @doc "The elements of a tensor of integers or real floats."
  def values(handle) do
    {type, shape} = NIF.type_of(handle)
    decode(type, NIF.to_binary(handle, Enum.product(Tuple.to_list(shape))))
  end

  defp decode({:f, bits}, all), do: for(<<number::float-size(bits)-native <- all>>, do: number)
  defp decode({:s, bits}, all), do: for(<<number::signed-size(bits)-native <- all>>, do: number)
  defp decode({:u, bits}, all), do: for(<<number::size(bits)-native <- all>>, do: number)

  @doc "The op's only result. Collects garbage where the op asks for it, as `Mlx.Backend` does."
  def op(name, operands, out, attributes \\ [], where \\ Mlx.Stream.where()) do
    case NIF.op(name, operands, attributes, out, where) do
      {:collect, major?, handle} ->
        Mlx.Memory.collect(major?)
        handle

      handle ->
        handle
    end
  end

  @doc "0.0, 1.0, … as an f32 vector, four bytes each once computed."
  def numbers(count) do
    op(:iota, [], {{:f, 32}, {count}}, shape: {count}, type: {:f, 32}, axis: 0)
  end

  @doc "An f32 tensor of one number, which MLX stores once."
  def full(shape, value) do
    op(:constant, [], {{:f, 32}, shape}, value: value, type: {:f, 32}, shape: shape)
  end

  @doc "A scalar that takes long to compute, a second or so with 40 `rounds`, and nothing to build."
  def slow(rounds) do
    matrix = full({1024, 1024}, 1.0e-3)
    out = {{:f, 32}, {1024, 1024}}
    axes = [contract_axes1: [1], batch_axes1: [], contract_axes2: [0], batch_axes2: []]

    1..rounds
    |> Enum.reduce(matrix, fn _, acc -> op(:dot, [acc, matrix], out, axes) end)
    |> then(&op(:sum, [&1], {{:f, 32}, {}}))
  end

  @doc """
  Bytes that tensors hold, once all processes have collected their garbage.

  A process that has ended is on no list any more while its memory is still being freed; so the figure has to stay.
  """
  def settled_memory(last \\ nil) do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    Mlx.synchronize()

    case Mlx.Memory.active() do
      ^last ->
        last

      active ->
        Process.sleep(20)
        settled_memory(active)
    end
  end

  @doc "Asks until `fun` answers true, for at most ten seconds. Returns: whether it did."
  def eventually(fun, tries \\ 200) do
    cond do
      fun.() ->
        true

      tries == 0 ->
        false

      true ->
        Process.sleep(50)
        eventually(fun, tries - 1)
    end
  end

  @doc "Runs `fun` in a process that is killed when it has told of something, by the function that it is given."
  def kill_in(fun) do
    test = self()
    pid = spawn(fn -> fun.(fn event -> send(test, {:event, self(), event}) end) end)
    ExUnit.Assertions.assert_receive({:event, ^pid, _})
    Process.exit(pid, :kill)
    ExUnit.Assertions.refute(Process.alive?(pid))
  end
end
