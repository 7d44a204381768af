defmodule Mlx.TransformArgumentsTest do
  use ExUnit.Case, async: true

  @x Nx.tensor([0.5, -1.25, 2.0], backend: Nx.BinaryBackend)

  describe "arguments are checked" do
    @identity "expected a function of one argument, got: "

    for {name, text, call} <- [
          {"no function", @identity <> "1.0", quote(do: Mlx.grad(@x, 1.0))},
          {"another arity", @identity, quote(do: Mlx.grad(@x, fn x, _ -> x end))},
          {"vars that are no tensors",
           "[grad] expected tensors or containers of tensors, got: \"x\"",
           quote(do: Mlx.grad("x", & &1))},
          {"vars in a list", "[grad] expected tensors or containers",
           quote(do: Mlx.grad([@x], & &1))},
          {"functions without arguments",
           "[grad] expected a function of 1 to 20 arguments, got: ",
           quote(do: Mlx.grad(fn -> 1 end))},
          {"options that are none", "expected options as a keyword list, got: :x",
           quote(do: Mlx.grad(@x, & &1, :x))},
          {"unknown options",
           "[grad] expected no options but :transform, :tape, :cache, :device, :hooks, got: [foo: 1]",
           quote(do: Mlx.grad(@x, & &1, foo: 1))},
          {"positions out of range",
           "[grad] expected :wrt to be a position or a list of them, below 1, got: 1",
           quote(do: Mlx.grad(& &1, wrt: 1))},
          {"negative positions", ", below 1, got: -1", quote(do: Mlx.grad(& &1, wrt: -1))},
          {"no positions", ", below 1, got: []", quote(do: Mlx.grad(& &1, wrt: []))},
          {"positions that are none", ", below 1, got: :x", quote(do: Mlx.grad(& &1, wrt: :x))},
          {"positions twice", "[grad] expected :wrt to name each position once, got: [0, 0]",
           quote(do: Mlx.grad(& &1, wrt: [0, 0]))},
          {"a transform that is none", ":transform to be a function of one argument, got: 1",
           quote(do: Mlx.value_and_grad(@x, & &1, transform: 1))},
          {"tapes that there are not",
           "[grad] expected :tape to be :all, :sqrt or :recompute, got: 1",
           quote(do: Mlx.grad(& &1, tape: 1))},
          {"tapes of vjp that there are not", "[vjp] expected :tape to be :all,",
           quote(do: Mlx.vjp(& &1, [@x], @x, tape: 1))},
          {"tapes of tangents, which need none", "[jvp] expected no options but :wrt, :cache",
           quote(do: Mlx.jvp(& &1, [@x], [@x], tape: :all))},
          {"results that are no tensor", "to answer one tensor to differentiate, got: {",
           quote(do: Mlx.grad(@x, fn x -> {x, x} end))},
          {"arguments that are no list", "[vjp] expected a list of arguments, got: 1",
           quote(do: Mlx.vjp(& &1, 1, 1))},
          {"arguments of another number", "[vjp] expected a function of arity 2, got: ",
           quote(do: Mlx.vjp(& &1, [1, 2], 1))},
          {"cotangents of another form", "[vjp] expected as many tensors as",
           quote(do: Mlx.vjp(& &1, [@x], {1, 2}))},
          {"tangents that are no list", "[jvp] expected a list of 1 tangents, got: 1",
           quote(do: Mlx.jvp(& &1, [@x], 1))},
          {"tangents of another number", "[jvp] expected a list of 1 tangents, got: [1, 2]",
           quote(do: Mlx.jvp(& &1, [@x], [1, 2]))}
        ] do
      test name do
        error = assert_raise ArgumentError, fn -> unquote(call) end
        assert error.message =~ unquote(text)
      end
    end

    test "functions that answer no tensors" do
      expected = "expected the function to answer tensors or containers of tensors, got: :none"
      none = fn _ -> :none end

      for {name, call} <- [
            vmap: fn -> Mlx.vmap(none).(@x) end,
            vjp: fn -> Mlx.vjp(none, [@x], @x) end,
            jvp: fn -> Mlx.jvp(none, [@x], [@x]) end,
            jacobian: fn -> Mlx.jacobian(none).(@x) end,
            hessian: fn -> Mlx.hessian(@x, none) end,
            checkpoint: fn -> Mlx.checkpoint(none).(@x) end,
            custom_vjp: fn -> Mlx.custom_vjp(none, fn _, _, _ -> @x end).(@x) end
          ] do
        error = assert_raise ArgumentError, call
        assert error.message == "[#{name}] #{expected}"
      end
    end

    test "a function called with other arguments" do
      assert_raise BadArityError, fn -> Mlx.grad(& &1).(1, 2) end
      assert_raise ArgumentError, ~r/\[grad\] expected tensors/, fn -> Mlx.grad(& &1).(:x) end
    end

    test "what has no derivative says so" do
      fun = fn x -> Nx.reduce(x, 0, fn a, b -> Nx.add(a, b) end) end
      assert_raise Mlx.UnsupportedError, ~r/reduce/, fn -> Mlx.grad(@x, fun) end
    end
  end

  test "containers of nothing have gradients of nothing" do
    assert Mlx.grad(fn _ -> 1.0 end).({}) == {}
    assert Mlx.grad(fn _ -> 1.0 end).(%{}) == %{}
    assert {value, {}} = Mlx.value_and_grad(fn _ -> 2.0 end).({})
    assert Nx.to_number(value) == 2.0
    assert Mlx.custom_vjp(fn _ -> {} end, fn _, _, _ -> {1.0} end).(1.0) == {}
  end
end
