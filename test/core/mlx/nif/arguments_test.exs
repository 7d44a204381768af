defmodule Mlx.NIF.ArgumentsTest do
  # Bad arguments of every kind: each raises, and its text holds what was wrong.
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.NIF

  @beyond_64_bits 0x10000000000000000
  @f32_pair {{:f, 32}, {2}}
  @triple {{:s, 32}, {3}}

  setup do
    deallocated = tensor([1], {:s, 32})
    :ok = NIF.deallocate(deallocated)
    {:ok, tensor: tensor([1, 2, 3], {:s, 32}), deallocated: deallocated}
  end

  # Checks rows of `{arguments, exception, text}`.
  defp refuse(function, rows) do
    for {arguments, exception, text} <- rows do
      error =
        assert_raise exception, fn ->
          apply(NIF, function, arguments)
          flunk("#{function} took #{inspect(arguments)}")
        end

      assert Exception.message(error) =~ text
    end
  end

  defp refuse_op(rows) do
    refuse(
      :op,
      for({name, operands, attributes, out, text} <- rows) do
        {[name, operands, attributes, out, nil], ArgumentError, text}
      end
    )
  end

  test "every function that takes a tensor refuses other terms", context do
    others = [
      {make_ref(), "#Ref<"},
      {NIF.stream_new(:cpu), "#Ref<"},
      {nil, "nil"},
      {1, "1"},
      {@beyond_64_bits, "18446744073709551616"},
      {1.5, "1.5"},
      {"text", "text"},
      {~c"text", ""},
      {%{a: 1}, "a"},
      {{context.tensor}, "{#Ref<"},
      {self(), "<0."},
      {&is_atom/1, "is_atom"}
    ]

    for {term, shown} <- others do
      text = ~r/\] expected a tensor, got .*#{Regex.escape(shown)}/

      for function <- [:type_of, :copy, :address, :deallocate] do
        refuse(function, [{[term], ArgumentError, text}])
      end

      for function <- [:eval, :async_eval] do
        refuse(function, [{[[context.tensor, term]], ArgumentError, text}])
      end

      refuse(:to_binary, [{[term, 1], ArgumentError, text}])
      refuse_op([{:add, [context.tensor, term], [], @triple, text}])
      refuse(:op_many, [{[:add, [term], [], [@triple], nil], ArgumentError, text}])

      refuse(:op_with_function, [
        {[make_ref(), :reduce, [term], [], @triple, nil], ArgumentError, text}
      ])
    end
  end

  test "a tensor of another node is refused with what to do" do
    # As the external term format has it: a reference made on the node far@away.
    reference = :erlang.binary_to_term(<<131, 90, 1::16, 119, 8, "far@away", 1::32, 42::32>>)
    assert node(reference) == :far@away

    refuse(:type_of, [
      {[reference], ArgumentError,
       ~r/^\[type_of\] expected a tensor of this node, got #Ref<.*Nx.backend_copy/}
    ])
  end

  test "the text begins with the function and cuts long terms" do
    long = for i <- 1..100, do: {:element, i}
    error = assert_raise ArgumentError, fn -> NIF.type_of(long) end
    assert error.message =~ ~r/^\[type_of\] expected a tensor, got \[\{element,1\},.*\.\.\.$/
    assert String.length(error.message) < 220
  end

  test "every function that reads a tensor refuses a deallocated one",
       %{deallocated: gone} = context do
    text = "the tensor was deallocated (Nx.backend_deallocate or Nx.backend_transfer)"

    for function <- [:type_of, :copy, :address] do
      refuse(function, [{[gone], ArgumentError, "[#{function}] " <> text}])
    end

    for function <- [:eval, :async_eval] do
      refuse(function, [{[[context.tensor, gone]], ArgumentError, "[#{function}] " <> text}])
    end

    refuse(:to_binary, [{[gone, 1], ArgumentError, "[to_binary] " <> text}])
    refuse_op([{:add, [context.tensor, gone], [], @triple, "[op] " <> text}])

    refuse(:op_with_function, [
      {[make_ref(), :reduce, [gone, gone], [], @triple, nil], ArgumentError, text}
    ])

    # Those borrowed before the bad one were given back.
    assert NIF.deallocate(context.tensor) == :ok
  end

  test "lists must be proper lists", %{tensor: tensor} do
    for function <- [:eval, :async_eval],
        list <- [[tensor | tensor], [tensor | nil], tensor, {tensor}, nil] do
      refuse(function, [{[list], ArgumentError, "[#{function}] expected a list of tensors, got "}])
    end

    refuse_op([
      {:add, [tensor | tensor], [], @triple, "expected a list of tensors, got [#Ref<"},
      {:add, tensor, [], @triple, "expected a list of tensors, got #Ref<"},
      {:sum, [tensor], [{:axes, [0]} | 1], {{:s, 32}, {}}, "keyword list, got [{axes,[0]}|1]"},
      {:sum, [tensor], %{axes: [0]}, {{:s, 32}, {}}, "expected a keyword list, got "},
      {:sum, [tensor], [:axes], {{:s, 32}, {}}, "expected a keyword list, got axes"},
      {:sum, [tensor], [{:axes, [0], 1}], {{:s, 32}, {}}, "keyword list, got {axes,[0],1}"},
      {:sum, [tensor], [axes: [0 | 1]], {{:s, 32}, {}},
       "[sum] axes: expected a tuple or list of integers, got [0|1]"}
    ])

    refuse(:op_many, [
      {[:add, [tensor, tensor], [], [@triple | 1], nil], ArgumentError, "expected a list, got "}
    ])
  end

  test "types and shapes are checked" do
    pair = "[from_binary] expected a pair {type, shape}, got "
    type = "[from_binary] expected a type such as {:f, 32}, got "
    integer = "[from_binary] expected an integer of at most 64 bits, got "

    rows = [
      {:f32, pair <> "f32"},
      {{@f32_pair}, pair},
      {{{:f, 32}, {2}, 3}, pair <> "{{f,32},{2},3}"},
      {{{:f, 32, 1}, {2}}, type <> "{f,32,1}"},
      {{{:f, :many}, {2}}, type <> "{f,many}"},
      {{{:f, @beyond_64_bits}, {2}}, type},
      {{{1, 32}, {2}}, "[from_binary] expected an atom or a binary, got 1"},
      {{{:x, 32}, {2}}, ~s([type] expected an Nx type such as f32 or s64, got "x32")},
      {{{:f, -32}, {2}}, ~s(got "f-32")},
      {{{:f, 32}, :a}, "expected a tuple or list of integers, got a"},
      {{{:f, 32}, [1 | 2]}, "expected a tuple or list of integers, got [1|2]"},
      {{{:f, 32}, {1.5}}, integer <> "1.5"},
      {{{:f, 32}, {nil}}, integer <> "nil"},
      {{{:f, 32}, {@beyond_64_bits}}, integer <> "18446744073709551616"},
      {{{:f, 32}, {-2}}, "[shape] negative dimension in {-2}"},
      {{{:f, 32}, {0x7FFFFFFF, 0x7FFFFFFF, 4}}, "more elements than can be counted"},
      {{{:f, 32}, {0x7FFFFFFF, 0x7FFFFFFF}},
       "takes 4611686014132420609 elements of 4 bytes, got 0 bytes"}
    ]

    refuse(
      :from_binary,
      for({type_and_shape, text} <- rows, do: {[type_and_shape, "", nil], ArgumentError, text})
    )

    for shape <- [{0x80000000}, {2, 0x4000000000000000}, {0x7FFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF}] do
      text = "a dimension can have at most 2147483647 elements"
      refuse(:from_binary, [{[{{:f, 32}, shape}, "", nil], Mlx.UnsupportedError, text}])
    end
  end

  test "a type that MLX lacks names the type and where it is missing" do
    for type <- [{:c, 128}, {:f, 8}, {:f8_e4m3fn, 8}, {:s, 2}, {:s, 4}, {:u, 2}, {:u, 4}] do
      name =
        if match?({:f8_e4m3fn, _}, type),
          do: "f8_e4m3fn",
          else: "#{elem(type, 0)}#{elem(type, 1)}"

      text = "[type] MLX has no type #{name} on any device"
      tensor = tensor([1.0, 2.0])

      refuse(:from_binary, [{[{type, {0}}, "", nil], Mlx.UnsupportedError, text}])
      refuse(:from_address, [{[0, {type, {0}}], Mlx.UnsupportedError, text}])
      refuse(:op, [{[:negate, [tensor], [], {type, {2}}, nil], Mlx.UnsupportedError, text}])

      refuse(:op, [
        {[:as_type, [tensor], [type: type], @f32_pair, nil], Mlx.UnsupportedError, text}
      ])
    end
  end

  test "binaries are checked" do
    refuse(:from_binary, [
      {[@f32_pair, <<0>>, nil], ArgumentError, "f32[2] takes 2 elements of 4 bytes, got 1 bytes"},
      {[@f32_pair, <<0::128>>, nil], ArgumentError, "4 bytes, got 16 bytes"},
      {[@f32_pair, <<1::1>>, nil], ArgumentError, "[from_binary] expected a binary, got <<1:1>>"},
      {[@f32_pair, :a, nil], ArgumentError, "[from_binary] expected a binary, got a"},
      {[@f32_pair, [<<0::64>>], nil], ArgumentError, "[from_binary] expected a binary, got ["}
    ])
  end

  test "limits and addresses are integers that fit", %{tensor: tensor} do
    integer = "[to_binary] expected an integer of at most 64 bits, got "

    refuse(:to_binary, [
      {[tensor, -1], ArgumentError, "[to_binary] expected a number of elements, got -1"},
      {[tensor, @beyond_64_bits], ArgumentError, integer <> "18446744073709551616"},
      {[tensor, 1.0], ArgumentError, integer <> "1.0"},
      {[tensor, :infinity], ArgumentError, integer <> "infinity"}
    ])

    for function <- [:set_cache_limit, :set_memory_limit] do
      natural = "[#{function}] expected a non-negative integer of at most 64 bits, got "

      refuse(
        function,
        for(term <- [-1, @beyond_64_bits, 1.0, nil], do: {[term], ArgumentError, natural})
      )
    end

    natural = "[from_address] expected a non-negative integer of at most 64 bits, got "

    refuse(:from_address, [
      {[0, @f32_pair], ArgumentError, "[from_pointer] the address is 0"},
      {[-1, @f32_pair], ArgumentError, natural <> "-1"},
      {[@beyond_64_bits, @f32_pair], ArgumentError, natural},
      {[:a, @f32_pair], ArgumentError, natural <> "a"},
      {[8, {{:f, 32}, {-1}}], ArgumentError, "[shape] negative dimension in {-1}"},
      {[8, {{:f, 32}, {0x4000000000000000, 4}}], ArgumentError,
       "more elements than can be counted"}
    ])
  end

  test "places are nil, a device or a stream", %{tensor: tensor} do
    text = "expected nil, :cpu, :gpu or a stream, got "

    for place <- [:tpu, "cpu", 0, tensor, make_ref(), {:cpu, 0}] do
      refuse(:from_binary, [{[@f32_pair, <<0::64>>, place], ArgumentError, text}])
      refuse(:op, [{[:negate, [tensor], [], @triple, place], ArgumentError, "[op] " <> text}])
      refuse(:op_many, [{[:negate, [tensor], [], [@triple], place], ArgumentError, text}])
      refuse(:synchronize, [{[place], ArgumentError, "[synchronize] " <> text}])
    end

    for function <- [:set_default_device, :stream_new], device <- [:tpu, nil, "cpu"] do
      refuse(function, [{[device], ArgumentError, "[#{function}] expected :cpu or :gpu, got "}])
    end
  end

  test "a device that this machine lacks is named" do
    for device <- [:cpu, :gpu] -- NIF.available_devices() do
      text = "this machine has no device #{device}"

      refuse(:from_binary, [{[@f32_pair, <<0::64>>, device], Mlx.UnsupportedError, text}])
      refuse(:set_default_device, [{[device], Mlx.UnsupportedError, text}])
      refuse(:stream_new, [{[device], Mlx.UnsupportedError, text}])
      refuse(:synchronize, [{[device], Mlx.UnsupportedError, text}])
    end
  end

  test "ops are atoms of the registry", %{tensor: tensor} do
    for name <- [:adds, "add", 1, nil, {:add}] do
      text = ~r/\[op\w*\] expected the name of an op, got .*/
      refuse(:op, [{[name, [tensor], [], @triple, nil], ArgumentError, text}])
      refuse(:op_many, [{[name, [tensor], [], [@triple], nil], ArgumentError, text}])
      refuse(:op_attributes, [{[name], ArgumentError, text}])

      refuse(:op_with_function, [
        {[make_ref(), name, [tensor], [], @triple, nil], ArgumentError, text}
      ])
    end
  end

  test "operands are counted", %{tensor: tensor} do
    refuse_op([
      {:add, [], [], @triple, "[add] takes 2 operands, got 0"},
      {:add, [tensor], [], @triple, "[add] takes 2 operands, got 1"},
      {:add, [tensor, tensor, tensor], [], @triple, "[add] takes 2 operands, got 3"},
      {:concatenate, [], [], @triple, "[concatenate] takes 1 or more operands, got 0"}
    ])
  end

  test "attributes are checked by the op's schema", %{tensor: tensor} do
    scalar = {{:s, 32}, {}}

    refuse_op([
      {:add, [tensor, tensor], [axis: 1], @triple, "[add] has no attribute axis"},
      {:sum, [tensor], [{1, 2}], scalar, "[op] expected an atom or a binary, got 1"},
      {:sum, [tensor], [axes: :x], scalar,
       "[sum] axes: expected a tuple or list of integers, got x"},
      {:sum, [tensor], [axes: [@beyond_64_bits]], scalar,
       "[sum] axes: expected an integer of at most"},
      {:sum, [tensor], [axes: [5]], scalar, "[sum] axis 5 is out of bounds for shape {3}"},
      {:sum, [tensor], [keep_axes: 1], scalar, "[sum] keep_axes: expected a boolean, got 1"},
      {:iota, [], [], @triple, "[iota] the attribute shape (int list) is missing"},
      {:argmax, [tensor], [tie_break: :middle], scalar, "[argmax] tie_break is"},
      {:sort, [tensor], [axis: 0, direction: :down], @triple, ~s("asc" or "desc", got "down")},
      {:sort, [tensor], [axis: "0"], @triple,
       "[sort] axis: expected an integer of at most 64 bits"},
      {:pad, [tensor, tensor], [padding: [{0, 0}]], @triple,
       "[pad] padding: expected a tuple of 3 integers, got {0,0}"},
      {:slice, [tensor], [starts: [{:operand, 1, 2}], lengths: [1]], {{:s, 32}, {1}},
       "[slice] starts: expected an integer or {:operand, number}, got {operand,1,2}"},
      {:slice, [tensor], [starts: [{:operands, 1}], lengths: [1]], {{:s, 32}, {1}},
       "expected an integer or {:operand, number}, got {operands,1}"},
      {:slice, [tensor], [starts: [{:operand, 5}], lengths: [1]], {{:s, 32}, {1}},
       "[slice] the start of axis 0 is in operand 5, which holds no start"},
      {:slice, [tensor], [starts: [{:operand, -1}], lengths: [1]], {{:s, 32}, {1}},
       "in operand -1, which holds no start"},
      {:reduce, [tensor, tensor], [], @triple,
       "[reduce] the attribute fun (function) is missing"},
      {:reduce, [tensor, tensor], [fun: &+/2], @triple,
       "[reduce] fun: expected an attribute that a term can hold, got fun"},
      {:constant, [], [value: :x, type: {:f, 32}, shape: {}], {{:f, 32}, {}},
       "[constant] value: expected a number of at most 64 bits, got x"},
      {:constant, [], [value: @beyond_64_bits, type: {:u, 64}, shape: {}], {{:u, 64}, {}},
       "[constant] value: expected a number of at most 64 bits, got 18446744073709551616"},
      {:constant, [], [value: %{__struct__: Complex, re: 1, im: :x}, type: {:c, 64}, shape: {}],
       {{:c, 64}, {}}, "[constant] value: expected a number"}
    ])
  end

  test "wanted results must be what the op makes", %{tensor: tensor} do
    refuse_op([
      {:add, [tensor, tensor], [], {{:s, 32}, {4}},
       "[add] the outputs are s32[3], and were expected as s32[4]"},
      {:add, [tensor, tensor], [], {{:s, 32}, {-3}}, "were expected as s32[-3]"},
      {:add, [tensor, tensor], [], {{:s, 32}, {0x4000000000000000, 8}}, "and were expected as"},
      {:reshape, [tensor], [shape: {5}], {{:s, 32}, {5}},
       "[reshape] cannot reshape {3} with 3 elements to {5}"}
    ])

    refuse(:op_many, [
      {[:add, [tensor, tensor], [], [@triple, @triple], nil], ArgumentError, "[add]"}
    ])
  end

  test "results too large to exist are refused when they are built" do
    huge = 0x10000000000
    most = "a dimension can have at most 2147483647 elements"

    refuse_op([
      {:iota, [], [shape: {0x7FFFFFFF, 0x7FFFFFFF, 4}, type: {:f, 32}],
       {{:f, 32}, {0x7FFFFFFF, 0x7FFFFFFF, 4}}, "has more elements than can be counted"}
    ])

    for {name, operands, attributes, out} <- [
          {:iota, [], [shape: {huge}, type: {:f, 32}], {{:f, 32}, {huge}}},
          {:constant, [], [value: 1, type: {:f, 32}, shape: {huge}], {{:f, 32}, {huge}}},
          {:broadcast, [tensor([1, 2, 3], {:s, 32})], [shape: {0x80000000, 3}, axes: [1]],
           {{:s, 32}, {0x80000000, 3}}}
        ] do
      refuse(:op, [{[name, operands, attributes, out, nil], Mlx.UnsupportedError, most}])
    end
  end

  test "sessions are refused where they are not", %{tensor: tensor} do
    for term <- [make_ref(), tensor, nil] do
      refuse(:callback_reply, [
        {[term, [tensor]], ArgumentError, "[callback_reply] expected a call's session, got "}
      ])

      refuse(:callback_failed, [
        {[term], ArgumentError, "[callback_failed] expected a call's session, got "}
      ])
    end
  end
end
