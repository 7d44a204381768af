defmodule Mlx.CompilerTest do
  use ExUnit.Case, async: true
  doctest Mlx.Defn
  doctest Mlx.Compiler

  import Mlx.Compare, only: [assert_answer: 2]
  alias Mlx.Programs.ControlFlow

  defmodule Functions do
    import Nx.Defn

    defn(predict(x, w), do: x |> Nx.dot(w) |> Nx.sigmoid())
    defn(pass(x), do: x)

    defn read_in_branches(x, a, b) do
      y = if a, do: Nx.sin(x), else: Nx.sort(Nx.cos(x))
      z = if b, do: Nx.sqrt(Nx.abs(Nx.sum(y))), else: Nx.sum(x)
      y + z
    end

    defn told(x) do
      x = io_call(x * 2, :doubled, & &1)
      if Nx.sum(x) > 0, do: io_call(x, :positive, & &1), else: io_call(-x, :negative, & &1)
    end

    defn counted(n) do
      {i, _} =
        while {i = 0, n}, i < n do
          {io_call(i, :step, & &1) + 1, n}
        end

      i
    end

    deftransform on_host(x, fun) do
      Nx.runtime_call(Nx.template(Nx.shape(x), Nx.type(x)), x, [], fn x, _options -> fun.(x) end)
    end
  end

  test "vectorized axes and names are kept" do
    x = Nx.tensor([[1.0, 2.0], [3.0, 4.0]], names: [:rows, nil], backend: Nx.BinaryBackend)
    y = Nx.tensor([5.0, 6.0], names: [:last], backend: Nx.BinaryBackend)

    for x <- [x, Nx.vectorize(x, :rows)] do
      expected = Nx.Defn.jit(&Nx.multiply/2, compiler: Nx.Defn.Evaluator).(x, y)
      assert_answer(jit(&Nx.multiply/2).(x, y), expected)
    end
  end

  defp jit(fun, options \\ []), do: Nx.Defn.jit(fun, [compiler: Mlx.Compiler] ++ options)

  describe "hooks" do
    test "run in the calling process, in order, and only in the branch that is taken" do
      parent = self()
      tell = fn name -> {name, fn t -> send(parent, {name, self(), Nx.to_flat_list(t)}) end} end
      hooks = Map.new([:doubled, :positive, :negative], tell)

      assert Nx.to_flat_list(jit(&Functions.told/1, hooks: hooks).(Nx.tensor([1, 2]))) == [2, 4]
      assert_received {:doubled, ^parent, [2, 4]}
      assert_received {:positive, ^parent, [2, 4]}
      refute_received {:negative, _, _}

      assert Nx.to_flat_list(jit(&Functions.told/1, hooks: hooks).(Nx.tensor([-1]))) == [2]
      assert_received {:doubled, ^parent, [-2]}
      assert_received {:negative, ^parent, [2]}
      refute_received {:positive, _, _}
    end

    test "run in every iteration of a loop" do
      parent = self()
      hooks = %{step: fn t -> send(parent, {:step, Nx.to_number(t)}) end}
      assert Nx.to_number(jit(&Functions.counted/1, hooks: hooks).(3)) == 3
      for i <- 0..2, do: assert_received({:step, ^i})
      refute_received {:step, _}
    end

    test "may evaluate tensors, and what they raise reaches the caller" do
      hooks = %{step: fn t -> if Nx.to_number(Nx.add(t, 1)) == 3, do: raise("enough") end}

      assert_raise RuntimeError, "enough", fn ->
        jit(&Functions.counted/1, hooks: hooks).(10)
      end

      # The engine goes on.
      assert Nx.to_number(jit(&ControlFlow.collatz/1).(6)) == 8
    end
  end

  describe "runtime calls" do
    test "compute on the host" do
      fun = &Functions.on_host(Nx.add(&1, 1), fn x -> Nx.multiply(x, 10) end)
      assert Nx.to_flat_list(jit(fun).(Nx.tensor([1, 2]))) == [20, 30]
    end

    test "have to match their template" do
      fun = &Functions.on_host(&1, fn _ -> Nx.tensor(1.5) end)

      assert_raise RuntimeError, ~r/match the given output template/, fn ->
        jit(fun).(Nx.tensor([1, 2]))
      end
    end
  end

  test "a function that was seen with the same types is not traced again" do
    parent = self()

    fun = fn x ->
      send(parent, :traced)
      Nx.add(x, 1)
    end

    jitted = jit(fun)
    assert Nx.to_number(jitted.(1)) == 2
    assert Nx.to_number(jitted.(5)) == 6
    assert_received :traced
    refute_received :traced
    assert Nx.to_number(jitted.(1.5)) == 2.5
    assert_received :traced
  end

  test "closures over different tensors are different programs" do
    add = fn n -> jit(fn x -> Nx.add(x, n) end) end
    assert Nx.to_number(add.(Nx.tensor(1)).(1)) == 2
    assert Nx.to_number(add.(Nx.tensor(10)).(1)) == 11
  end

  test "Nx.Defn.compile gives a function for its templates" do
    compiled =
      Nx.Defn.compile(
        &Functions.predict/2,
        [Nx.template({2, 2}, :f32), Nx.template({2, 1}, :f32)],
        compiler: Mlx.Compiler
      )

    assert Nx.shape(compiled.(Nx.iota({2, 2}, type: :f32), Nx.iota({2, 1}, type: :f32))) == {2, 1}
  end

  test "options for other compilers are ignored, a bad device is not" do
    options = [debug: false, garbage_collect: true, max_concurrency: 2]
    assert Nx.to_number(jit(&Functions.pass/1, options).(1)) == 1
    assert length(Mlx.Compiler.__partitions_options__(options)) == 2
    assert Mlx.Compiler.__to_backend__(device: :cpu) == {Mlx.Backend, device: :cpu}
    assert_raise ArgumentError, fn -> jit(&Functions.pass/1, device: :moon).(1) end
  end

  describe "use Mlx.Defn" do
    defmodule Chosen do
      use Mlx.Defn

      defn twice(x, options \\ []) do
        options = keyword!(options, by: 2)
        x * options[:by]
      end

      defn(inner(x), do: twice(x) + 1)
    end

    defmodule Evaluated do
      use Mlx.Defn
      @defn_compiler Nx.Defn.Evaluator
      defn(twice(x), do: x * 2)
    end

    test "chooses the compiler of a module's functions, default arguments included" do
      assert %Nx.Tensor{data: %Mlx.Backend{}} = result = Chosen.twice(2)
      assert Nx.to_number(result) == 4
      assert Nx.to_number(Chosen.twice(2, by: 5)) == 10
      assert Nx.to_number(Chosen.inner(2)) == 5

      assert %Nx.Tensor{data: %Nx.BinaryBackend{}} =
               Evaluated.twice(Nx.tensor(2, backend: Nx.BinaryBackend))
    end

    test "lets a function become part of the one that calls it" do
      result =
        Nx.Defn.jit(&Chosen.twice/1, compiler: Nx.Defn.Evaluator).(
          Nx.tensor(2, backend: Nx.BinaryBackend)
        )

      assert %Nx.Tensor{data: %Nx.BinaryBackend{}} = result
    end
  end

  describe "files" do
    @describetag :tmp_dir

    test "hold functions with several results, and leave out what is not read", %{tmp_dir: folder} do
      path = Path.join(folder, "program")
      fun = fn %{a: a, b: _b}, c -> {Nx.add(a, c), Nx.subtract(a, c)} end
      vector = Nx.template({2}, :s32)
      assert Mlx.Compiler.export(fun, [%{a: vector, b: vector}, vector], path) == :ok

      imported = Mlx.Compiler.import(path)
      [a, c] = [Nx.tensor([1, 2]), Nx.tensor([10, 20])]
      assert {sum, difference} = imported.([a, Nx.tensor([0, 0]), c])
      assert Nx.to_flat_list(sum) == [11, 22]
      assert Nx.to_flat_list(difference) == [-9, -18]
    end

    test "hold no hooks", %{tmp_dir: folder} do
      assert_raise Mlx.UnsupportedError, ~r/hooks or runtime calls/, fn ->
        fun = &Functions.on_host(&1, fn x -> x end)
        Mlx.Compiler.export(fun, [Nx.template({2}, :f32)], Path.join(folder, "program"))
      end
    end

    test "that are none are refused", %{tmp_dir: folder} do
      path = Path.join(folder, "program")
      File.write!(path, "no program")
      error = assert_raise Mlx.FormatError, fn -> Mlx.Compiler.import(path) end
      assert String.starts_with?(error.message, "[import] #{path}: ")

      :ok = Mlx.Compiler.export(&Functions.pass/1, [1], path)
      File.write!(path, path |> File.read!() |> String.replace(~s(arg0), <<255, 254, 253, 252>>))
      error = assert_raise Mlx.FormatError, fn -> Mlx.Compiler.import(path) end
      assert String.valid?(error.message)
      assert_raise File.Error, fn -> Mlx.Compiler.import(Path.join(folder, "none")) end
    end
  end

  test "types that MLX lacks raise" do
    assert_raise Mlx.UnsupportedError, ~r/c128/, fn ->
      jit(fn x -> Nx.as_type(x, :c128) end).(1)
    end
  end

  describe "donated arguments" do
    setup do
      Nx.default_backend(Mlx.Backend)
      :ok
    end

    test "are deallocated, and nothing else is" do
      x = Nx.tensor([1.0, 2.0])
      given = Nx.donatable(x)
      fun = Nx.Defn.jit(fn x, y -> {Nx.add(x, y), x, Nx.size(y)} end, compiler: Mlx.Compiler)
      y = Nx.tensor([3.0, 4.0])
      {sum, same, _} = fun.(given, y)
      assert Nx.to_list(sum) == [4.0, 6.0]
      assert Nx.to_list(same) == [1.0, 2.0]
      assert Nx.to_list(y) == [3.0, 4.0]
      assert_raise ArgumentError, ~r/deallocated/, fn -> Nx.to_list(x) end
      assert_raise ArgumentError, ~r/deallocated/, fn -> fun.(given, y) end
      # Given twice, or of another backend.
      z = Nx.donatable(Nx.tensor([1.0, 2.0]))
      assert {sum, _, _} = fun.(z, z)
      assert Nx.to_list(sum) == [2.0, 4.0]
      binary = Nx.donatable(Nx.tensor([1.0, 2.0], backend: Nx.BinaryBackend))
      assert {sum, _, _} = fun.(binary, y)
      assert {Nx.to_list(sum), Nx.to_list(binary)} == {[4.0, 6.0], [1.0, 2.0]}
    end

    test "lend their memory to results" do
      fun = Nx.Defn.jit(&Nx.add(&1, 1), compiler: Mlx.Compiler)

      for {mark, same?} <- [{& &1, false}, {&Nx.donatable/1, true}] do
        x = Mlx.eval(Nx.iota({100_000}, type: :f32))
        address = Nx.to_pointer(x).address
        y = Mlx.eval(fun.(mark.(x)))
        assert Nx.to_pointer(y).address == address == same?
        assert Nx.to_number(y[-1]) == 1.0e5
      end
    end

    test "stay where the call fails" do
      x = Nx.donatable(Nx.tensor([1.0, 2.0]))

      assert_raise RuntimeError, "no", fn ->
        failing = fn x -> Nx.Defn.Kernel.io_call(x, fn _ -> raise "no" end) end
        Nx.Defn.jit(failing, compiler: Mlx.Compiler).(x)
      end

      assert Nx.to_list(x) == [1.0, 2.0]
    end

    test "make no other program" do
      # Other tests make programs meanwhile: this one counts how often its own function is traced.
      traced = fn x ->
        Process.put(:traced, Process.get(:traced, 0) + 1)
        Nx.multiply(x, 5)
      end

      fun = Nx.Defn.jit(traced, compiler: Mlx.Compiler)
      fun.(Nx.tensor([1.0, 2.0]))
      assert Process.get(:traced) == 1
      assert Nx.to_list(fun.(Nx.donatable(Nx.tensor([1.0, 2.0])))) == [5.0, 10.0]
      assert Process.get(:traced) == 1
    end
  end

  # Nx's scopes would have the sort computed whatever `a` is, since another branch reads what comes of it.
  test "what one branch holds stays there where another branch reads the result" do
    fun = &Functions.read_in_branches/3
    text = Mlx.Compiler.to_text(fun, [Nx.template({5}, :f32), Nx.template({}, :s32), 1])
    assert [_, _, in_a_region] = Regex.run(~r/^( *)else.*\n(?: *%.*\n)*?( *)%\d+ = sort/m, text)
    assert String.length(in_a_region) > 2
    assert length(Regex.scan(~r/= sort /, text)) == 1

    x = Nx.tensor([3.0, 1.0, 2.0])
    run = Nx.Defn.jit(fun, compiler: Mlx.Compiler)

    for a <- [0, 1], b <- [0, 1] do
      expected = Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator).(x, a, b)
      assert Nx.to_number(Nx.all_close(run.(x, a, b), expected)) == 1
    end
  end
end
