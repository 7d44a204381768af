defmodule MlxTest do
  use ExUnit.Case, async: true

  import Mlx.Handles

  # Those of functions that need Nx run in test/nx.
  {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(Mlx)

  @need_nx for {{:function, name, arity}, _, _, _, %{type: :transforms}} <- docs,
               do: {name, arity}
  doctest Mlx, except: @need_nx

  defmodule Box do
    defstruct [:tensor, :label]
  end

  @f32 {:f, 32}

  test "versions names the package, MLX and the origin of mlx-c" do
    versions = Mlx.versions()
    [_, of_the_library] = Regex.run(~r/^  VERSION (\S+)$/m, File.read!("native/CMakeLists.txt"))
    assert versions.elixir_mlx == of_the_library
    assert versions.mlx =~ ~r/^0\.\d+\.\d+$/
    assert versions.mlx_c in [:system, :fetch, :bundled]
  end

  # A fresh graph whose evaluation shows: MLX counts 4 MB more.
  defp uncomputed, do: numbers(1_000_000)

  test "eval leaves what is not a tensor alone" do
    container = %{a: {1, [2.0]}, b: "text"}
    assert Mlx.eval(container) == container

    for other <- [nil, 1, 1.5, :a, "text", ~c"text", ["a" | "b"], self(), &is_atom/1, {}, [], %{}] do
      assert Mlx.eval(other) == other
      assert Mlx.async_eval(other) == other
    end
  end

  test "eval and async_eval find tensors in every container and answer it" do
    for eval <- [&Mlx.eval/1, &Mlx.async_eval/1],
        wrap <- [
          & &1,
          &{&1, 1},
          &[1, &1],
          &%{a: &1},
          &%{{:any, "key"} => [%{b: {&1}}]},
          &[&1 | &1]
        ] do
      container = wrap.(tensor([1.0, 2.0]))
      assert eval.(container) == container
    end
  end

  test "what eval computed is not computed again" do
    handle = slow(40)
    {first, _} = :timer.tc(fn -> Mlx.eval(%{deep: [{handle}]}) end)
    {again, _} = :timer.tc(fn -> Mlx.eval(handle) end)
    {reading, _} = :timer.tc(fn -> values(handle) end)
    assert again < first / 2
    assert reading < first / 2
  end

  test "async_eval answers before the tensors are ready, and readers wait" do
    handle = slow(40)
    {starting, _} = :timer.tc(fn -> Mlx.async_eval([handle]) end)
    {reading, values} = :timer.tc(fn -> values(handle) end)
    assert [value] = values
    assert is_float(value)
    assert starting < reading
  end

  test "synchronize waits for what was started" do
    {computing, _} = :timer.tc(fn -> values(slow(40)) end)
    handle = slow(40)
    Mlx.async_eval(handle)
    assert Mlx.synchronize() == :ok
    {reading, _} = :timer.tc(fn -> values(handle) end)
    assert reading < computing / 2
  end

  test "references that are no tensors raise, wherever they are" do
    for container <- [make_ref(), [make_ref()], %{a: {make_ref()}}, [1 | make_ref()]] do
      assert_raise ArgumentError, ~r/^\[eval\] expected a tensor, got #Ref</, fn ->
        Mlx.eval(container)
      end

      assert_raise ArgumentError, ~r/^\[async_eval\] expected a tensor/, fn ->
        Mlx.async_eval(container)
      end
    end
  end

  test "a deallocated tensor in a container raises" do
    gone = tensor([1.0])
    Mlx.NIF.deallocate(gone)
    assert_raise ArgumentError, ~r/deallocated/, fn -> Mlx.eval({tensor([1.0]), %{a: gone}}) end
  end

  test "references that structs hold are their own business" do
    task = Task.async(fn -> :ok end)

    for struct <- [
          task,
          Mlx.Stream.new(),
          ~r/x/,
          %Box{tensor: {make_ref()}},
          1..2,
          MapSet.new([1])
        ] do
      assert Mlx.eval([struct]) == [struct]
      assert Mlx.async_eval(%{a: struct}) == %{a: struct}
    end

    Task.await(task)
  end

  test "a thousand tensors are computed at once" do
    handles =
      for i <- 1..1000 do
        number = tensor([i], @f32)
        op(:multiply, [number, number], {@f32, {1}})
      end

    assert Mlx.eval(handles) == handles
    assert Enum.flat_map(handles, &values/1) == for(i <- 1..1000, do: 1.0 * i * i)
  end

  test "a chain that nobody reads can be long" do
    one = tensor([1.0])
    chain = Enum.reduce(1..20_000, one, fn _, acc -> op(:add, [acc, one], {@f32, {1}}) end)
    assert values(chain) == [20_001.0]
  end

  test "an evaluated graph lets its operands go" do
    sum = op(:sum, [uncomputed()], {@f32, {}})
    assert [_] = values(sum)
    :erlang.garbage_collect()
    before = Mlx.Memory.active()
    sums = for _ <- 1..5, do: op(:sum, [uncomputed()], {@f32, {}})
    Mlx.eval(sums)
    :erlang.garbage_collect()
    Mlx.synchronize()
    # Others may be at work; five operands would be 20 MB.
    assert Mlx.Memory.active() < before + 15_000_000
  end
end
