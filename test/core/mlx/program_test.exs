defmodule Mlx.ProgramTest do
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.{NIF, Program}

  @f32 {:f, 32}
  @vector {@f32, {2}}
  @scalar {@f32, {}}

  # (x, y) -> sum(x * y), x * y
  defp products(names \\ ["sum", "product"]) do
    instructions = [
      {2, {:op, :multiply, [0, 1], [], [@vector], nil}},
      {3, {:op, :sum, [2], [axes: nil, keep_axes: false], [@scalar], nil}}
    ]

    build({[{0, "x", @vector}, {1, "y", @vector}], instructions, [3, 2]}, names)
  end

  defp build(region, names \\ []), do: %Program{handle: NIF.program_build(region, names)}

  defp run(program, inputs) do
    for output <- Program.run(program, Enum.map(inputs, &tensor/1)), do: values(output)
  end

  test "a program tells its inputs and outputs" do
    assert Program.inputs(products()) == [{"x", @vector}, {"y", @vector}]
    assert Program.outputs(products()) == [{"sum", @scalar}, {"product", @vector}]
    assert Program.outputs(products([])) == [{"", @scalar}, {"", @vector}]

    assert inspect(products()) ==
             "#Mlx.Program<(x: f32[2], y: f32[2]) -> (sum: f32, product: f32[2])>"

    assert inspect(products([])) == "#Mlx.Program<(x: f32[2], y: f32[2]) -> (f32, f32[2])>"
    assert to_string(products()) =~ "%2 = multiply %0, %1"
    assert Program.to_dot(products()) =~ "digraph"
  end

  test "a program runs on handles, and refuses others than it takes" do
    assert run(products(), [[1.0, 2.0], [3.0, 4.0]]) == [[11.0], [3.0, 8.0]]

    assert_raise ArgumentError,
                 "[run] expected 2 tensors (x: f32[2], y: f32[2]), got 1",
                 fn -> run(products(), [[1.0, 2.0]]) end

    assert_raise ArgumentError, ~r/f32\[3\]/, fn ->
      run(products(), [[1.0, 2.0], [1.0, 2.0, 3.0]])
    end
  end

  @tag :tmp_dir
  test "a program travels in a file", %{tmp_dir: folder} do
    path = Path.join(folder, "products.mlxnx")
    assert Program.save(products(), path) == :ok
    loaded = Program.load(path)
    assert inspect(loaded) == inspect(products())
    assert run(loaded, [[1.0, 2.0], [3.0, 4.0]]) == [[11.0], [3.0, 8.0]]

    File.write!(path, "no program 100 %n")
    error = assert_raise Mlx.FormatError, fn -> Program.load(path) end
    assert error.message =~ "[load] #{path}: "
    assert_raise File.Error, fn -> Program.load(Path.join(folder, "elsewhere")) end
    assert_raise File.Error, fn -> Program.save(products(), Path.join(folder, "no/where")) end
  end

  @tag :tmp_dir
  test "a program that calls back can be differentiated, not saved or run", %{tmp_dir: folder} do
    program = build({[{0, "x", @scalar}], [{1, {:hook, "seen", [0]}}], [1]})

    for {name, call} <- [
          save: &Program.save(&1, Path.join(folder, "hook.mlxnx")),
          run: &Program.run(&1, [hd(tensors(1))])
        ],
        program <- [program, Program.transform(program, :value_and_grad)] do
      error = assert_raise Mlx.UnsupportedError, fn -> call.(program) end
      assert error.message == "[#{name}] the program has hooks or runtime calls (seen)"
    end
  end

  defp tensors(count), do: for(_ <- 1..count, do: tensor([1.0]))

  test "derivatives are programs" do
    program = products()
    [x, y] = [[1.0, 2.0], [3.0, 5.0]]
    gradient = Program.transform(program, :grad)

    assert inspect(gradient) == "#Mlx.Program<(x: f32[2], y: f32[2]) -> (f32[2], f32[2])>"
    assert run(gradient, [x, y]) == [y, x]

    for wrt <- ["y", :y, 1, ["y"], [1]] do
      assert run(Program.transform(program, :grad, wrt: wrt), [x, y]) == [x]
    end

    assert run(Program.transform(program, :grad, wrt: [:y, :x]), [x, y]) == [x, y]

    assert run(Program.transform(program, :value_and_grad, wrt: "x"), [x, y]) ==
             [[13.0], [3.0, 10.0], y]

    pulled = Program.transform(program, :vjp, wrt: "x")
    assert [_, _, {"", @scalar}, {"", @vector}] = Program.inputs(pulled)
    scalar = op(:constant, [], @scalar, value: 2.0, type: @f32, shape: {})
    inputs = Enum.map([x, y], &tensor/1) ++ [scalar, tensor([10.0, 100.0])]
    assert [_, _, cotangent] = Program.run(pulled, inputs)
    assert values(cotangent) == [36.0, 510.0]

    pushed = Program.transform(program, :jvp, wrt: "x")
    assert run(pushed, [x, y, [1.0, 10.0]]) == [[13.0], [3.0, 10.0], [53.0], [3.0, 50.0]]
  end

  test "derivatives have derivatives" do
    # x -> x * x * x
    cube =
      build(
        {[{0, "x", @vector}],
         [
           {1, {:op, :multiply, [0, 0], [], [@vector], nil}},
           {2, {:op, :multiply, [1, 0], [], [@vector], nil}}
         ], [2]}
      )

    second = cube |> Program.transform(:grad) |> Program.transform(:grad)
    assert run(second, [[1.0, 2.0]]) == [[6.0, 12.0]]

    assert run(cube |> Program.transform(:grad) |> Program.transform(:jvp), [
             [1.0, 2.0],
             [1.0, 0.0]
           ]) ==
             [[3.0, 12.0], [6.0, 0.0]]
  end

  test "a program of one example is one of many" do
    # x -> x * x, of scalars
    square =
      build({[{0, "x", @scalar}], [{1, {:op, :multiply, [0, 0], [], [@scalar], nil}}], [1]})

    mapped = Program.transform(square, :vmap, size: 3)
    assert inspect(mapped) == "#Mlx.Program<(x: f32[3]) -> (f32[3])>"
    assert run(mapped, [[1.0, 2.0, 3.0]]) == [[1.0, 4.0, 9.0]]

    slopes =
      square |> Program.transform(:grad) |> Program.transform(:vmap, size: 3, in_axes: [-1])

    assert run(slopes, [[1.0, 2.0, 3.0]]) == [[2.0, 4.0, 6.0]]

    shared = Program.transform(products(), :vmap, size: 2, in_axes: [nil, 0])
    assert [{"x", @vector}, {"y", {@f32, {2, 2}}}] = Program.inputs(shared)

    assert_raise ArgumentError, ~r/^\[vmap\]/, fn ->
      Program.transform(square, :vmap, size: 2, in_axes: 1)
    end
  end

  test "inputs that there are not are refused" do
    for {wrt, text} <- [
          {2, "expected positions of 2 tensors in :wrt, got: 2"},
          {-1, "expected positions of 2 tensors in :wrt, got: -1"},
          {"z", ~s{expected inputs (x, y), got: "z"}},
          {1.5, "expected names or positions in :wrt, got: 1.5"},
          {[0, :x], "input 0 is named twice"}
        ] do
      error = assert_raise ArgumentError, fn -> Program.transform(products(), :grad, wrt: wrt) end
      assert error.message =~ text
    end
  end

  test "what has no derivative is refused" do
    scalars = [{0, "", @scalar}, {1, "", @scalar}]
    function = {scalars, [{2, {:op, :multiply, [0, 1], [], [@scalar], nil}}], [2]}

    reduce =
      {[{0, "x", @vector}, {1, "start", @scalar}],
       [{2, {:op, :reduce, [0, 1], [axes: nil, keep_axes: false], [@scalar], function}}], [2]}

    assert_raise Mlx.UnsupportedError, ~r/reduce/, fn ->
      Program.transform(build(reduce), :grad)
    end
  end

  test "a transform stands in a region, and takes the operands of what it makes" do
    square = {[{0, "", @vector}], [{1, {:op, :multiply, [0, 0], [], [@vector], nil}}], [1]}

    outer = fn name, operands, count ->
      outputs = Enum.to_list(1..count)
      instruction = {:transform, name, {[0], :all}, operands, square}
      {[{0, "x", @vector}], [{1, instruction}], outputs}
    end

    assert run(build(outer.(:value_and_grad, [0], 2)), [[2.0, 3.0]]) == [[4.0, 9.0], [4.0, 6.0]]
    assert run(build(outer.(:jvp, [0, 0], 2)), [[2.0, 3.0]]) == [[4.0, 9.0], [8.0, 18.0]]

    for {name, operands, text} <- [
          {:vjp, [0], "[program] a transformed region takes 2 operands, got 1"},
          {:nothing, [0], "[transform] there is no transform called nothing"}
        ] do
      assert_raise ArgumentError, text, fn -> build(outer.(name, operands, 2)) end
    end
  end

  if not Code.ensure_loaded?(Nx) do
    test "without Nx, what needs it says so" do
      for call <- [
            fn -> Mlx.grad(fn x -> x end) end,
            fn -> Mlx.jvp(fn x -> x end, [1], [1]) end,
            fn -> Program.run(products(), [1, 2]) end
          ] do
        assert_raise Mlx.UnsupportedError,
                     ~r/this needs Nx, and elixir_mlx was compiled without/,
                     call
      end
    end
  end
end
