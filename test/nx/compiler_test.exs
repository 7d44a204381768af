defmodule Mlx.CompilerTest do
  use ExUnit.Case, async: true
  doctest Mlx.Defn
  doctest Mlx.Compiler

  defmodule Functions do
    import Nx.Defn

    defn(predict(x, w), do: x |> Nx.dot(w) |> Nx.sigmoid())
    defn(container(x, y), do: %{sum: x + y, pair: {x - y, Nx.max(x, y)}})
    defn(constants(x), do: x * 2 + Nx.Constants.pi() - Nx.iota({3}) + Nx.tensor([1, 2, 3]))
    defn(non_finite(x), do: Nx.select(x > 0, Nx.Constants.infinity(), Nx.Constants.nan()))

    defn branches(x, y) do
      doubled = x * 2

      cond do
        Nx.sum(doubled) > 30 -> doubled + y
        Nx.sum(y) > 10 -> doubled * y
        true -> {Nx.sum(doubled), y} |> join()
      end
    end

    defnp(join({a, b}), do: a + b)

    defn nested_branches(x, y) do
      z = Nx.exp(y)

      if x > 0 do
        if x > 5, do: z + x, else: z - x
      else
        if x < -5, do: z * x, else: Nx.negate(z)
      end
    end

    defn collatz(n) do
      {_, steps} =
        while {n, steps = 0}, n > 1 do
          next = if Nx.remainder(n, 2) == 0, do: Nx.quotient(n, 2), else: 3 * n + 1
          {next, steps + 1}
        end

      steps
    end

    defn table(n) do
      {rows, _, _} =
        while {rows = Nx.broadcast(0, {4, 4}), i = 0, n}, i < 4 do
          {rows, _, _, _} =
            while {rows, i, j = 0, n}, j < 4 do
              value = Nx.reshape(i * j + n, {1, 1})
              {Nx.put_slice(rows, [i, j], value), i, j + 1, n}
            end

          {rows, i + 1, n}
        end

      rows
    end

    defn(gradient(x), do: grad(x, &Nx.sum(Nx.exp(&1) * Nx.sin(&1))))
    defn(reduction(x), do: Nx.reduce(x, 1, [axes: [1]], fn a, b -> a * 2 + b end))
    defn(windows(x), do: Nx.window_reduce(x, 0, {2, 2}, fn a, b -> Nx.max(a, b) end))
    defn(linear_algebra(x), do: Nx.LinAlg.solve(x, Nx.LinAlg.cholesky(x)))
    defn(random(key), do: Nx.Random.normal_split(key, 0.0, 1.0, shape: {3}))
    defn(indices(x, i), do: Nx.slice(x, [i, 0], [1, 2]) + Nx.gather(x, Nx.tensor([[0, 1]])))
    defn(vectors(x, y), do: Nx.dot(x, y))
    defn(sorted(x), do: {Nx.sort(x), Nx.argsort(x), Nx.top_k(x, k: 2)})
    defn(pass(x), do: x)

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

  @matrix [[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]]

  @cases [
    predict: [[[1.0, 2.0], [3.0, 4.0]], [[0.5], [0.3]]],
    container: [[1, 5, 3], [4, 2, 6]],
    constants: [[1.0, 2.0, 3.0]],
    non_finite: [[1.0, -1.0]],
    branches: [[10, 20], [1, 2]],
    branches: [[1, 2], [10, 20]],
    branches: [[1, 2], [1, 2]],
    nested_branches: [6, 0.5],
    nested_branches: [3, 0.5],
    nested_branches: [-6, 0.5],
    nested_branches: [-3, 0.5],
    collatz: [27],
    table: [3],
    gradient: [[0.1, 0.2, -1.5]],
    reduction: [[[1, 2, 3], [4, 5, 6]]],
    windows: [[[1, 2, 3], [4, 9, 6]]],
    linear_algebra: [@matrix],
    indices: [[[1, 2, 3], [4, 5, 6]], 1],
    sorted: [[3.0, 1.0, 2.0]],
    pass: [[1, 2]]
  ]

  for {{name, arguments}, i} <- Enum.with_index(@cases) do
    test "#{name} answers as Nx's evaluator does (#{i})" do
      check(unquote(name), Enum.map(unquote(Macro.escape(arguments)), &Nx.tensor/1))
    end
  end

  test "random numbers are Nx's" do
    check(:random, [Nx.Random.key(42)])
  end

  test "vectorized axes are kept" do
    x = Nx.tensor([[1.0, 2.0], [3.0, 4.0]]) |> Nx.vectorize(:rows)
    y = Nx.tensor([5.0, 6.0])
    check(:vectors, [x, y])
    assert jit(&Functions.vectors/2).(x, y).vectorized_axes == [rows: 2]
  end

  test "names are kept" do
    x = Nx.tensor([[1, 2]], names: [:a, :b])
    assert jit(&Functions.pass/1).(x).names == [:a, :b]
  end

  defp check(name, arguments) do
    fun = Function.capture(Functions, name, length(arguments))
    expected = apply(Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator), arguments)
    assert_close(apply(jit(fun), arguments), expected)
  end

  defp jit(fun, options \\ []), do: Nx.Defn.jit(fun, [compiler: Mlx.Compiler] ++ options)

  defp assert_close(%Nx.Tensor{} = result, %Nx.Tensor{} = expected) do
    assert %Mlx.Backend{} = result.data

    assert {result.type, result.shape, result.names} ==
             {expected.type, expected.shape, expected.names}

    result = Nx.backend_copy(result, Nx.BinaryBackend)
    close = Nx.all_close(result, expected, rtol: 1.0e-5, atol: 1.0e-6, equal_nan: true)

    assert Nx.to_flat_list(close) |> Enum.all?(&(&1 == 1)),
           "#{inspect(result)} is not #{inspect(expected)}"
  end

  defp assert_close(result, expected) when is_tuple(expected) do
    Enum.zip_with(Tuple.to_list(result), Tuple.to_list(expected), &assert_close/2)
  end

  defp assert_close(result, expected) when is_map(expected) do
    for {key, value} <- expected, do: assert_close(Map.fetch!(result, key), value)
  end

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
      assert Nx.to_number(jit(&Functions.collatz/1).(6)) == 8
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
      assert_raise Mlx.FormatError, fn -> Mlx.Compiler.import(path) end
      assert_raise File.Error, fn -> Mlx.Compiler.import(Path.join(folder, "none")) end
    end
  end

  test "types that MLX lacks raise" do
    assert_raise Mlx.UnsupportedError, ~r/c128/, fn ->
      jit(fn x -> Nx.as_type(x, :c128) end).(1)
    end
  end
end
