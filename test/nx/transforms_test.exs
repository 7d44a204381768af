defmodule Mlx.TransformsTest do
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 2, assert_answer: 3, by_nx: 2]

  {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(Mlx)

  doctest Mlx,
    only:
      for(
        {{:function, name, arity}, _, _, %{"en" => doc}, %{type: :transforms}} <- docs,
        doc =~ "iex>",
        do: {name, arity}
      )

  alias Mlx.Structs.Model

  defmodule Functions do
    import Nx.Defn

    defn(cube(x), do: Nx.sum(x ** 3))
    defn(waves(x), do: Nx.sum(Nx.sin(x) * Nx.exp(x)))
    defn(quotient(x), do: Nx.sum((x + 1) / (x * x + 2)))
    defn(mean(x), do: Nx.mean(x))
    defn(spread(x), do: Nx.variance(x))
    defn(largest(x), do: Nx.reduce_max(x))
    defn(ties(x), do: Nx.sum(Nx.max(x, 2.0)))
    defn(clipped(x), do: Nx.sum(Nx.clip(x, 0, 2) * x))
    defn(chosen(x), do: Nx.sum(Nx.select(x > 1, x * x, x)))
    defn(sorted(x), do: Nx.sum(Nx.sort(x) * Nx.iota({3})))
    defn(running(x), do: Nx.sum(Nx.cumulative_sum(x) ** 2))
    defn(taken(x), do: Nx.sum(Nx.take(x, Nx.tensor([2, 0, 2])) ** 2))
    defn(padded(x), do: Nx.sum(Nx.pad(x, 1.0, [{1, 0, 1}]) ** 2))
    defn(log_sum_exp(x), do: Nx.logsumexp(x))
    defn(constant(_x), do: Nx.tensor(1.0))
    defn(itself(x), do: x)
    defn(vector(x), do: x * x)

    defn(branch(x), do: if(Nx.sum(x) > 0, do: Nx.sum(x * x), else: Nx.sum(x)))

    defn branches(x) do
      cond do
        Nx.sum(x) > 100 -> Nx.sum(x)
        Nx.sum(x) > 1 -> Nx.sum(Nx.exp(x) * x)
        true -> Nx.sum(x * x * x)
      end
    end

    defn loop(x) do
      {x, _} = while({x, i = 0}, i < 3, do: {Nx.sin(x) * x, i + 1})
      Nx.sum(x)
    end

    # As many iterations as the input says.
    defn open_loop(x) do
      {y, _} = while({y = x, x}, Nx.sum(y) < 100.0, do: {y * 2.0, x})
      Nx.sum(y * y)
    end

    defn(stopped(x), do: Nx.sum(x * stop_grad(Nx.exp(x))))
    defn(all_stopped(x), do: Nx.sum(stop_grad(x * x)))
    defn(rounded(x), do: Nx.sum(x + stop_grad(Nx.round(x) - x)))

    defn(clipping(x),
      do: Nx.sum(custom_grad(x * x, [x], fn g -> [Nx.clip(g * x, -0.3, 0.3)] end))
    )

    defn(reversing(x), do: Nx.sum(Nx.exp(custom_grad(x, [x], fn g -> [-g] end))))

    defn within(x) do
      inner = custom_grad(x * 2, [x], fn g -> [g * 5] end)
      Nx.sum(custom_grad(inner ** 2, [x], fn g -> [g * 7] end))
    end

    defn pair(x) do
      custom_grad({x * 2.0, x * 3.0}, [x], fn {a, b} -> [a * 3.0 + b] end)
    end

    defn pair_both(x) do
      {p, q} = pair(x)
      Nx.sum(p) + Nx.sum(q)
    end

    defn pair_first(x) do
      {p, _} = pair(x)
      Nx.sum(p)
    end

    defn pair_second(x) do
      {_, q} = pair(x)
      Nx.sum(q)
    end

    defn pair_in_branch(x) do
      {p, _} = if Nx.sum(x) > 0, do: pair(x), else: {x, x}
      Nx.sum(p)
    end

    defn(hooked(x), do: Nx.sum(io_call(x * x, :squared)))

    defn(called(x), do: Nx.sum(x * x + Nx.runtime_call(Nx.template({3}, :f32), x, &passed/2)))
    def passed(x, _options), do: x

    # Calls of Mlx inside of defn.
    defn(slope(x), do: Mlx.grad(x, &Nx.sum(&1 ** 3)))
    defn(slope_of_slope(x), do: Mlx.grad(x, fn x -> Nx.sum(Mlx.grad(x, &Nx.sum(&1 ** 4))) end))
    defn(nx_of_mlx(x), do: grad(x, fn x -> Nx.sum(Mlx.grad(x, &Nx.sum(&1 ** 4))) end))
    defn(mlx_of_nx(x), do: Mlx.grad(x, fn x -> Nx.sum(grad(x, &Nx.sum(&1 ** 4))) end))

    defn captured(x, y) do
      z = Nx.sin(y)
      Mlx.grad(x, &Nx.sum(&1 * z * z)) + z
    end

    defn in_branch(x) do
      y = x * 2
      if Nx.sum(x) > 0, do: Mlx.grad(x, &Nx.sum(&1 * &1 * y)) + y, else: x
    end

    defn in_loop(x) do
      {x, _} =
        while({x, i = 0}, i < 20, do: {x - 0.1 * Mlx.grad(x, &Nx.sum((&1 - 1) ** 2)), i + 1})

      x
    end

    # What only the functions read, what both branches' functions read, and what the state of a loop holds.
    defn captured_in_branches(x) do
      z = Nx.sin(x) * 3

      if Nx.sum(x) > 0,
        do: Mlx.grad(x, &Nx.sum(&1 * z)),
        else: Mlx.grad(x, &Nx.sum(&1 * &1 * z))
    end

    defn captured_in_loop(x) do
      z = Nx.exp(x)

      {y, _, _} =
        while {y = x, z, i = 0}, i < 3 do
          w = y * z

          g =
            if Nx.sum(w) > 1,
              do: Mlx.grad(y, &branch_of(&1, w, z)),
              else: w

          {g + y, z, i + 1}
        end

      y
    end

    defn(branch_of(y, w, z),
      do: if(Nx.sum(y) > 0, do: Nx.sum(y * w), else: Nx.sum(y * y * w * z))
    )

    defn through_a_loop(x) do
      Mlx.grad(x, fn x ->
        z = Nx.cos(x)

        h =
          Mlx.grad(x, fn x ->
            {y, _, _} = while({y = x, z, i = 0}, i < 3, do: {y * z + y * y, z, i + 1})
            Nx.sum(y)
          end)

        Nx.sum(h * z)
      end)
    end

    defn captured_twice(x) do
      y = Nx.sin(x)
      u = Mlx.grad(x, fn t -> Nx.sum(Mlx.grad(t, fn s -> Nx.sum(s * s * y * t) end) * y) end)
      v = Mlx.vmap(fn r -> Nx.sum(r * y) + Mlx.grad(r, &(&1 * &1)) end).(x)
      u + v
    end

    defn with_value(x) do
      {{_twice, loss}, gradient} =
        Mlx.value_and_grad(x, fn x -> {x * 2, Nx.sum(x * x)} end, &elem(&1, 1))

      loss * gradient
    end

    defn pulled(x) do
      {y, {slope}} = Mlx.vjp(&Nx.sin/1, [x], x)
      y + slope
    end

    defn pushed(x) do
      {y, tangent} = Mlx.jvp(&Nx.sin/1, [x], [x])
      y + tangent
    end

    defn(pushed_slope(x), do: grad(x, fn x -> Nx.sum(pushed(x)) end))
    defn(pulled_slope(x), do: grad(x, fn x -> Nx.sum(pulled(x)) end))
  end

  alias Functions, as: F

  @x Nx.tensor([0.5, -1.25, 2.0], backend: Nx.BinaryBackend)
  @matrix Nx.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], backend: Nx.BinaryBackend)

  defp assert_like_nx(x, fun, options \\ [tolerance: 1.0e-5]) do
    expected = by_nx(fn x -> Nx.Defn.value_and_grad(x, fun) end, [x])
    assert_answer(Mlx.value_and_grad(x, fun), expected, options)
    assert_answer(Mlx.grad(x, fun), elem(expected, 1), options)
  end

  describe "gradients are Nx's" do
    for name <-
          ~w(cube waves quotient mean spread largest ties clipped chosen sorted running taken padded log_sum_exp)a ++
            ~w(constant itself vector branch branches loop)a ++
            ~w(stopped all_stopped rounded clipping reversing within pair_both pair_first pair_second)a do
      test "of #{name}" do
        assert_like_nx(@x, &apply(F, unquote(name), [&1]))
        # The other branches.
        assert_like_nx(Nx.negate(@x), &apply(F, unquote(name), [&1]))
      end
    end

    test "of a loop of as many iterations as the input says" do
      x = Nx.tensor([3.0, 1.0], backend: Nx.BinaryBackend)
      assert_like_nx(x, &F.open_loop/1)
    end

    test "of marks in the branch that is taken" do
      assert_like_nx(@x, &F.pair_in_branch/1)
      # Nx has no gradient in the other one.
      assert Mlx.grad(Nx.negate(@x), &F.pair_in_branch/1) |> Nx.to_list() == [1.0, 1.0, 1.0]
    end

    test "of other types" do
      assert_like_nx(Nx.as_type(@x, :f64), &F.waves/1, tolerance: 1.0e-12)
      assert_like_nx(Nx.tensor([1, 2, 3], backend: Nx.BinaryBackend), &F.quotient/1)
      assert_like_nx(Nx.tensor(2, backend: Nx.BinaryBackend), fn x -> Nx.multiply(x, x) end)
      # Nx's are f32 for bf16.
      assert Mlx.grad(Nx.as_type(@x, :bf16), &F.cube/1).type == {:bf, 16}
    end

    test "of named tensors" do
      named = Nx.rename(@matrix, [:row, nil])
      assert_like_nx(named, &Nx.sum(Nx.multiply(&1, &1)))
      assert Mlx.grad(named, &Nx.sum/1).names == [:row, nil]
    end
  end

  describe "containers" do
    test "of every kind keep their form" do
      loss = fn %{a: {a, b}, c: c} ->
        a |> Nx.multiply(b) |> Nx.sum() |> Nx.add(Nx.multiply(c, c))
      end

      assert_like_nx(%{a: {@x, 2.0}, c: 3}, loss)
      assert_like_nx({@x, {@x}}, fn {x, {y}} -> Nx.sum(Nx.multiply(x, Nx.sin(y))) end)
    end

    test "structs keep what is no tensor" do
      model = %Model{weights: @x, bias: Nx.tensor(0.5), name: "linear"}

      loss = fn %Model{} = model ->
        @x |> Nx.dot(model.weights) |> Nx.add(model.bias) |> Nx.pow(2)
      end

      assert %Model{name: "linear"} = gradient = Mlx.grad(model, loss)
      expected = by_nx(&Nx.Defn.grad(&1, loss), [model])
      assert_answer({gradient.weights, gradient.bias}, {expected.weights, expected.bias})
    end

    test "results may be containers of which one is differentiated" do
      step = fn x -> %{loss: Nx.sum(Nx.multiply(x, x)), double: {Nx.multiply(x, 2)}} end
      expected = by_nx(&Nx.Defn.value_and_grad(&1, step, fn r -> r.loss end), [@x])
      assert_answer(Mlx.value_and_grad(@x, step, & &1.loss), expected)
      assert_answer(Mlx.value_and_grad(@x, step, transform: & &1.loss), expected)
      assert_answer(Mlx.grad(@x, step, transform: & &1.loss), elem(expected, 1))

      # A transform may compute.
      assert_answer(
        Mlx.grad(@x, step, transform: &Nx.multiply(&1.loss, 3)),
        by_nx(&Nx.multiply(&1, 6), [@x])
      )
    end
  end

  describe "functions of several arguments" do
    test "have gradients by those that are named" do
      fun = fn x, %{w: w}, y -> Nx.sum(Nx.multiply(Nx.multiply(x, w), y)) end
      [y, w] = [Nx.tensor([1.0, 2.0, 3.0]), Nx.tensor([4.0, 5.0, 6.0])]
      args = [@x, %{w: w}, y]

      assert_answer(apply(Mlx.grad(fun), args), by_nx(&Nx.multiply/2, [w, y]))
      assert %{w: slope} = apply(Mlx.grad(fun, wrt: 1), args)
      assert_answer(slope, by_nx(&Nx.multiply/2, [@x, y]))

      assert {by_y, %{w: ^slope}} =
               apply(Mlx.grad(fun, wrt: [2, 1]), args) |> put_elem(1, %{w: slope})

      assert_answer(by_y, by_nx(&Nx.multiply/2, [@x, w]))

      assert {value, {_}} = apply(Mlx.value_and_grad(fun, wrt: [0]), args)
      assert_answer(value, by_nx(fun, args), tolerance: 1.0e-5)
    end

    test "of every number up to 20" do
      assert Mlx.grad(fn a, b, c, d, e -> Enum.reduce([a, b, c, d, e], &Nx.multiply/2) end,
               wrt: 4
             ).(1, 2, 3, 4, 5)
             |> Nx.to_number() == 24.0
    end
  end

  describe "derivatives of derivatives" do
    test "are Nx's" do
      second = fn grad -> fn x -> grad.(x, fn x -> Nx.sum(grad.(x, &F.waves/1)) end) end end
      expected = by_nx(second.(&Nx.Defn.grad/2), [@x])
      assert_answer(second.(&Mlx.grad/2).(@x), expected, tolerance: 1.0e-5)

      third = fn grad -> fn x -> grad.(x, &Nx.sum(second.(grad).(&1))) end end
      expected = by_nx(third.(&Nx.Defn.grad/2), [@x])
      assert_answer(third.(&Mlx.grad/2).(@x), expected, tolerance: 1.0e-5)
    end

    test "of loops and branches" do
      for fun <- [&F.loop/1, &F.branches/1] do
        second = fn grad -> fn x -> grad.(x, fn x -> Nx.sum(grad.(x, fun)) end) end end
        expected = by_nx(second.(&Nx.Defn.grad/2), [@x])
        assert_answer(second.(&Mlx.grad/2).(@x), expected, tolerance: 1.0e-4)
      end
    end
  end

  describe "inside of defn" do
    for name <-
          ~w(slope slope_of_slope nx_of_mlx mlx_of_nx captured_in_branches captured_in_loop through_a_loop captured_twice in_branch in_loop with_value pulled pushed pushed_slope pulled_slope)a do
      test "#{name} is the same by every compiler" do
        fun = &apply(F, unquote(name), [&1])

        for x <- [@x, Nx.negate(@x)] do
          result = Nx.Defn.jit_apply(fun, [x], compiler: Mlx.Compiler)
          assert_answer(result, by_nx(fun, [x]), tolerance: 1.0e-5)
        end
      end
    end

    test "what the function captured is no part of the gradient" do
      expected = by_nx(&F.captured/2, [@x, Nx.exp(@x)])
      result = Nx.Defn.jit_apply(&F.captured/2, [@x, Nx.exp(@x)], compiler: Mlx.Compiler)
      assert_answer(result, expected, tolerance: 1.0e-5)
    end

    test "the core makes the gradient" do
      text = Mlx.Compiler.to_text(&F.slope/1, [Nx.template({3}, :f32)])
      refute text =~ "transform"
      assert text =~ "pow"
    end
  end

  describe "vectorized tensors" do
    @entries Nx.vectorize(Nx.tensor([[1.0, 2.0], [3.0, 4.0]], backend: Nx.BinaryBackend), :entry)

    test "have a gradient for each entry" do
      assert_like_nx(@entries, &Nx.sum(Nx.pow(&1, 3)))
      other = Nx.vectorize(Nx.tensor([1.0, -1.0, 0.5], backend: Nx.BinaryBackend), :other)
      assert_like_nx({@entries, other}, fn {x, y} -> Nx.sum(Nx.multiply(x, Nx.exp(y))) end)
    end

    test "that are captured make one for each entry" do
      loss = fn x -> Nx.sum(Nx.multiply(Nx.pow(x, 2), @entries)) end
      assert_like_nx(Nx.tensor(2.0, backend: Nx.BinaryBackend), loss)
    end

    test "of products with cotangents and tangents" do
      {_, {slope}} = Mlx.vjp(&Nx.multiply(&1, &1), [@entries], 1.0)
      assert_answer(slope, by_nx(&Nx.multiply(&1, 2), [@entries]))
      {_, {slope}} = Mlx.vjp(&Nx.multiply(&1, 2), [Nx.tensor([1.0, 2.0])], @entries)
      assert_answer(slope, by_nx(&Nx.multiply(&1, 2), [@entries]))
      {_, tangent} = Mlx.jvp(&Nx.multiply(&1, 3.0), [Nx.tensor([1.0, 2.0])], [@entries])
      assert_answer(tangent, by_nx(&Nx.multiply(&1, 3.0), [@entries]))
    end
  end

  describe "vjp and jvp" do
    test "are products with the Jacobian" do
      fun = fn x, y -> {Nx.multiply(x, y), Nx.sum(Nx.sin(x))} end
      [y, u, v] = [Nx.exp(@x), Nx.tensor([1.0, 2.0, 3.0]), Nx.tensor(0.5)]

      assert {{product, sum}, {by_x, by_y}} = Mlx.vjp(fun, [@x, y], {u, v})
      assert_answer({product, sum}, by_nx(fun, [@x, y]), tolerance: 1.0e-5)

      expected =
        by_nx(fn x, y, u, v -> Nx.add(Nx.multiply(y, u), Nx.multiply(v, Nx.cos(x))) end, [
          @x,
          y,
          u,
          v
        ])

      assert_answer(by_x, expected, tolerance: 1.0e-5)
      assert_answer(by_y, by_nx(&Nx.multiply/2, [@x, u]), tolerance: 1.0e-5)
      assert {_, ^by_y} = Mlx.vjp(fun, [@x, y], {u, v}, wrt: 1) |> put_elem(1, by_y)

      assert {{_, _}, {tangent, slope}} = Mlx.jvp(fun, [@x, y], [u, 1.0])

      assert_answer(tangent, by_nx(fn x, y, u -> Nx.add(Nx.multiply(y, u), x) end, [@x, y, u]),
        tolerance: 1.0e-5
      )

      assert_answer(slope, by_nx(fn x, u -> Nx.dot(Nx.cos(x), u) end, [@x, u]), tolerance: 1.0e-5)
      assert {_, {only, _}} = Mlx.jvp(fun, [@x, y], [1.0], wrt: 1)
      assert_answer(only, by_nx(& &1, [@x]), tolerance: 1.0e-5)
    end

    test "take containers" do
      fun = fn %{a: a}, {b, c} -> %{z: Nx.add(Nx.multiply(a, b), c)} end
      assert {%{z: _}, {%{a: a}, {b, c}}} = Mlx.vjp(fun, [%{a: 2.0}, {3.0, 4.0}], %{z: 10.0})
      assert Enum.map([a, b, c], &Nx.to_number/1) == [30.0, 20.0, 10.0]
      assert {_, %{z: z}} = Mlx.jvp(fun, [%{a: 2.0}, {3.0, 4.0}], [%{a: 1.0}, {1.0, 1.0}])
      assert Nx.to_number(z) == 6.0
    end
  end

  def tell([:mlx, :compiler, what], _, _, parent), do: send(parent, {what, self()})

  describe "memory for time" do
    test "loops keep some or none of their states" do
      x = Nx.tensor([3.0, 1.0], backend: Nx.BinaryBackend)
      expected = by_nx(&Nx.Defn.grad(&1, fn x -> F.open_loop(x) end), [x])

      for tape <- [:all, :sqrt, :recompute] do
        assert_answer(Mlx.grad(x, &F.open_loop/1, tape: tape), expected, tolerance: 1.0e-5)
        assert_answer(Mlx.grad(&F.open_loop/1, tape: tape).(x), expected, tolerance: 1.0e-5)
        text = Mlx.Compiler.to_text(&Mlx.grad(&1, fn x -> F.open_loop(x) end, tape: tape), [x])
        assert text =~ "while_reverse" and text =~ to_string(tape)

        one = Nx.tensor(1.0)
        {_, {pulled}} = Mlx.vjp(&F.open_loop/1, [x], one, tape: tape)
        assert_answer(pulled, expected, tolerance: 1.0e-5)
        assert_answer(Mlx.jacobian(x, &F.open_loop/1, tape: tape), expected, tolerance: 1.0e-5)
        seconds = Mlx.hessian(x, &F.open_loop/1, tape: tape)
        assert_answer(seconds, Mlx.hessian(x, &F.open_loop/1), tolerance: 1.0e-5)

        for fun <- [
              fn x -> Mlx.vjp(&F.open_loop/1, [x], 1.0, tape: tape) end,
              &Mlx.jacobian(&1, fn x -> F.open_loop(x) end, tape: tape),
              &Mlx.hessian(&1, fn x -> F.open_loop(x) end, tape: tape)
            ] do
          text = Mlx.Compiler.to_text(fun, [x])
          assert text =~ "while_reverse" and text =~ to_string(tape)
        end
      end
    end

    test "pieces are computed again" do
      piece = Mlx.checkpoint(fn %{x: x}, y -> {Nx.exp(Nx.sin(x)), Nx.multiply(x, y)} end)
      plain = fn %{x: x}, y -> {Nx.exp(Nx.sin(x)), Nx.multiply(x, y)} end

      for {fun, count} <- [{piece, 2}, {plain, 1}] do
        loss = fn {x, y} ->
          {a, b} = fun.(%{x: x}, y)
          Nx.sum(Nx.multiply(a, Nx.multiply(b, b)))
        end

        expected = by_nx(&Nx.Defn.grad(&1, loss), [{@x, 2.0}])
        assert_answer(Mlx.grad({@x, 2.0}, loss), expected, tolerance: 1.0e-5)
        second = fn x, grad -> grad.(x, fn x -> Nx.sum(grad.(x, &loss.({&1, 2.0}))) end) end
        expected = by_nx(&second.(&1, fn x, f -> Nx.Defn.grad(x, f) end), [@x])
        assert_answer(second.(@x, fn x, f -> Mlx.grad(x, f) end), expected, tolerance: 1.0e-4)

        text = Mlx.Compiler.to_text(&Mlx.grad(&1, fn x -> loss.({x, 2.0}) end), [@x])
        assert length(String.split(text, "= exp")) == count + 1
      end

      assert_answer(piece.(%{x: @x}, 2.0), by_nx(plain, [%{x: @x}, 2.0]), tolerance: 1.0e-5)
    end
  end

  describe "marks" do
    test "stop gradients of containers" do
      loss = fn {x, y} ->
        {x, _} = Mlx.stop_gradient({x, y})
        Nx.sum(Nx.multiply(x, y))
      end

      assert {by_x, by_y} = Mlx.grad({@x, Nx.exp(@x)}, loss)
      assert Nx.to_list(by_x) == [0.0, 0.0, 0.0]
      assert_answer(by_y, by_nx(& &1, [@x]))
      assert Mlx.stop_gradient(%{a: 1}) == %{a: 1}
    end

    test "give functions of containers gradients of their own, by every compiler" do
      forward = fn %{a: a}, b -> {Nx.multiply(a, b), Nx.sum(a)} end

      backward = fn {g, h}, {%{a: a}, b}, {product, _sum} ->
        {%{a: Nx.add(Nx.multiply(g, 3), h)}, Nx.sum(Nx.add(product, Nx.multiply(a, b)))}
      end

      fun = Mlx.custom_vjp(forward, backward)

      loss = fn {x, b} ->
        {product, sum} = fun.(%{a: x}, b)
        Nx.add(Nx.multiply(Nx.sum(product), 2), Nx.multiply(sum, 10))
      end

      assert_answer(fun.(%{a: @x}, 2.0), by_nx(forward, [%{a: @x}, 2.0]))
      expected = by_nx(fn x -> {Nx.broadcast(16.0, x), Nx.multiply(Nx.sum(x), 4)} end, [@x])
      assert_answer(Mlx.grad({@x, 2.0}, loss), expected, tolerance: 1.0e-5)

      assert_answer(put_backend(by_nx(&Nx.Defn.grad(&1, loss), [{@x, 2.0}])), expected,
        tolerance: 1.0e-5
      )
    end

    test "are vectorized with what they mark" do
      fun =
        Mlx.custom_vjp(&Nx.multiply(&1, &1), fn g, {x}, _ ->
          {Nx.multiply(g, Nx.multiply(x, 3))}
        end)

      expected = by_nx(&Nx.multiply(&1, 3), [@entries])
      assert_answer(Mlx.grad(@entries, &Nx.sum(fun.(&1))), expected)

      assert_answer(
        Mlx.vmap(Mlx.grad(&Nx.sum(fun.(&1)))).(Nx.devectorize(@entries)).shape,
        {2, 2}
      )
    end

    test "say what they want" do
      for {call, text} <- [
            {fn -> Mlx.stop_gradient("x") end, "[stop_gradient] expected tensors or containers"},
            {fn -> Mlx.custom_vjp(1, & &1) end,
             "[custom_vjp] expected a function of 1 to 20 arguments"},
            {fn -> Mlx.custom_vjp(& &1, & &1) end,
             "[custom_vjp] expected a function of the cotangents"}
          ] do
        error = assert_raise ArgumentError, call
        assert error.message =~ text
      end

      for answer <- [1, {1, 2}, {{1, 2}}] do
        fun = Mlx.custom_vjp(& &1, fn _, _, _ -> answer end)

        assert_raise ArgumentError, ~r/expected the gradient to answer/, fn ->
          Mlx.grad(@x, fun)
        end
      end
    end

    test "raise what their functions raise, and only where their gradient is wanted" do
      fun = Mlx.custom_vjp(&Nx.sin/1, fn _, _, _ -> raise "first\nand second line" end)
      assert_answer(Nx.Defn.jit(fun, compiler: Mlx.Compiler).(@x), by_nx(&Nx.sin/1, [@x]))

      error = assert_raise RuntimeError, fn -> Mlx.grad(@x, &Nx.sum(fun.(&1))) end
      assert error.message == "first\nand second line"

      outer = Mlx.custom_vjp(&Nx.cos/1, fn g, _, _ -> {fun.(g)} end)
      slope = &Mlx.grad(&1, fn x -> Nx.sum(outer.(x)) end)
      assert_answer(slope.(@x), by_nx(fn x -> Nx.broadcast(Nx.sin(1.0), x) end, [@x]))
    end

    test "lead tangents forward by the transpose of what they lead back" do
      fun = Mlx.custom_vjp(&Nx.sin/1, fn g, {x}, _ -> {Nx.multiply(g, Nx.multiply(x, 3))} end)
      {_, slope} = Mlx.jvp(fun, [@x], [@x])
      assert_answer(slope, by_nx(fn x -> Nx.multiply(3, Nx.multiply(x, x)) end, [@x]))

      inverse = fn x -> Nx.sum(Nx.LinAlg.invert(Nx.add(Nx.outer(x, x), Nx.eye(3)))) end
      {_, slope} = Mlx.jvp(inverse, [@x], [@x])
      expected = @x |> Mlx.grad(inverse) |> Nx.dot(@x)
      assert_answer(slope, Nx.backend_copy(expected, Nx.BinaryBackend), tolerance: 1.0e-5)
    end
  end

  defp put_backend({a, b}), do: {Nx.backend_copy(a, Mlx.Backend), Nx.backend_copy(b, Mlx.Backend)}

  describe "compiling" do
    test "is done once for a function" do
      fun = fn x -> Nx.sum(Nx.tan(x)) end
      parent = self()
      id = {__MODULE__, make_ref()}

      :telemetry.attach_many(
        id,
        [[:mlx, :compiler, :hit], [:mlx, :compiler, :miss]],
        &__MODULE__.tell/4,
        parent
      )

      for _ <- 1..2, do: Mlx.grad(@x, fun)
      :telemetry.detach(id)
      assert_received {:miss, ^parent}
      assert_received {:hit, ^parent}
      refute_received {:miss, ^parent}
    end

    test "takes the options of the compiler" do
      parent = self()
      hooks = %{squared: &send(parent, {:squared, Nx.to_list(&1)})}
      assert Mlx.grad(@x, &F.hooked/1, hooks: hooks) |> Nx.to_list() == [1.0, -2.5, 4.0]
      assert_received {:squared, [0.25, 1.5625, 4.0]}
      refute_received {:squared, _}

      assert Mlx.grad(@x, &F.hooked/1, cache: false, device: :cpu) |> Nx.to_list() == [
               1.0,
               -2.5,
               4.0
             ]
    end

    test "keeps runtime calls, which have no gradient" do
      assert Mlx.grad(@x, &F.called/1) |> Nx.to_list() == [1.0, -2.5, 4.0]
    end
  end
end
