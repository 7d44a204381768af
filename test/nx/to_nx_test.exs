defmodule Mlx.ToNxTest do
  # Programs as calls of Nx.
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 3, by_nx: 2]

  alias Mlx.Program

  defmodule Functions do
    import Nx.Defn

    defn loop(x) do
      {x, _} = while({x, i = 0}, i < 3, do: {Nx.sin(x) * x, i + 1})
      Nx.sum(x)
    end

    defn open_loop(x) do
      {y, _} = while({y = x, x}, Nx.sum(y) < 100.0, do: {y * 1.5 + Nx.sin(x), x})
      Nx.sum(y * y)
    end

    defn(branch(x), do: if(Nx.sum(x) > 0, do: Nx.sum(x * x), else: Nx.sum(x)))

    defn(marked(x),
      do: Nx.sum(custom_grad(Nx.cos(x), [x], fn g -> [g * x] end) * stop_grad(x))
    )

    defn(refusing(x), do: custom_grad(Nx.cos(x), [x], fn _g -> no_gradient() end))
    deftransformp(no_gradient, do: raise(ArgumentError, "there is none"))

    defn(called(x, opts \\ []), do: x + twice(x, opts))

    deftransformp(twice(x, opts),
      do: Mlx.Program.to_nx(opts[:program], [x, 3.0]) |> Nx.multiply(2)
    )
  end

  doctest Mlx.Program, only: [to_nx: 2]

  defp flat(containers) do
    for tensor <- Nx.Defn.Composite.flatten_list(containers) do
      tensor = tensor |> Nx.to_tensor() |> Nx.devectorize(keep_names: false)
      Nx.rename(tensor, List.duplicate(nil, Nx.rank(tensor)))
    end
  end

  # The program of a function, and its inputs.
  defp program(fun, arguments) do
    tensors = flat(arguments)
    names = for {_, i} <- Enum.with_index(tensors), do: "arg#{i}"
    program = Mlx.Compiler.to_program(fun, arguments, names: names)

    inputs =
      for {"arg" <> i, _type} <- Program.inputs(program) do
        tensors |> Enum.at(String.to_integer(i)) |> Nx.backend_copy(Nx.BinaryBackend)
      end

    {program, inputs}
  end

  defp assert_same(result, expected) do
    for {ours, theirs} <- Enum.zip(flat([result]), flat([expected])) do
      ours = Nx.backend_copy(ours, Mlx.Backend)
      assert_answer(ours, Nx.backend_copy(theirs, Nx.BinaryBackend), tolerance: 1.0e-5)
    end
  end

  # What the function was compiled to, as Nx's evaluator computes it, and compiled once more.
  for {{name, _fun, _arguments}, i} <- Enum.with_index(Mlx.Programs.all()) do
    test "#{name}" do
      {_name, fun, arguments} = Enum.at(Mlx.Programs.all(), unquote(i))
      {program, inputs} = program(fun, arguments)

      if Mlx.NIF.program_callbacks(program.handle) == [] do
        expected = by_nx(fun, arguments)

        assert_same(
          by_nx(&Program.to_nx(program, Tuple.to_list(&1)), [List.to_tuple(inputs)]),
          expected
        )

        again = &Program.to_nx(program, Tuple.to_list(&1))
        compiled = Nx.Defn.jit_apply(again, [List.to_tuple(inputs)], compiler: Mlx.Compiler)
        assert_same(compiled, expected)
      else
        text = ~r/^\[to_nx\] the program has hooks or runtime calls/
        assert_raise Mlx.UnsupportedError, text, fn -> Program.to_nx(program, inputs) end
      end
    end
  end

  describe "gradients" do
    test "through programs are those of their functions" do
      x = Nx.tensor([0.5, -1.25, 2.0], backend: Nx.BinaryBackend)

      for fun <- [
            fn x -> Nx.sum(Nx.multiply(Nx.sin(x), x)) end,
            &Functions.loop/1,
            &Functions.branch/1,
            &Functions.marked/1
          ] do
        {program, _inputs} = program(fun, [x])
        again = &Program.to_nx(program, [&1])
        expected = by_nx(&Nx.Defn.grad(&1, fun), [x])
        assert_same(by_nx(&Nx.Defn.grad(&1, again), [x]), expected)
        assert_same(Mlx.grad(x, again), expected)
      end
    end

    test "of programs are programs that Nx computes" do
      x = Nx.tensor([0.5, -1.25, 2.0], backend: Nx.BinaryBackend)

      for fun <- [fn x -> Nx.sum(Nx.multiply(Nx.sin(x), x)) end, &Functions.branch/1] do
        {program, _inputs} = program(fun, [x])
        gradient = Program.transform(program, :grad)
        expected = by_nx(&Nx.Defn.grad(&1, fun), [x])
        assert_same(by_nx(&Program.to_nx(gradient, [&1]), [x]), expected)
      end
    end

    test "of loops go back as often as the loops went ahead" do
      for {x, fun} <- [
            {Nx.tensor([3.0, 1.0]), &Functions.open_loop/1},
            {Nx.tensor([30.0, 90.0]), &Functions.open_loop/1}
          ] do
        {program, [x]} = program(fun, [x])
        gradient = Program.transform(program, :grad)
        assert to_string(gradient) =~ "while_reverse"
        expected = by_nx(&Nx.Defn.grad(&1, fun), [x])
        assert_same(by_nx(&Program.to_nx(gradient, [&1]), [x]), expected)
      end
    end

    test "that there are not say so" do
      {program, _inputs} = program(&Functions.refusing/1, [1.0])

      assert_raise Mlx.UnsupportedError, ~r/there is none/, fn ->
        Nx.Defn.grad(Nx.tensor(1.0), &Program.to_nx(program, [&1]))
      end
    end
  end

  # What the core writes has other attributes than what Nx's functions were lowered to.
  test "derivatives of programs of every kind, and the same of examples, are what the core computes" do
    tried =
      for {_name, fun, arguments} <- Mlx.Programs.all(),
          {program, inputs} = program(fun, arguments),
          Mlx.NIF.program_callbacks(program.handle) == [],
          derived <- derived(program) do
        inputs = Enum.zip_with(inputs, Program.inputs(derived), &batched/2)
        expected = derived |> Program.run(inputs) |> List.to_tuple()

        assert_same(
          by_nx(&Program.to_nx(derived, Tuple.to_list(&1)), [List.to_tuple(inputs)]),
          expected
        )
      end

    assert length(tried) > 300
  end

  defp derived(program) do
    for transform <- [&Program.transform(&1, :grad), &Program.transform(&1, :vmap, size: 2)],
        Program.inputs(program) != [],
        derived = transformed(program, transform),
        do: derived
  end

  defp transformed(program, transform) do
    transform.(program)
  rescue
    Mlx.UnsupportedError -> nil
  end

  defp batched(input, {_name, {_type, shape}}) do
    if input.shape == shape, do: input, else: Nx.stack([input, input])
  end

  test "programs stand inside of defn" do
    {program, _inputs} = program(&Nx.multiply/2, [2.0, 3.0])
    assert Functions.called(2.0, program: program) |> Nx.to_number() == 14.0
  end

  test "inputs are checked" do
    {program, _inputs} = program(&Nx.multiply/2, [Nx.tensor([1.0, 2.0]), 3.0])

    for {inputs, text} <- [
          {1, "[to_nx] expected a list of 2 tensors, got: 1"},
          {[1], "[to_nx] expected 2 tensors (arg0: f32[2], arg1: f32), got 1"},
          {[1, 2], "[to_nx] expected a tensor for arg0: f32[2], got: 1"},
          {[Nx.tensor([1, 2]), 2], "[to_nx] expected a tensor for arg0: f32[2], got: #Nx.Tensor"}
        ] do
      error = assert_raise ArgumentError, fn -> Program.to_nx(program, inputs) end
      assert error.message =~ text
    end
  end
end
