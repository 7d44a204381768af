defmodule Mlx.RecorderTest do
  # One recording at a time, of all processes.
  use ExUnit.Case, async: false
  doctest Mlx.Recorder

  alias Mlx.Recorder

  @moduletag :tmp_dir

  defp jit(fun, options \\ []), do: Nx.Defn.jit(fun, [compiler: Mlx.Compiler] ++ options)

  defp lines(folder) do
    for line <- File.stream!(Path.join(folder, "programs.jsonl")), do: JSON.decode!(line)
  end

  # The elements of a recorded tensor.
  defp read(folder, %{"type" => type, "shape" => shape, "at" => at}) do
    {:ok, <<_, _::binary>> = data} = File.read(Path.join(folder, "programs.bin"))
    type = Nx.Type.normalize!(String.to_atom(type))
    size = div(Enum.product(shape) * elem(type, 1), 8)

    data
    |> binary_part(at, size)
    |> Nx.from_binary(type, backend: Nx.BinaryBackend)
    |> Nx.reshape(List.to_tuple(shape))
  end

  test "each run of a compiled function is a case, in any process, repeated ones once", %{
    tmp_dir: folder
  } do
    double = jit(&Nx.multiply(&1, 2))

    {3, :ok} =
      Recorder.record(folder, fn ->
        double.(Nx.tensor([1, 2]))
        double.(Nx.tensor([1, 2]))
        Recorder.named("other numbers", fn -> double.(Nx.tensor([3, 4])) end)
        Task.await(Task.async(fn -> double.(Nx.tensor([1.5])) end))
        :ok
      end)

    double.(Nx.tensor([5, 6]))

    assert [integers, others, floats] = lines(folder)
    assert others["name"] == "other numbers"
    assert integers["program"] == others["program"]
    assert integers["program"] != floats["program"]
    assert Nx.to_flat_list(read(folder, hd(others["in"]))) == [3, 4]
    assert Nx.to_flat_list(read(folder, hd(others["out"]))) == [6, 8]
    assert Nx.to_flat_list(read(folder, hd(floats["out"]))) == [3.0]

    imported = Mlx.Compiler.import(Path.join(folder, floats["program"]))
    assert Nx.to_flat_list(imported.([Nx.tensor([2.5])])) == [5.0]
  end

  test "answers are those of Nx's evaluator, also where arguments are on this backend", %{
    tmp_dir: folder
  } do
    x = Nx.tensor([0.5, -1.5], backend: Mlx.Backend)
    {1, _} = Recorder.record(folder, fn -> jit(&Nx.tanh/1).(x) end)
    [line] = lines(folder)
    expected = x |> Nx.backend_copy(Nx.BinaryBackend) |> Nx.tanh()
    assert read(folder, hd(line["out"])) == expected
  end

  test "hooks and runtime calls are told with what they got and gave", %{tmp_dir: folder} do
    parent = self()
    hooks = %{doubled: &send(parent, {:doubled, Nx.to_flat_list(&1)})}

    fun = fn x ->
      x = Nx.Defn.Kernel.io_call(Nx.multiply(x, 2), :doubled)
      Nx.runtime_call(Nx.template({2}, :s32), x, [], fn x, _ -> Nx.add(x, 1) end)
    end

    {1, _} = Recorder.record(folder, fn -> jit(fun, hooks: hooks).(Nx.tensor([1, 2])) end)
    assert_received {:doubled, [2, 4]}
    refute_received {:doubled, _}

    assert [%{"callbacks" => [hook, call]}] = lines(folder)
    assert %{"name" => "doubled:0", "in" => [told], "out" => []} = hook
    assert Nx.to_flat_list(read(folder, told)) == [2, 4]
    assert %{"name" => "runtime_call:1", "in" => [_], "out" => [given]} = call
    assert Nx.to_flat_list(read(folder, given)) == [3, 5]
  end

  test "vectorized tensors are recorded as the program sees them", %{tmp_dir: folder} do
    x = Nx.vectorize(Nx.tensor([[1, 2], [3, 4]]), :rows)
    {1, _} = Recorder.record(folder, fn -> jit(&Nx.sum/1).(x) end)
    [%{"in" => [input], "out" => [output]}] = lines(folder)
    assert input["shape"] == [2, 2]
    assert Nx.to_flat_list(read(folder, output)) == [3, 7]
  end

  test "large cases are left out", %{tmp_dir: folder} do
    record = fn limit ->
      {count, _} =
        Recorder.record(folder, [limit_bytes: limit], fn ->
          jit(&Nx.negate/1).(Nx.iota({100}, backend: Nx.BinaryBackend))
        end)

      count
    end

    assert record.(799) == 0
    assert lines(folder) == []
    assert record.(800) == 1
  end

  test "a recording replaces the one before, and writes nothing when the function raises", %{
    tmp_dir: folder
  } do
    Recorder.record(folder, fn -> jit(&Nx.cos/1).(1.0) end)
    Recorder.record(folder, fn -> jit(&Nx.sin/1).(1.0) end)
    assert "nx-sin.mlxnx" in File.ls!(folder)
    refute "nx-cos.mlxnx" in File.ls!(folder)

    assert_raise RuntimeError, "enough", fn ->
      Recorder.record(folder, fn ->
        jit(&Nx.tan/1).(1.0)
        raise "enough"
      end)
    end

    assert "nx-sin.mlxnx" in File.ls!(folder)
    # And another one may begin.
    assert {0, :done} = Recorder.record(folder, fn -> :done end)
  end

  test "only one recording is under way", %{tmp_dir: folder} do
    assert_raise ArgumentError, "another recording is under way", fn ->
      Recorder.record(folder, fn -> Recorder.record(folder, fn -> :inner end) end)
    end

    assert {0, :done} = Recorder.record(folder, fn -> :done end)
  end
end
