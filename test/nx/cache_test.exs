defmodule Mlx.CacheTest do
  # The cache, its bounds and the memory are the whole VM's.
  use ExUnit.Case, async: false
  import ExUnit.CaptureLog
  import Mlx.Handles, only: [settled_memory: 0, eventually: 1]

  alias Mlx.Compiler.Cache
  alias Mlx.Memory

  @megabyte 1_048_576

  setup do
    Mlx.Compiler.clear_cache()

    on_exit(fn ->
      for key <- [:size, :bytes], do: Application.delete_env(:elixir_mlx, name(key))
    end)
  end

  defp name(bound), do: :"program_cache_#{bound}"
  defp bound(bound, value), do: Application.put_env(:elixir_mlx, name(bound), value)

  # A closure over a megabyte of this number, made anew each time.
  defp closure(number, megabytes \\ 1) do
    size = div(megabytes * @megabyte, 4)

    weights =
      Nx.from_binary(:binary.copy(<<number::float-32-native>>, size), :f32,
        backend: Nx.BinaryBackend
      )

    fn x ->
      Process.put(:traced, true)
      Nx.mean(Nx.add(x, weights))
    end
  end

  # Whether the function had to be traced.
  defp traced?(fun, expected) do
    Process.delete(:traced)
    assert Nx.to_number(Nx.Defn.jit(fun, compiler: Mlx.Compiler).(0)) == expected
    Process.get(:traced, false)
  end

  test "is bounded by bytes, and drops what was not used for longest" do
    bound(:bytes, 4 * @megabyte)
    for i <- 1..4, do: assert(traced?(closure(i), i * 1.0))
    assert Cache.size() == {4, 4 * @megabyte}
    refute traced?(closure(1), 1.0)
    assert traced?(closure(5), 5.0)
    assert Cache.size() == {4, 4 * @megabyte}
    refute traced?(closure(1), 1.0)
    assert traced?(closure(2), 2.0)
    assert traced?(closure(3), 3.0)
    for i <- [1, 5, 2, 3], do: refute(traced?(closure(i), i * 1.0))
  end

  test "keeps the program used last, however large it is" do
    bound(:bytes, @megabyte)
    assert traced?(closure(1, 3), 1.0)
    refute traced?(closure(1, 3), 1.0)
    assert Cache.size() == {1, 3 * @megabyte}
    assert traced?(closure(2), 2.0)
    assert Cache.size() == {1, @megabyte}
  end

  test "is bounded by the number of programs, or not at all" do
    bound(:size, 2)
    for i <- 1..3, do: assert(traced?(closure(i), i * 1.0))
    assert {2, _} = Cache.size()
    assert traced?(closure(1), 1.0)
    bound(:size, :infinity)
    bound(:bytes, :infinity)
    for i <- 4..9, do: assert(traced?(closure(i), i * 1.0))
    assert {8, _} = Cache.size()
  end

  test "holds what a function captured once" do
    [active, programs, binaries] = [settled_memory(), Memory.programs(), :erlang.memory(:binary)]

    # In processes whose garbage goes with them.
    for i <- 1..8 do
      Task.await(Task.async(fn -> assert traced?(closure(i), i * 1.0) end))
    end

    assert Cache.size() == {8, 8 * @megabyte}
    assert settled_memory() - active < 9 * @megabyte
    assert Memory.programs().bytes - programs.bytes == 8 * @megabyte
    assert Memory.programs().count - programs.count == 8
    assert :erlang.memory(:binary) - binaries < @megabyte

    Mlx.Compiler.clear_cache()
    assert Cache.size() == {0, 0}
    assert eventually(fn -> settled_memory() - active < @megabyte end)
    assert Memory.programs() == programs
    for i <- 1..2, do: assert(traced?(closure(i), i * 1.0))
  end

  test "holds a tensor that is captured in several places once" do
    tensor = Nx.iota({100_000}, type: :f32, backend: Nx.BinaryBackend)

    fun = fn x -> Nx.add(Nx.multiply(x, tensor), tensor) end
    assert Nx.shape(Nx.Defn.jit(fun, compiler: Mlx.Compiler).(1)) == {100_000}
    assert Cache.size() == {1, 400_000}
  end

  test "a function whose module was loaded anew is another one" do
    on_exit(fn -> Code.compiler_options(ignore_module_conflict: false) end)
    Code.compiler_options(ignore_module_conflict: true)

    for number <- [1, 2] do
      Code.compile_string(
        "defmodule(Mlx.CacheTest.Loaded, do: def(add(x), do: Nx.add(x, #{number})))"
      )

      external = Function.capture(Mlx.CacheTest.Loaded, :add, 1)
      assert Nx.to_number(Nx.Defn.jit(external, compiler: Mlx.Compiler).(5)) == 5 + number
    end
  end

  test "without the application, a function says what is missing" do
    capture_log(fn -> Application.stop(:elixir_mlx) end)
    on_exit(fn -> {:ok, _} = Application.ensure_all_started(:elixir_mlx) end)

    error =
      assert_raise Mlx.Error, fn -> Nx.Defn.jit(&Nx.add/2, compiler: Mlx.Compiler).(1, 2) end

    assert error.message =~ "the application :elixir_mlx is not running"
    assert error.message =~ "Application.ensure_all_started(:elixir_mlx)"

    assert Nx.to_number(Nx.Defn.jit(&Nx.add/2, compiler: Mlx.Compiler, cache: false).(1, 2)) == 3
    assert Mlx.Compiler.clear_cache() == :ok
    assert Cache.size() == {0, 0}

    {:ok, _} = Application.ensure_all_started(:elixir_mlx)
    assert Nx.to_number(Nx.Defn.jit(&Nx.add/2, compiler: Mlx.Compiler).(1, 2)) == 3
  end
end
