defmodule Mlx.WarmStartTest do
  # The cache in memory, which other VMs don't have, is cleared in between.
  use ExUnit.Case, async: false
  import ExUnit.CaptureLog

  alias Mlx.Compiler.Cache

  @moduletag :tmp_dir

  setup %{tmp_dir: folder} do
    %{path: Path.join([folder, "new folder", "cache"])}
  end

  # Calls the function as a new VM would; tells whether it was traced.
  defp traced?(fun, arguments, expected, options) do
    Cache.clear()
    Process.delete(:traced)
    result = apply(Nx.Defn.jit(fun, [compiler: Mlx.Compiler] ++ options), arguments)
    assert Nx.to_flat_list(result) == expected
    Process.get(:traced, false)
  end

  defp double(x) do
    Process.put(:traced, true)
    Nx.multiply(x, 2)
  end

  test "a function is not traced again, for each type and shape of its arguments", %{path: path} do
    options = [cache: path]
    assert traced?(&double/1, [Nx.tensor([1, 2])], [2, 4], options)
    refute traced?(&double/1, [Nx.tensor([3, 4])], [6, 8], options)
    assert traced?(&double/1, [Nx.tensor([1.5, 2])], [3.0, 4.0], options)
    assert traced?(&double/1, [Nx.tensor([1])], [2], options)
    refute traced?(&double/1, [Nx.tensor([5, 5])], [10, 10], options)
    refute traced?(&double/1, [Nx.tensor([2.5, 2])], [5.0, 4.0], options)
    assert traced?(&double/1, [Nx.tensor([1, 2])], [2, 4], [])
  end

  test "functions that captured something else are others", %{path: path} do
    add = fn n ->
      fn x ->
        Process.put(:traced, true)
        Nx.add(x, n)
      end
    end

    one = Nx.tensor(1, backend: Nx.BinaryBackend)
    assert traced?(add.(one), [Nx.tensor([1])], [2], cache: path)
    refute traced?(add.(one), [Nx.tensor([1])], [2], cache: path)

    assert traced?(add.(Nx.tensor(5, backend: Nx.BinaryBackend)), [Nx.tensor([1])], [6],
             cache: path
           )

    assert traced?(add.(7), [Nx.tensor([1])], [8], cache: path)
    refute traced?(add.(one), [Nx.tensor([1])], [2], cache: path)
  end

  test "containers, names and vectorized axes come back", %{path: path} do
    fun = fn x ->
      Process.put(:traced, true)
      %{sum: Nx.sum(x), pair: {x, Nx.negate(x)}}
    end

    x = Nx.tensor([[1, 2], [3, 4]], names: [:a, :b]) |> Nx.vectorize(:a)

    for traced <- [true, false] do
      Cache.clear()
      Process.delete(:traced)
      result = Nx.Defn.jit(fun, compiler: Mlx.Compiler, cache: path).(x)
      assert Process.get(:traced, false) == traced
      assert %{sum: sum, pair: {same, negated}} = result
      assert sum.vectorized_axes == [a: 2]
      assert Nx.to_flat_list(sum) == [3, 7]
      assert same.names == [:b]
      assert Nx.to_flat_list(negated) == [-1, -2, -3, -4]
    end
  end

  test "named hooks are called, each time those that were given", %{path: path} do
    fun = fn x ->
      Process.put(:traced, true)
      Nx.Defn.Kernel.io_call(Nx.add(x, 1), :told)
    end

    parent = self()

    for {traced, name} <- [{true, :first}, {false, :second}] do
      hooks = %{told: &send(parent, {name, Nx.to_flat_list(&1)})}
      assert traced?(fun, [Nx.tensor([1])], [2], cache: path, hooks: hooks) == traced
      assert_received {^name, [2]}
    end
  end

  test "runtime calls are not written", %{path: path} do
    fun = fn x ->
      Process.put(:traced, true)
      Nx.runtime_call(Nx.template({1}, :s32), x, [], fn x, _ -> Nx.add(x, 1) end)
    end

    for _ <- 1..2 do
      log = capture_log(fn -> assert traced?(fun, [Nx.tensor([1])], [2], cache: path) end)
      assert log =~ "code no file holds"
    end

    refute File.exists?(path)
  end

  test "a file that is none, or is damaged, is told of and replaced", %{path: path} do
    File.mkdir_p!(Path.dirname(path))

    write = fn bytes -> File.write!(path, bytes) end
    run = fn -> traced?(&double/1, [Nx.tensor([1, 2])], [2, 4], cache: path) end

    write.("something else")
    assert capture_log(fn -> assert run.() end) =~ "is no cache of programs"
    refute run.()

    whole = File.read!(path)
    write.(binary_part(whole, 0, byte_size(whole) - 10))
    assert capture_log(fn -> assert run.() end) =~ "is no cache of programs"
    refute run.()

    write.(String.replace(whole, "multiply", "multiplx"))
    assert capture_log(fn -> assert run.() end) =~ "damaged program"
    refute run.()
  end

  describe "a file that is well formed, and was changed" do
    # Writes the file for this function, changes its terms by `change`, and calls the function again.
    defp changed(path, fun, arguments, expected, options, change) do
      File.rm(path)
      options = [cache: path] ++ options
      assert traced?(fun, arguments, expected, options)
      change.(path)
      log = capture_log(fn -> assert traced?(fun, arguments, expected, options) end)
      assert log =~ "[Mlx.Compiler] #{path} holds a damaged program: "
      refute traced?(fun, arguments, expected, options)
      log
    end

    defp update(path, fun) do
      <<"MLXNX.CACHE", blob::binary>> = File.read!(path)
      [entry] = :erlang.binary_to_term(blob)
      File.write!(path, ["MLXNX.CACHE", :erlang.term_to_binary([fun.(entry)])])
    end

    # As someone would who knows how the digest is made.
    defp update_kept(path, fun) do
      update(path, fn {wanted, kept, _digest} ->
        kept = fun.(kept)
        {wanted, kept, digest(wanted, kept)}
      end)
    end

    defp digest(wanted, %{handle: handle} = kept) when is_binary(handle) do
      term = {wanted, %{kept | handle: :crypto.hash(:sha256, handle)}}
      :crypto.hash(:sha256, :erlang.term_to_binary(term, [:deterministic]))
    end

    defp digest(_wanted, _kept), do: "none"

    # The bytes of another function's program.
    defp program(fun, templates, path) do
      :ok = Mlx.Compiler.export(fun, templates, path)
      File.read!(path)
    end

    defp negate(x) do
      Process.put(:traced, true)
      Nx.negate(x)
    end

    test "is replaced where a program stands under another function's key", %{path: path} do
      other = path <> ".other"
      assert traced?(&negate/1, [Nx.tensor([1, 2])], [-1, -2], cache: other)

      log =
        changed(path, &double/1, [Nx.tensor([1, 2])], [2, 4], [], fn path ->
          <<"MLXNX.CACHE", blob::binary>> = File.read!(other)
          [{_, kept, digest}] = :erlang.binary_to_term(blob)
          update(path, fn {wanted, _, _} -> {wanted, kept, digest} end)
        end)

      assert log =~ "it is not what was written"
    end

    test "is replaced where the program takes or answers something else", %{path: path} do
      vector = Nx.template({2}, :s32)

      for {fun, templates, text} <- [
            {&Nx.add/2, [vector, vector], "its inputs are not"},
            {fn x -> Nx.add(x, 1) end, [Nx.template({3}, :s32)], "its inputs are not"},
            {fn x -> Nx.add(x, 1) end, [Nx.template({2}, :u8)], "its inputs are not"},
            {fn x -> Nx.as_type(x, :f32) end, [vector], "its results are not"},
            {fn x -> Nx.sum(x) end, [vector], "its results are not"},
            {fn x -> {x, x} end, [vector], "its results are not"}
          ] do
        log =
          changed(path, &double/1, [Nx.tensor([1, 2])], [2, 4], [], fn path ->
            bytes = program(fun, templates, path <> ".mlxnx")
            update_kept(path, &%{&1 | handle: bytes})
          end)

        assert log =~ text
      end
    end

    test "is replaced where what is kept beside the program is something else", %{path: path} do
      scalar = %{Nx.template({}, :s32) | data: nil}

      for change <- [
            &%{&1 | params: [1]},
            &%{&1 | params: [-1]},
            &%{&1 | params: []},
            &%{&1 | params: [0, 0]},
            &%{&1 | params: :all},
            &%{&1 | handle: "no program"},
            &%{&1 | handle: nil},
            &%{&1 | result: nil},
            &%{&1 | result: scalar},
            &%{&1 | result: {&1.result, &1.result}},
            &%{&1 | result: %{&1.result | names: [:a, :b]}},
            &%{&1 | result: %{&1.result | names: ["a"]}},
            &%{&1 | result: %{&1.result | vectorized_axes: [a: 2]}},
            &%{&1 | result: %{&1.result | vectorized_axes: :none}},
            &%{&1 | result: self()},
            &%{&1 | callbacks: %{"hook:0" => {:hook, {:named, :told}, scalar}}},
            &%{&1 | callbacks: nil},
            &Map.delete(&1, :params),
            &Map.put(&1, :more, 1)
          ] do
        changed(path, &double/1, [Nx.tensor([1, 2])], [2, 4], [], &update_kept(&1, change))
      end

      for change <- [
            fn {wanted, kept, _} -> {wanted, kept, nil} end,
            fn {wanted, kept, digest} -> {wanted, Map.put(kept, :params, [0, 0]), digest} end
          ] do
        changed(path, &double/1, [Nx.tensor([1, 2])], [2, 4], [], &update(&1, change))
      end
    end

    test "is replaced where the hooks are others", %{path: path} do
      fun = fn x ->
        Process.put(:traced, true)
        Nx.Defn.Kernel.io_call(Nx.add(x, 1), :told)
      end

      options = [hooks: %{told: &send(self(), {:told, Nx.to_flat_list(&1)})}]
      pair = {Nx.template({1}, :s32), Nx.template({1}, :s32)}

      for callback <- [
            {:hook, {:named, :other}, Nx.template({1}, :s32)},
            {:hook, {:fn, &Function.identity/1}, Nx.template({1}, :s32)},
            {:hook, {:named, :told}, Nx.template({2}, :s32)},
            {:hook, {:named, :told}, pair},
            {:hook, {:named, :told}, nil},
            :none
          ] do
        change = fn kept -> %{kept | callbacks: %{"told:0" => callback}} end
        log = changed(path, fun, [Nx.tensor([1])], [2], options, &update_kept(&1, change))
        assert log =~ path
        assert_received {:told, [2]}
      end

      change = fn kept -> %{kept | callbacks: %{}} end
      changed(path, fun, [Nx.tensor([1])], [2], options, &update_kept(&1, change))
    end
  end

  test "a path that can't be written costs a warning only", %{tmp_dir: folder} do
    file = Path.join(folder, "file")
    File.write!(file, "")
    path = Path.join(file, "cache")

    log = capture_log(fn -> assert traced?(&double/1, [Nx.tensor([1])], [2], cache: path) end)
    assert log =~ "can't write"
  end

  test "without a cache a function is traced each time" do
    for _ <- 1..2 do
      Process.delete(:traced)
      Nx.Defn.jit(&double/1, compiler: Mlx.Compiler, cache: false).(Nx.tensor([1]))
      assert Process.get(:traced)
    end

    assert_raise ArgumentError, ~r/expected :cache to be/, fn ->
      Nx.Defn.jit(&double/1, compiler: Mlx.Compiler, cache: 1).(Nx.tensor([1]))
    end
  end
end
