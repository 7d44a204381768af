defmodule Mlx.Compiler.NamesTest do
  # It compiles a module into a folder of the code path.
  use ExUnit.Case, async: false

  alias Mlx.NIF

  @source ~S"""
  defmodule Mlx.Compiler.NamesTest.Written do
    import Nx.Defn

    defn predict(x, w, options \\ []) do
      options = keyword!(options, scale: 1)
      Nx.dot(w, x) * options[:scale]
    end

    defn both(x, %{weight: w, bias: {b, _}} = params), do: params.weight * x + b + w
    defn matched(%{a: a, b: %{c: c}}, {d, e}), do: a + c + d + e
    defn unread(_x, y), do: y + 1
    defn misleading(arg1, arg0), do: arg1 - arg0
    defn same(%{a: a}, b), do: a.x + b.x
    def plain(x, y \\ 1, z), do: x |> Nx.add(y) |> Nx.subtract(z)
    deftransform transform(x, by), do: Nx.multiply(x, by)
    def captured, do: &hidden/2
    def anonymous, do: fn a, b -> hidden(a, b) end
    defp hidden(x, by), do: Nx.subtract(x, by)
  end
  """

  @moduletag :tmp_dir

  setup %{tmp_dir: folder} do
    file = Path.join(folder, "written.ex")
    File.write!(file, @source)
    debug_info = Code.get_compiler_option(:debug_info)
    Code.put_compiler_option(:debug_info, true)
    [{module, beam}] = Code.compile_file(file)

    on_exit(fn ->
      Code.put_compiler_option(:debug_info, debug_info)
      Code.delete_path(folder)
      :code.purge(module)
      :code.delete(module)
    end)

    File.write!(Path.join(folder, "#{module}.beam"), beam)
    Code.prepend_path(folder)
    %{module: module, beam: beam, path: Path.join(folder, "program")}
  end

  defp names(fun, args, path, options \\ []) do
    :ok = Mlx.Compiler.export(fun, args, path, options)

    {inputs, _outputs} =
      path |> File.read!() |> NIF.program_deserialize() |> NIF.program_signature()

    Enum.map(inputs, &elem(&1, 0))
  end

  defp vector, do: Nx.template({2}, :f32)
  defp capture(module, name, arity), do: Function.capture(module, name, arity)

  test "are the function's own where its module lies in a file", %{module: module, path: path} do
    v = vector()

    for {name, args, expected} <- [
          {:predict, [v, v], ["x", "w"]},
          {:both, [v, %{weight: v, bias: {v, v}}], ["x", "params.bias.0", "params.weight"]},
          {:matched, [%{a: v, b: %{c: v}}, {v, v}], ["a", "c", "d", "e"]},
          {:unread, [v, v], ["y"]},
          {:same, [%{a: %{x: v}}, %{x: v}], ["a.x", "b.x"]},
          {:plain, [v, v], ["x", "z"]},
          {:plain, [v, v, v], ["x", "y", "z"]},
          {:transform, [v, 2], ["x", "by"]}
        ] do
      assert {name, names(capture(module, name, length(args)), args, path)} == {name, expected}
    end

    assert names(&Nx.multiply/2, [v, 2], path) == ["left", "right"]
    assert names(module.captured(), [v, v], path) == ["x", "by"]
  end

  test "are positions where nothing is known, or the names would mislead", context do
    %{module: module, beam: beam, path: path, tmp_dir: folder} = context
    v = vector()
    assert names(fn x, %{a: a} -> Nx.add(x, a) end, [v, %{a: v}], path) == ["arg0", "arg1"]
    assert names(fn _, _, z -> Nx.exp(z) end, [v, v, v], path) == ["arg2"]
    assert names(capture(module, :misleading, 2), [v, v], path) == ["arg0", "arg1"]
    assert names(module.anonymous(), [v, v], path) == ["arg0", "arg1"]

    predict = capture(module, :predict, 2)
    assert names(fn x, w -> predict.(x, w) end, [v, v], path) == ["arg0", "arg1"]

    # As in a release.
    {:ok, {_, stripped}} = :beam_lib.strip(beam)
    File.write!(Path.join(folder, "#{module}.beam"), stripped)
    assert names(predict, [v, v], path) == ["arg0", "arg1"]

    File.rm!(Path.join(folder, "#{module}.beam"))
    assert names(predict, [v, v], path) == ["arg0", "arg1"]
  end

  test "are those of the option :names", %{module: module, path: path} do
    v = vector()
    predict = capture(module, :predict, 2)
    assert names(predict, [v, v], path, names: ["input", :weight]) == ["input", "weight"]
    args = [v, %{weight: v, bias: {v, v}}]
    assert names(capture(module, :both, 2), args, path, names: ~w(a b c d)) == ["a", "b", "d"]

    for {names, text} <- [
          {[], "as many names as there are tensors in the arguments, 2, got: []"},
          {["a"], "as many names"},
          {["a", "b", "c"], "as many names"},
          {["a", "a"], "names to differ"},
          {[:a, "a"], "names to differ"},
          {["a", ""], ~s(without "=")},
          {["a", nil], ~s(without "=")},
          {["a", "b=c"], ~s(without "=")},
          {["a", "b\nc"], ~s(without "=")},
          {["a", <<255>>], ~s(without "=")},
          {["a", 1], ~s(without "=")}
        ] do
      error = assert_raise ArgumentError, fn -> names(predict, [v, v], path, names: names) end
      assert error.message =~ "[export] expected " and error.message =~ text
    end
  end

  test "and the inputs stand in the order of the arguments, not of their use", context do
    %{module: module, path: path} = context
    matrix = Nx.template({2, 2}, :f32)
    assert names(capture(module, :predict, 2), [vector(), matrix], path) == ["x", "w"]
    imported = Mlx.Compiler.import(path)
    w = Nx.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert Nx.to_flat_list(imported.([Nx.tensor([1.0, 10.0]), w])) == [21.0, 43.0]

    # What is not read is no input.
    names(capture(module, :unread, 2), [vector(), vector()], path)
    assert Nx.to_flat_list(Mlx.Compiler.import(path).([Nx.tensor([1.0, 2.0])])) == [2.0, 3.0]

    fun = fn x, y -> Nx.subtract(y, x) end
    assert names(fun, [vector(), vector()], path) == ["arg0", "arg1"]
    imported = Mlx.Compiler.import(path)

    assert Nx.to_flat_list(imported.([Nx.tensor([1.0, 2.0]), Nx.tensor([5.0, 5.0])])) == [
             4.0,
             3.0
           ]
  end
end
