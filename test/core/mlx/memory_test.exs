defmodule Mlx.MemoryTest do
  # The limits and figures are the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.Memory

  doctest Memory

  @f32 {:f, 32}
  @megabyte 0x100000
  @count 1_000_000

  defp doubled(handle), do: op(:add, [handle, handle], {@f32, {@count}})

  test "active counts what tensors hold, and peak its highest value" do
    before = settled_memory()
    assert Memory.reset_peak() == :ok
    a = numbers(@count)
    b = doubled(a)
    # Nothing is held before it is computed.
    assert Memory.active() < before + @megabyte
    Mlx.eval({a, b})
    assert_in_delta Memory.active() - before, 8 * @count, @megabyte
    Mlx.NIF.deallocate(a)
    Mlx.NIF.deallocate(b)
    assert_in_delta settled_memory(), before, @megabyte
    assert Memory.peak() >= before + 8 * @count
    assert Memory.reset_peak() == :ok
    assert Memory.peak() < before + 8 * @count
    assert Memory.info().active_bytes == Memory.active()
  end

  test "the cache is cleared" do
    Mlx.eval(numbers(@count))
    settled_memory()
    assert Memory.clear_cache() == :ok
    assert Memory.cache() == 0
  end

  test "a tensor beyond the limit is refused, and the VM goes on" do
    before = Memory.set_memory_limit(64 * @megabyte)
    on_exit(fn -> Memory.set_memory_limit(before) end)
    assert Memory.info().limit_bytes == 64 * @megabyte

    too_large = {@f32, {32 * @megabyte}}

    error =
      assert_raise Mlx.Error, fn ->
        op(:iota, [], too_large, shape: {32 * @megabyte}, type: @f32, axis: 0)
      end

    assert error.message =~ "[iota] an array of shape {33554432} with 4 bytes an element exceeds"
    assert values(op(:add, [tensor([1.0]), tensor([2.0])], {@f32, {1}})) == [3.0]
    assert Memory.set_memory_limit(before) == 64 * @megabyte
    assert [_] = values(op(:sum, [numbers(@count)], {@f32, {}}))
  end

  @start """
  import Mlx.Handles
  {:ok, _} = Application.ensure_all_started(:elixir_mlx)
  exp = fn x -> op(:exp, [x], Mlx.NIF.type_of(x)) end

  try_it = fn fun ->
    try do
      fun.()
    rescue
      error in Mlx.Error -> IO.puts(error.message)
    end
  end
  """

  test "an allocation that fails raises, and the VM goes on" do
    code = """
    #{@start}
    sum = fn -> op(:sum, [exp.(numbers(100_000))], {{:f, 32}, {}}) end
    for _ <- 1..5, do: try_it.(fn -> Mlx.eval(sum.()) end)
    IO.inspect(values(sum.()))
    """

    {without, 0} = Mlx.VM.run(code)

    # How many each sum makes depends on what is reused; five make more than five.
    for n <- 1..5 do
      {output, 0} = Mlx.VM.run(code, [{"MLXNX_FAIL_ALLOCATION", to_string(n)}])
      assert [message, result] = String.split(output, "\n", parts: 2)
      assert message =~ ~r/^\[\w+\] out of memory: \d+ bytes can't be had$/
      assert result == without
    end
  end

  @tag :tmp_dir
  test "the VM goes on where the system has no more memory", %{tmp_dir: folder} do
    code = """
    #{@start}
    for _ <- 1..3, do: try_it.(fn -> Mlx.eval(exp.(numbers(1_000_000_000))) end)
    IO.inspect(values(exp.(tensor([0.0]))))
    """

    # As the shell would, since a limit can't be set for one command.
    shell = Path.join(folder, "elixir")

    File.write!(
      shell,
      "#!/bin/sh\nulimit -v 6000000\nexec #{System.find_executable("elixir")} \"$@\"\n"
    )

    File.chmod!(shell, 0o755)
    path = folder <> ":" <> System.get_env("PATH")
    {output, 0} = Mlx.VM.run(code, [{"PATH", path}])
    assert output =~ ~r/^(\[eval\] out of memory: 8000000000 bytes can't be had\n){3}\[1.0\]\n$/
  end

  # Runs `round`, which makes 4 GB of tensors, in a process of its own.
  defp assert_bounded(bytes, round) do
    before = settled_memory()
    Memory.reset_peak()
    Task.await(Task.async(round), 60_000)
    assert Memory.peak() - before < bytes
    assert_in_delta settled_memory(), before, @megabyte
  end

  test "a loop over large tensors stays within bounds without any care" do
    # The process makes little other garbage.
    assert_bounded(700 * @megabyte, fn ->
      for i <- 1..1000 do
        handle = op(:add, [numbers(@count), tensor([1.0 * i])], {@f32, {@count}})
        assert <<first::float-32-native>> = Mlx.NIF.to_binary(handle, 1)
        assert first == i
      end
    end)
  end

  test "tensors made of binaries are collected too" do
    assert_bounded(700 * @megabyte, fn ->
      # One binary for all of them.
      bytes = :binary.copy(<<0>>, 4 * @count)

      for _ <- 1..1000 do
        {@f32, {@count}} |> Mlx.NIF.from_binary(bytes, nil) |> Memory.collected()
        :ok
      end
    end)
  end

  test "tensors that reached old age are collected too" do
    assert_bounded(1000 * @megabyte, fn ->
      # Each lives through several collections before it is dropped.
      Enum.reduce(1..1000, :queue.new(), fn i, queue ->
        handle = numbers(@count)
        Mlx.eval(handle)
        queue = :queue.in(handle, queue)
        if i > 16, do: :queue.drop(queue), else: queue
      end)
    end)
  end

  # The first rounds make MLX and the BEAM keep memory for later, more or less of it. What leaks does so in each round.
  defp assert_no_growth(bytes, round) do
    measure = fn ->
      Task.await(Task.async(round), 120_000)
      {settled_memory(), Mlx.VM.resident_bytes() || 0}
    end

    steady =
      Enum.reduce_while(1..6, measure.(), fn _, {active, resident} ->
        {active_after, resident_after} = measure.()

        if active_after <= active and resident_after - resident < bytes,
          do: {:halt, :steady},
          else: {:cont, {active_after, resident_after}}
      end)

    assert steady == :steady
  end

  test "the memory is back at its start after 100,000 ops" do
    one = tensor([1.0])

    # Tensors that are lost would leave 500 bytes each.
    assert_no_growth(24 * @megabyte, fn ->
      for i <- 1..100_000 do
        handle = op(:add, [one, tensor([1.0 * i])], {@f32, {1}})
        if rem(i, 10) == 0, do: [_] = values(handle)
      end
    end)
  end

  test "the memory is back at its start after ops that raise" do
    one = tensor([1.0])
    two = tensor([1.0, 2.0])
    gone = tensor([1.0])
    Mlx.NIF.deallocate(gone)

    assert_no_growth(8 * @megabyte, fn ->
      for _ <- 1..20_000,
          {operands, out} <- [{[one, gone], {1}}, {[one, two], {3}}, {[one], {1}}] do
        assert_raise ArgumentError, fn -> op(:add, operands, {@f32, out}) end
      end
    end)
  end

  test "binaries keep their tensor's memory, and let it go" do
    before = settled_memory()

    Task.async(fn ->
      handle = doubled(numbers(@count))
      binary = Mlx.NIF.to_binary(handle, @count)
      Mlx.NIF.deallocate(handle)
      :erlang.garbage_collect()
      assert Memory.active() >= before + 4 * @count
      assert binary_part(binary, 8, 4) == <<4.0::float-32-native>>
    end)
    |> Task.await()

    assert eventually(fn -> settled_memory() < before + @megabyte end)
  end
end
