defmodule Mlx.NIF.ProgramArgumentsTest do
  # Malformed programs, and processes that end while one runs.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.{NIF, VM}

  @f32 {{:f, 32}, {}}
  @u8 {{:u, 8}, {}}
  @input {0, "x", @f32}

  defp scalar(number), do: NIF.from_binary(@f32, <<number::float-32-native>>, nil)
  defp negate, do: {1, {:op, :negate, [0], [], [@f32], nil}}
  defp small, do: {[@input], [negate()], [1]}

  defp refuse(region, text, names \\ []) do
    error = assert_raise ArgumentError, fn -> NIF.program_build(region, names) end
    assert error.message =~ text
  end

  test "regions are triples of lists" do
    for region <- [nil, {}, {[], []}, [[], [], []], "text"] do
      refuse(region, "[program_build] expected a region {inputs, instructions, outputs}, got ")
    end

    refuse({[{0, "x"}], [], []}, "expected an input {id, name, {type, shape}}, got {0,")
    refuse({[{:a, "x", @f32}], [], []}, "expected an integer of at most 64 bits, got a")
    refuse({[{0, 1, @f32}], [], []}, "expected an atom or a binary, got 1")
    refuse({[{0, "x", :f32}], [], []}, "expected a pair {type, shape}, got f32")
    refuse({[@input | 1], [], []}, "expected a list, got ")
    refuse({[@input], [:negate], []}, "expected {id, instruction}, got negate")
    refuse({[@input], [], :all}, "expected a list, got all")
    refuse({[@input], [], [7]}, "[program] nothing is called 7")
    refuse({[@input], [], [0]}, "name", ["a", "b"])

    refuse(
      {[{0, "x", {{:f, 32}, {-1}}}], [], [0]},
      "a dimension must not be negative, got f32[-1]"
    )
  end

  test "instructions are of a known kind and size" do
    for instruction <-
          [{}, :op, {:jump, 0}, {:op, :negate}, {:constant}, {:while, [0]}, {"op"}] ++
            [{:stop_gradient}, {:custom_vjp, [0]}] do
      refuse({[@input], [{1, instruction}], []}, "expected an instruction, got ")
    end

    op = fn name, operands, attributes, types ->
      {[@input], [{1, {:op, name, operands, attributes, types, nil}}], [1]}
    end

    refuse(op.(:none, [0], [], [@f32]), "expected the name of an op, got none")
    refuse(op.(:negate, [1], [], [@f32]), "nothing is called 1")
    refuse(op.(:negate, [], [], [@f32]), "takes 1 operand")
    refuse(op.(:negate, [0], [axis: 1], [@f32]), "[negate] has no attribute axis")
    refuse(op.(:negate, [0], [], [{{:f, 32}, {2}}]), "f32[2]")
    refuse(op.(:reduce, [0, 0], [], [@f32]), "[reduce] takes 1 regions, got 0")
  end

  test "constants are tensors that are there" do
    gone = scalar(1.0)
    NIF.deallocate(gone)
    refuse({[], [{0, {:constant, gone}}], [0]}, "the tensor was deallocated")
    refuse({[], [{0, {:constant, make_ref()}}], [0]}, "expected a tensor, got #Ref<")
  end

  test "regions of loops and branches fit" do
    condition = {[@input], [{1, {:op, :less, [0, 0], [], [@u8], nil}}], [1]}
    loop = fn condition, body -> {[@input], [{1, {:while, [0], [], condition, body}}], [1]} end
    refuse(loop.(small(), {[], [], []}), "while")
    refuse(loop.({[@input, {5, "y", @f32}], [], [0]}, small()), "while")
    refuse(loop.(condition, {[@input], [], [0, 0]}), "while")
    refuse(loop.(nil, small()), "expected a region")
    assert NIF.program_build(loop.(condition, small()), [])

    branches = fn predicates, branches ->
      {[@input], [{1, {:cond, predicates, [0], branches}}], [1]}
    end

    refuse(branches.([0, 0], [small(), small()]), "cond")
    refuse(branches.([0], [small(), {[], [], []}]), "cond")
    refuse(branches.([0], :none), "expected a list")
    assert NIF.program_build(branches.([0], [small(), small()]), [])
  end

  test "gradients of marks fit" do
    mark = fn instruction -> {[@input], [{1, instruction}], [1]} end
    refuse(mark.({:stop_gradient, [1]}), "nothing is called 1")
    refuse(mark.({:custom_vjp, [], [0], [], small()}), "[custom_vjp] passes on 0 values")

    refuse(
      mark.({:custom_vjp, [0], [0], [0], small()}),
      "the gradient's inputs should be (f32, f32)"
    )

    refuse(mark.({:custom_vjp, [0], [], [], small()}), "there are 0 inputs, and the gradient")
    refuse(mark.({:custom_vjp, [0], [0], ""}), "neither a region nor a reason")
    assert NIF.program_build(mark.({:custom_vjp, [0], [0], [], small()}), [])
    assert NIF.program_build(mark.({:custom_vjp, [0], [0], "none"}), [])
  end

  test "a gradient that can't be built does not keep the program from running" do
    unknown = {[@input], [{1, {:op, :conv, [0], [], [@f32], nil}}], [1]}
    region = {[@input], [{1, {:custom_vjp, [0], [0], [], unknown}}], [1]}
    program = NIF.program_build(region, [])
    assert NIF.program_text(program) =~ "custom_vjp %0, %0 {values: 1, reason: \"[conv] "
    assert [result] = NIF.program_run(program, [scalar(2.0)], [], nil)
    assert values(result) == [2.0]
  end

  test "regions may not stand too deep within each other" do
    deep = fn depth ->
      Enum.reduce(1..depth, small(), fn _, inner ->
        {[@input], [{1, {:cond, [0], [0], [inner, small()]}}], [1]}
      end)
    end

    assert NIF.program_build(deep.(20), [])
    for depth <- [100, 100_000], do: refuse(deep.(depth), "more than 64 deep within each other")
  end

  test "every function that takes a program refuses other terms" do
    for term <- [nil, make_ref(), scalar(1.0), small()] do
      for {function, arguments} <- [
            program_run: [term, [], [], nil],
            program_run_with_callbacks: [make_ref(), term, [], nil],
            program_text: [term],
            program_dot: [term],
            program_serialize: [term],
            program_serialize_as: [term, []],
            program_renamed: [term, []],
            program_transform: [term, :grad, []],
            program_output_names: [term],
            program_region: [term],
            program_callbacks: [term],
            program_bytes: [term],
            program_signature: [term]
          ] do
        error = assert_raise ArgumentError, fn -> apply(NIF, function, arguments) end
        assert error.message =~ "[#{function}] expected a program, got "
      end
    end
  end

  test "inputs are counted and typed" do
    program = NIF.program_build(small(), [])
    vector = tensor([1.0, 2.0])
    gone = scalar(1.0)
    NIF.deallocate(gone)

    for {inputs, text} <- [
          {[], "1"},
          {[scalar(1.0), scalar(1.0)], "1"},
          {[vector], "f32[2]"},
          {[tensor([1], {:s, 32})], "s32[1]"},
          {[gone], "deallocated"},
          {:none, "expected a list of tensors"},
          {[scalar(1.0) | 1], "expected a list of tensors"}
        ] do
      error = assert_raise ArgumentError, fn -> NIF.program_run(program, inputs, [], nil) end
      assert error.message =~ text
    end

    assert_raise ArgumentError, ~r/a stream, got there/, fn ->
      NIF.program_run(program, [scalar(1.0)], [], :there)
    end
  end

  test "bytes that are no program are refused, whatever was done to them" do
    marks = [{3, {:stop_gradient, [2]}}, {4, {:custom_vjp, [3], [0], [], small()}}]
    region = {[@input], [negate(), {2, {:cond, [0], [0, 1], [swap(), swap()]}} | marks], [4, 1]}
    bytes = NIF.program_serialize(NIF.program_build(region, ["a", "b"]))
    size = byte_size(bytes)
    :rand.seed(:exsss, {1, 2, 3})

    for _ <- 1..2000 do
      at = :rand.uniform(size) - 1
      <<before::binary-size(at), _, rest::binary>> = bytes

      mutant =
        case :rand.uniform(3) do
          1 -> before <> <<:rand.uniform(256) - 1>> <> rest
          2 -> before
          3 -> before <> :rand.bytes(3) <> rest
        end

      try do
        program = NIF.program_deserialize(mutant)
        assert is_binary(NIF.program_text(program))

        if match?({[{_, @f32}], _}, NIF.program_signature(program)),
          do: NIF.program_run(program, [scalar(1.0)], [], nil)
      rescue
        error in [ArgumentError, Mlx.FormatError, Mlx.UnsupportedError, Mlx.Error] ->
          assert error.message != ""
      end
    end

    for term <- ["", <<0::800>>, :rand.bytes(1000)] do
      assert_raise Mlx.FormatError, fn -> NIF.program_deserialize(term) end
    end

    assert_raise ArgumentError, fn -> NIF.program_deserialize(:bytes) end
  end

  defp swap, do: {[@input, {1, "y", @f32}], [], [1]}

  # f(x) = x while x >= 0, for ever.
  defp endless do
    condition = {[@input], [{1, {:op, :greater_equal, [0, 0], [], [@u8], nil}}], [1]}
    body = {[@input], [{1, {:op, :multiply, [0, 0], [], [@f32], nil}}], [1]}
    NIF.program_build({[@input], [{1, {:while, [0], [], condition, body}}], [1]}, [])
  end

  test "an endless loop ends with the process that runs it" do
    program = endless()

    for place <- [nil, Mlx.Stream.new().ref] do
      {pid, monitor} = spawn_monitor(fn -> NIF.program_run(program, [scalar(1.0)], [], place) end)
      Process.sleep(50)
      assert Process.alive?(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5000
      # It held the engine.
      assert values(op(:add, [scalar(1.0), scalar(1.0)], @f32, [], place)) == [2.0]
    end
  end

  test "a process killed while its program waits for a callback leaves no thread behind" do
    threads = VM.threads()
    program = NIF.program_build({[@input], [{1, {:runtime_call, "f", [0], [@f32]}}], [1]}, [])
    test = self()

    for _ <- 1..10 do
      {pid, monitor} =
        spawn_monitor(fn ->
          ref = make_ref()
          session = NIF.program_run_with_callbacks(ref, program, [scalar(1.0)], nil)

          receive do
            {^ref, :call, {"f", [_]}} -> send(test, {self(), session})
          end

          Process.sleep(:infinity)
        end)

      assert_receive {^pid, _session}, 5000
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 5000
      assert values(op(:add, [scalar(1.0), scalar(1.0)], @f32)) == [2.0]
    end

    if threads, do: assert(eventually(fn -> VM.threads() <= threads end))
  end

  test "callbacks that raise, or answer nonsense, end the run" do
    program = NIF.program_build({[@input], [{1, {:runtime_call, "f", [0], [@f32]}}], [1]}, [])

    run = fn answer ->
      ref = make_ref()
      session = NIF.program_run_with_callbacks(ref, program, [scalar(1.0)], nil)
      assert_receive {^ref, :call, {"f", [_]}}, 5000
      answer.(session)
      assert_receive {^ref, kind, result}, 5000
      {kind, result}
    end

    assert {:failed, %Mlx.Error{}} = run.(&NIF.callback_failed/1)
    assert {:failed, %{message: text}} = run.(&NIF.callback_reply(&1, [tensor([1.0, 2.0])]))
    assert text =~ "f32[2]"
    assert {:failed, _} = run.(&NIF.callback_reply(&1, []))
    assert {:done, [handle]} = run.(&NIF.callback_reply(&1, [scalar(5.0)]))
    assert values(handle) == [5.0]
  end
end
