defmodule Mlx.NIF.ProgramTest do
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.NIF

  @f32 {:f, 32}
  @s32 {:s, 32}
  @scalar {@f32, {}}

  # (x, y) -> x + y, 2 y
  defp sums do
    inputs = [{0, "x", {@f32, {2}}}, {1, "y", {@f32, {2}}}]

    instructions = [
      {2, {:op, :add, [0, 1], [], [{@f32, {2}}], nil}},
      {3, {:op, :add, [1, 1], [], [{@f32, {2}}], nil}}
    ]

    {inputs, instructions, [2, 3]}
  end

  defp floats(values) when is_list(values), do: tensor(values, @f32)
  defp floats(value), do: scalar(value, @f32)

  defp scalar(value, type), do: op(:constant, [], {type, {}}, value: value, type: type, shape: {})

  defp read(handle) do
    binary = NIF.to_binary(handle, 100)
    for <<value::float-32-native <- binary>>, do: value
  end

  test "a program is built once and run many times" do
    program = NIF.program_build(sums(), [])

    for n <- 1..3 do
      assert [a, b] = NIF.program_run(program, [floats([1.0, 2.0]), floats([n, 0.0])], [], nil)
      assert read(a) == [1.0 + n, 2.0]
      assert read(b) == [2.0 * n, 0.0]
    end
  end

  test "a program tells its signature, its text and its graph" do
    program = NIF.program_build(sums(), ["sum", "twice"])

    assert NIF.program_signature(program) ==
             {[{"x", {@f32, {2}}}, {"y", {@f32, {2}}}], [{@f32, {2}}, {@f32, {2}}]}

    assert NIF.program_text(program) =~ "%2 = add %0, %1"
    assert NIF.program_dot(program) =~ ~r/\Adigraph/
  end

  test "a program travels as bytes" do
    bytes = NIF.program_serialize(NIF.program_build(sums(), []))
    program = NIF.program_deserialize(bytes)
    assert [sum, _] = NIF.program_run(program, [floats([1.0, 2.0]), floats([3.0, 4.0])], [], nil)
    assert read(sum) == [4.0, 6.0]

    assert_raise Mlx.FormatError, fn -> NIF.program_deserialize("no program") end
    assert_raise Mlx.FormatError, fn -> NIF.program_deserialize(binary_part(bytes, 0, 40)) end
  end

  test "a program is written with other names for its inputs" do
    program = NIF.program_build(sums(), [])
    renamed = NIF.program_deserialize(NIF.program_serialize_as(program, ["a", "b"]))
    assert {[{"a", _}, {"b", _}], _} = NIF.program_signature(renamed)
    assert {[{"x", _}, {"y", _}], _} = NIF.program_signature(program)

    assert_raise ArgumentError, ~r/expected 2 names of inputs, got 1/, fn ->
      NIF.program_serialize_as(program, ["a"])
    end
  end

  test "a program tells its callbacks, those of its regions too" do
    assert NIF.program_callbacks(NIF.program_build(sums(), [])) == []
    inner = {[{0, "", @scalar}], [{1, {:runtime_call, "made", [0, 0], [@scalar]}}], [1]}
    outer = {[{0, "", @scalar}], [], [0]}

    instructions = [
      {1, {:hook, "seen", [0]}},
      {2, {:cond, [1], [0], [inner, outer]}}
    ]

    program = NIF.program_build({[{0, "x", @scalar}], instructions, [2]}, [])

    assert NIF.program_callbacks(program) == [
             {"seen", [@scalar]},
             {"made", [@scalar, @scalar]}
           ]
  end

  test "a program tells the bytes that it holds, a captured tensor once" do
    vector = floats([1.0, 2.0])

    instructions = [
      {0, {:constant, vector}},
      {1, {:constant, vector}},
      {2, {:constant, floats([3.0, 4.0, 5.0])}}
    ]

    program = NIF.program_build({[], instructions, [0, 1, 2]}, [])
    assert NIF.program_bytes(program) == 20
    assert NIF.program_bytes(NIF.program_build(sums(), [])) == 0
    assert {count, bytes} = NIF.program_memory()
    assert count >= 1 and bytes >= 20
  end

  test "constants, loops and branches are instructions" do
    add_one =
      {[{0, "", {@s32, {}}}, {1, "", {@s32, {}}}],
       [{2, {:op, :add, [0, 1], [], [{@s32, {}}], nil}}], [2]}

    below_ten =
      {[{0, "", {@s32, {}}}, {1, "", {@s32, {}}}],
       [
         {2, {:constant, scalar(10, @s32)}},
         {3, {:op, :less, [0, 2], [], [{{:u, 8}, {}}], nil}}
       ], [3]}

    first = {[{0, "", {@s32, {}}}, {1, "", {@s32, {}}}], [], [0]}
    second = {[{0, "", {@s32, {}}}, {1, "", {@s32, {}}}], [], [1]}

    program =
      NIF.program_build(
        {[{0, "x", {@s32, {}}}, {1, "step", {@s32, {}}}, {2, "pick", {{:u, 8}, {}}}],
         [
           {3, {:while, [0], [1], below_ten, add_one}},
           {4, {:cond, [2], [3, 1], [first, second]}}
         ], [4]},
        []
      )

    run = fn pick ->
      inputs = [scalar(1, @s32), scalar(4, @s32), scalar(pick, {:u, 8})]
      [result] = NIF.program_run(program, inputs, [], nil)
      <<value::32-signed-native>> = NIF.to_binary(result, 1)
      value
    end

    assert run.(1) == 13
    assert run.(0) == 4
  end

  test "marks for gradients pass tensors on" do
    backward = {[{0, "g", @scalar}, {1, "", @scalar}], [], [1]}

    program =
      NIF.program_build(
        {[{0, "x", @scalar}],
         [
           {1, {:stop_gradient, [0]}},
           {2, {:custom_vjp, [1], [0], [0], backward}},
           {3, {:custom_vjp, [2], [], "no gradient"}}
         ], [3]},
        []
      )

    for program <- [program, program |> NIF.program_serialize() |> NIF.program_deserialize()] do
      assert NIF.program_text(program) =~ "%1 = stop_gradient %0"
      assert NIF.program_text(program) =~ ~s({values: 1, reason: "no gradient"})
      assert [result] = NIF.program_run(program, [floats(1.5)], [], nil)
      assert read(result) == [1.5]
    end
  end

  test "hooks and runtime calls reach the process that runs the program" do
    program =
      NIF.program_build(
        {[{0, "x", @scalar}],
         [
           {1, {:hook, "seen", [0]}},
           {2, {:runtime_call, "made", [1], [@scalar]}}
         ], [2]},
        []
      )

    ref = make_ref()
    session = NIF.program_run_with_callbacks(ref, program, [floats(1.5)], nil)

    assert_receive {^ref, :call, {"seen", [seen]}}
    assert read(seen) == [1.5]
    NIF.callback_reply(session, [])
    assert_receive {^ref, :call, {"made", [seen]}}
    assert read(seen) == [1.5]
    NIF.callback_reply(session, [floats(7.0)])
    assert_receive {^ref, :done, [made]}
    assert read(made) == [7.0]

    session = NIF.program_run_with_callbacks(ref, program, [floats(1.5)], nil)
    assert_receive {^ref, :call, {"seen", _}}
    NIF.callback_failed(session)
    assert_receive {^ref, :failed, %Mlx.Error{message: "[program] a callback raised"}}
  end

  test "a program outlives a process that dies in a callback" do
    program =
      NIF.program_build({[{0, "x", @scalar}], [{1, {:hook, "seen", [0]}}], [1]}, [])

    parent = self()

    pid =
      spawn(fn ->
        ref = make_ref()
        NIF.program_run_with_callbacks(ref, program, [floats(1.0)], nil)
        receive do: ({^ref, :call, _} -> send(parent, :in_callback))
        Process.sleep(:infinity)
      end)

    assert_receive :in_callback
    Process.exit(pid, :kill)
    assert [one] = NIF.program_run(program, [floats(1.0)], [], nil)
    assert read(one) == [1.0]
  end

  test "malformed programs and inputs are refused" do
    message = fn region ->
      assert_raise(ArgumentError, fn -> NIF.program_build(region, []) end).message
    end

    assert message.(:nothing) =~ "a region {inputs, instructions, outputs}"
    assert message.({[], [], [5]}) == "[program] nothing is called 5"
    assert message.({[], [{0, {:op, :no_such_op, [], [], [], nil}}], []}) =~ "the name of an op"
    assert message.({[], [{0, {:fly, 1}}], []}) =~ "an instruction"

    mismatch =
      {[{0, "", {@f32, {2}}}, {1, "", {@f32, {3}}}],
       [{2, {:op, :add, [0, 1], [], [{@f32, {2}}], nil}}], [2]}

    assert message.(mismatch) =~ "{2}"

    program = NIF.program_build(sums(), [])

    assert_raise ArgumentError, ~r/takes 2 inputs, got 1/, fn ->
      NIF.program_run(program, [floats([1.0, 2.0])], [], nil)
    end

    assert_raise ArgumentError, ~r/should be f32\[2\], got f32\[1\]/, fn ->
      NIF.program_run(program, [floats([1.0, 2.0]), floats([1.0])], [], nil)
    end

    assert_raise ArgumentError, ~r/a program/, fn ->
      NIF.program_run(floats(1.0), [], [], nil)
    end
  end
end
