defmodule Mlx.ArgumentsWithNxTest do
  # What the public functions that need Nx say to arguments of every wrong kind.
  use ExUnit.Case, async: false

  alias Mlx.{Backend, Compiler, Recorder}

  @moduletag :tmp_dir

  defp gone do
    tensor = Nx.tensor([1.0], backend: Backend)
    Nx.backend_deallocate(tensor)
    tensor
  end

  defp values do
    [nil, true, 1, -1, 1.5, :atom, :tpu, "", "text", [], [1], {}, %{}, self(), make_ref(), gone()] ++
      [Nx.tensor(1), Nx.template({2}, :f32), fn -> 1 end, fn x -> x end, [foo: 1], [device: :tpu]]
  end

  defp vector, do: Nx.template({2}, :f32)
  defp path?(value), do: is_binary(value) and value != ""
  defp jit(options), do: Nx.Defn.jit(& &1, [compiler: Compiler] ++ options).(1)

  # `{function, call, what it takes, text}`
  defp rows(folder) do
    path = Path.join(folder, "program")
    unary = &is_function(&1, 1)
    without = &is_function(&1, 0)

    [
      {:export, &Compiler.export(&1, [vector()], path), unary,
       "[export] expected a function of arity 1"},
      {:export, &Compiler.export(fn x -> x end, &1, path), &is_list/1,
       "[export] expected a list of arg"},
      {:export, &Compiler.export(fn x -> x end, [vector()], &1), &path?/1,
       "[export] expected the path"},
      {:export, &Compiler.export(fn x -> x end, [vector()], path, &1), &(&1 == []),
       "[export] expected no option but :names"},
      {:export, &Compiler.export(fn x -> x end, [vector()], path, names: &1), &is_nil/1,
       "[export] expected"},
      {:import, &Compiler.import/1, &path?/1, "[import] expected the path"},
      {:to_dot, &Compiler.to_dot(&1, [vector()]), unary,
       "[to_dot] expected a function of arity 1"},
      {:to_dot, &Compiler.to_dot(fn x -> x end, &1), &is_list/1,
       "[to_dot] expected a list of arguments"},
      {:to_text, &Compiler.to_text(&1, [vector()]), unary,
       "[to_text] expected a function of arity 1"},
      {:to_text, &Compiler.to_text(fn x -> x end, &1), &is_list/1,
       "[to_text] expected a list of arguments"},
      {:to_program, &Compiler.to_program(&1, [vector()]), unary,
       "[to_program] expected a function of arity 1"},
      {:to_program, &Compiler.to_program(fn x -> x end, &1), &is_list/1,
       "[to_program] expected a list of arguments"},
      {:to_program, &Compiler.to_program(fn x -> x end, [vector()], &1), &(&1 == []),
       "[to_program] expected no option but :names"},
      {:record, &Recorder.record(&1, fn -> 1 end), &path?/1, "[record] expected the path"},
      {:record, &Recorder.record(folder, &1), without,
       "[record] expected a function without arguments"},
      {:record, &Recorder.record(folder, &1, fn -> 1 end), &(&1 == []),
       "[record] expected no option but"},
      {:record, &Recorder.record(folder, [limit_bytes: &1], fn -> 1 end),
       &(is_integer(&1) and &1 >= 0), "[record] expected :limit_bytes to be a number of bytes"},
      {:named, &Recorder.named(&1, fn -> 1 end), &path?/1, "[named] expected a name"},
      {:named, &Recorder.named("name", &1), without,
       "[named] expected a function without arguments"},
      {:compile, &jit(device: &1), &is_nil/1,
       "[Mlx.Backend] expected :device to be :cpu or :gpu"},
      {:compile, &jit(cache: &1), &(&1 == true or path?(&1)),
       "[Mlx.Compiler] expected :cache to be"},
      {:compile, &jit(hooks: %{hook: &1}), &(&1 == nil or unary.(&1)),
       "[Mlx.Compiler] expected the hook :hook to be a function"},
      {:partitions, &Compiler.__partitions_options__(max_concurrency: &1),
       &(is_integer(&1) and &1 > 0),
       "[Mlx.Compiler] expected :max_concurrency to be a positive integer"},
      {:to_backend, &Compiler.__to_backend__(device: &1), &is_nil/1,
       "[Mlx.Backend] expected :device"},
      {:init, &Backend.init/1, &(&1 == []), "[Mlx.Backend] expected"},
      {:init, &Backend.init(device: &1), &is_nil/1,
       "[Mlx.Backend] expected :device to be :cpu or :gpu"}
    ]
  end

  @no_arguments [:clear_cache]

  test "every public function has a row", %{tmp_dir: folder} do
    names = Enum.map(rows(folder), &elem(&1, 0)) ++ @no_arguments

    for module <- [Compiler, Recorder],
        {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(module),
        {{:function, name, arity}, _, _, %{}, _} <- docs,
        not String.starts_with?("#{name}", "__") do
      assert name in names, "no row for #{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "arguments of every wrong kind raise, and the text names the function and what it wants",
       context do
    for {name, function, takes?, text} <- rows(context.tmp_dir),
        value <- values(),
        not takes?.(value) do
      error = assert_raise ArgumentError, fn -> function.(value) end
      assert error.message =~ text, "#{name} of #{inspect(value)}: #{error.message}"
      assert error.message =~ ~r/^\[[\w.]+\] .*got/s
    end
  end

  test "options of the backend are checked wherever a tensor is made" do
    pointer = Nx.to_pointer(Nx.tensor([1.0], backend: Backend))

    for {options, text} <- [
          {[foo: 1], "no option but :device"},
          {[device: :cpu, foo: 1], "no option but :device"},
          {[device: :tpu], ":device to be :cpu or :gpu, got: :tpu"},
          {[device: "cpu"], ~s(:device to be :cpu or :gpu, got: "cpu")},
          {[:cpu], "options as a keyword list, got: [:cpu]"}
        ],
        make <- [
          &Nx.tensor([1], backend: &1),
          &Nx.tensor(1, backend: &1),
          &Nx.iota({2}, backend: &1),
          &Nx.eye(2, backend: &1),
          &Nx.from_binary(<<1>>, :u8, backend: &1),
          &Nx.from_pointer(&1, pointer, {:f, 32}, {1}),
          &Nx.backend_copy(Nx.tensor(1), &1),
          &Nx.backend_transfer(Nx.tensor(1, backend: Backend), &1),
          &Nx.default_backend/1
        ] do
      error = assert_raise ArgumentError, fn -> make.({Backend, options}) end
      assert error.message =~ "[Mlx.Backend] expected " <> text
    end

    for options <- [[], [device: nil], [device: :cpu]] do
      assert Nx.to_number(Nx.tensor(7, backend: {Backend, options})) == 7
    end
  end

  test "a hook that is nil leaves the one in the code" do
    fun = &Nx.io_call(&1, :hook, fn x -> send(self(), {:told, Nx.to_number(x)}) end)
    Nx.Defn.jit(fun, compiler: Compiler, hooks: %{hook: nil}).(3)
    assert_received {:told, 3}
  end

  describe "a program that was read" do
    setup %{tmp_dir: folder} do
      path = Path.join(folder, "add")
      :ok = Compiler.export(fn x, y -> Nx.add(x, y) end, [vector(), vector()], path)
      %{imported: Compiler.import(path), path: path}
    end

    test "says what it takes to other arguments than these", %{imported: imported, path: path} do
      x = Nx.tensor([1.0, 2.0])
      assert Nx.to_flat_list(imported.([x, x])) == [2.0, 4.0]

      for {arguments, got} <- [
            {[], "got 0"},
            {[x], "got 1"},
            {[x, x, x], "got 3"},
            {x, "got: #Nx.Tensor"},
            {nil, "got: nil"},
            {%{x: x, y: x}, "got: %{"},
            {[x, nil], "got: nil"},
            {["x", x], ~s(got: "x")},
            {[[x], x], "got: ["}
          ] do
        error = assert_raise ArgumentError, fn -> imported.(arguments) end

        assert error.message =~
                 "[import] expected a list of 2 tensors for the program in #{path}, " <>
                   "which reads arg0 (f32[2]), arg1 (f32[2]), got"

        assert error.message =~ got
      end
    end

    test "says which input has another type", %{imported: imported} do
      x = Nx.tensor([1.0, 2.0])
      text = "[program] input 1 (arg1) should be f32[2], got"

      for {other, got} <- [
            {1, "s32"},
            {1.5, "f32"},
            {Nx.tensor([1, 2]), "s32[2]"},
            {Nx.tensor([1.0]), "f32[1]"},
            {Nx.vectorize(Nx.tensor([[1.0, 2.0]]), :v), "f32[1][2]"}
          ] do
        assert_raise ArgumentError, "#{text} #{got}", fn -> imported.([x, other]) end
      end

      assert_raise ArgumentError, ~r/deallocated/, fn -> imported.([x, gone()]) end
      assert Nx.to_flat_list(imported.([x, Nx.vectorize(x, :v)])) == [2.0, 4.0]
      binary = Nx.tensor([1.0, 2.0], backend: Nx.BinaryBackend)
      assert Nx.to_flat_list(imported.([binary, x])) == [2.0, 4.0]
    end
  end
end
