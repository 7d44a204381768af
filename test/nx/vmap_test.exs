defmodule Mlx.VmapTest do
  # Functions mapped over examples, and the Jacobians and Hessians that are made so.
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 2, assert_answer: 3, by_nx: 2]

  defmodule Functions do
    import Nx.Defn

    defn(row(x), do: Nx.sum(x * Nx.sin(x)))
    defn(scaled(x), do: x / Nx.sum(Nx.abs(x)))
    defn(ordered(x), do: {Nx.sort(x), Nx.argmax(x)})
    defn(branch(x), do: if(Nx.sum(x) > 0, do: x * 2, else: x - 1))

    # Examples take different numbers of iterations.
    defn loop(x) do
      {y, _} = while({y = x, x}, Nx.sum(y * y) < 50.0, do: {y * 1.5, x})
      y
    end

    defn(loss(w, x), do: Nx.sum((Nx.dot(w, x) - 1) ** 2))

    # Inside of defn.
    defn(mapped(x), do: Mlx.vmap(&row/1).(x))
    defn(per_example(x), do: Mlx.vmap(fn x -> Mlx.grad(x, &row/1) end).(x))
    defn(slope_of_mapped(x), do: Mlx.grad(x, fn x -> Nx.sum(Mlx.vmap(&row/1).(x) ** 2) end))
    defn(nx_slope_of_mapped(x), do: grad(x, fn x -> Nx.sum(Mlx.vmap(&row/1).(x) ** 2) end))
    defn(twice(x), do: Mlx.vmap(fn x -> Mlx.vmap(&(&1 * &1 + Nx.sum(x))).(x) end).(x))
    defn(columns(x), do: mapped_over(x, in_axes: 1, out_axes: 1))
    defn(shared(x), do: constants(x))
    defn(of_jacobian(x), do: Mlx.jacobian(x[0], &scaled/1))
    defn(of_hessian(x), do: Mlx.hessian(x[0], &row/1))

    deftransform(mapped_over(x, options), do: Mlx.vmap(&scaled/1, options).(x))
    deftransform(constants(x), do: Mlx.vmap(fn x -> {Nx.tensor([1, 2]), x} end).(x))
  end

  alias Functions, as: F

  @rows Nx.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], backend: Nx.BinaryBackend)

  # One example after the other.
  defp loop(fun, rows) do
    answers = for i <- 0..(Nx.axis_size(rows, 0) - 1), do: by_nx(fun, [rows[i]])

    Nx.with_default_backend(Nx.BinaryBackend, fn ->
      if is_tuple(hd(answers)) do
        answers |> Enum.map(&Tuple.to_list/1) |> Enum.zip_with(&Nx.stack/1) |> List.to_tuple()
      else
        Nx.stack(answers)
      end
    end)
  end

  describe "vmap" do
    for name <- ~w(row scaled ordered branch loop)a do
      test "of #{name} is what the function answers for each example" do
        fun = &apply(F, unquote(name), [&1])
        assert_answer(Mlx.vmap(fun).(@rows), loop(fun, @rows), tolerance: 1.0e-5)
      end
    end

    test "takes and puts examples along any axis" do
      columns = Nx.transpose(@rows)
      expected = loop(&F.scaled/1, @rows)
      assert_answer(Mlx.vmap(&F.scaled/1, in_axes: 1).(columns), expected, tolerance: 1.0e-5)
      assert_answer(Mlx.vmap(&F.scaled/1, in_axes: -1).(columns), expected, tolerance: 1.0e-5)

      for axis <- [1, -1] do
        assert_answer(
          Mlx.vmap(&F.scaled/1, out_axes: axis).(@rows),
          Nx.transpose(expected),
          tolerance: 1.0e-5
        )
      end

      assert {first, second} = Mlx.vmap(&{&1, {&1}}, out_axes: {0, 1}).(@rows)
      assert {first.shape, elem(second, 0).shape} == {{2, 3}, {3, 2}}
    end

    test "shares arguments, containers and what the function captured" do
      x = Nx.tensor([1.0, -1.0, 0.5], backend: Nx.BinaryBackend)
      expected = by_nx(fn rows, x -> Nx.dot(rows, x) end, [@rows, x])
      assert_answer(Mlx.vmap(&Nx.dot/2, in_axes: [0, nil]).(@rows, x), expected)
      assert_answer(Mlx.vmap(&Nx.dot(&1, x)).(@rows), expected)
      fun = fn %{row: row}, {x} -> %{dot: Nx.dot(row, x)} end
      assert %{dot: dot} = Mlx.vmap(fun, in_axes: [0, nil]).(%{row: @rows}, {x})
      assert_answer(dot, expected)
    end

    test "keeps names" do
      named = Nx.rename(@rows, [:example, :x])
      assert Mlx.vmap(&Nx.multiply(&1, 2)).(named).names == [:example, :x]
      assert Mlx.vmap(&Nx.multiply(&1, 2), out_axes: 1).(named).names == [:x, :example]
      assert Mlx.vmap(&Nx.sum/1).(named).names == [:example]
    end

    test "keeps vectorized axes" do
      entries = Nx.vectorize(Nx.iota({4, 2, 3}, type: :f32, backend: Nx.BinaryBackend), :entry)
      expected = by_nx(&Nx.sum(&1, axes: [1]), [entries])
      assert_answer(Mlx.vmap(&Nx.sum/1).(entries), expected)

      assert_answer(
        Mlx.vmap(&Nx.sum/1, in_axes: 1).(entries),
        by_nx(&Nx.sum(&1, axes: [0]), [entries])
      )
    end

    test "of gradients is a gradient for each example" do
      w = Nx.tensor([[0.5, 1.0, -1.0], [2.0, 0.25, 0.75]], backend: Nx.BinaryBackend)
      fun = Mlx.vmap(Mlx.grad(&F.loss/2), in_axes: [nil, 0])
      # Nx differentiates by what it traces.
      slope = fn x -> Nx.Defn.grad(Nx.add(w, Nx.multiply(0, Nx.sum(x))), &F.loss(&1, x)) end
      expected = loop(slope, @rows)
      assert_answer(fun.(w, @rows), expected, tolerance: 1.0e-5)
    end

    for name <-
          ~w(mapped per_example slope_of_mapped nx_slope_of_mapped twice columns shared of_jacobian of_hessian)a do
      test "inside of defn: #{name} is the same by every compiler" do
        fun = &apply(F, unquote(name), [&1])
        expected = by_nx(fun, [@rows])
        result = Nx.Defn.jit_apply(fun, [@rows], compiler: Mlx.Compiler)
        assert_answer(result, expected, tolerance: 1.0e-5)
      end
    end
  end

  describe "jacobian and hessian" do
    @x Nx.tensor([0.5, -1.0, 2.0], backend: Nx.BinaryBackend)

    test "of functions of one tensor" do
      columns = for i <- 0..2, do: by_nx(&Nx.Defn.grad(&1, fn x -> F.scaled(x)[i] end), [@x])
      expected = Nx.with_default_backend(Nx.BinaryBackend, fn -> Nx.stack(columns) end)
      assert_answer(Mlx.jacobian(@x, &F.scaled/1), expected, tolerance: 1.0e-5)
      assert_answer(Mlx.jacobian(&F.scaled/1).(@x), expected, tolerance: 1.0e-5)

      slope = fn x -> Nx.Defn.grad(x, &F.row/1) end
      columns = for i <- 0..2, do: by_nx(&Nx.Defn.grad(&1, fn x -> slope.(x)[i] end), [@x])
      expected = Nx.with_default_backend(Nx.BinaryBackend, fn -> Nx.stack(columns) end)
      assert_answer(Mlx.hessian(@x, &F.row/1), expected, tolerance: 1.0e-5)
      assert_answer(Mlx.hessian(&F.row/1).(@x), expected, tolerance: 1.0e-5)
    end

    test "of matrices have the axes of both" do
      jacobian = Mlx.jacobian(@rows, &Nx.sum(&1, axes: [1]))
      assert jacobian.shape == {2, 2, 3}
      assert Nx.to_list(jacobian) == [[[1, 1, 1], [0, 0, 0]], [[0, 0, 0], [1, 1, 1]]]
    end

    test "of containers" do
      fun = fn %{x: x, y: y} -> {Nx.multiply(x, y), Nx.sum(x)} end
      assert {product, sum} = Mlx.jacobian(%{x: @x, y: 2.0}, fun)
      assert Nx.to_list(product.x) == [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
      assert Nx.to_list(product.y) == [0.5, -1.0, 2.0]
      assert {Nx.to_list(sum.x), Nx.to_number(sum.y)} == {[1.0, 1.0, 1.0], 0.0}

      hessian = Mlx.hessian({@x, 2.0}, fn {x, y} -> Nx.multiply(Nx.sum(Nx.pow(x, 2)), y) end)
      assert {{xx, xy}, {yx, yy}} = hessian
      assert Nx.to_list(xx) == [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]
      assert Nx.to_list(xy) == [1.0, -2.0, 4.0] and Nx.to_list(yx) == Nx.to_list(xy)
      assert Nx.to_number(yy) == 0.0
    end

    test "by some of the arguments" do
      assert {by_y} = Mlx.jacobian(&Nx.multiply/2, wrt: [1]).(@x, 3.0)
      assert Nx.to_list(by_y) == [0.5, -1.0, 2.0]
      square = fn x, y -> Nx.multiply(Nx.multiply(y, y), Nx.sum(x)) end
      assert Mlx.hessian(square, wrt: 1).(@x, 3.0) |> Nx.to_number() == 3.0
    end

    test "have an answer for each entry of vectorized tensors" do
      entries = Nx.vectorize(@rows, :entry)
      jacobian = Mlx.jacobian(entries, &Nx.multiply(&1, &1))
      assert jacobian.vectorized_axes == [entry: 2] and jacobian.shape == {3, 3}
      expected = by_nx(&Nx.multiply(&1, 2), [entries])
      assert_answer(Nx.take_diagonal(jacobian), expected)
    end
  end

  describe "arguments are checked" do
    for {name, text, call} <- [
          {"no function", "[vmap] expected a function of 1 to 20 arguments, got: 1",
           quote(do: Mlx.vmap(1))},
          {"no options", "[vmap] expected options as a keyword list",
           quote(do: Mlx.vmap(& &1, 1))},
          {"axes of another number",
           ":in_axes to be an axis, or a list of 1 axes or nils, of which not all are nil, got: [0, 1]",
           quote(do: Mlx.vmap(& &1, in_axes: [0, 1]))},
          {"no axes", "of which not all are nil, got: nil",
           quote(do: Mlx.vmap(& &1, in_axes: nil))},
          {"axes that there are not",
           "[vmap] expected an axis of a tensor of 2 axes in :in_axes, got: 2",
           quote(do: Mlx.vmap(& &1, in_axes: 2).(@rows))},
          {"scalars", "of 0 axes in :in_axes, got: 0", quote(do: Mlx.vmap(& &1).(1.0))},
          {"axes of the result that there are not", "a result of 1 axes in :out_axes, got: 1",
           quote(do: Mlx.vmap(&Nx.sum/1, out_axes: 1).(@rows))},
          {"no axes of the result", "[vmap] expected :out_axes to be an axis",
           quote(do: Mlx.vmap(& &1, out_axes: :x))},
          {"axes of another result", "one for each element of the result, got: {0, 1}",
           quote(do: Mlx.vmap(& &1, out_axes: {0, 1}).(@rows))},
          {"numbers of examples that differ", "[vmap] expected axes of one size, got: [2, 3]",
           quote(do: Mlx.vmap(&Nx.add/2).(@rows, Nx.transpose(@rows)))},
          {"positions out of range", "[jacobian] expected :wrt to be a position",
           quote(do: Mlx.jacobian(& &1, wrt: 1))},
          {"functions of another arity", "[hessian] expected a function of one argument",
           quote(do: Mlx.hessian(1, &Nx.add/2))},
          {"results that are no tensor", "to answer one tensor to differentiate",
           quote(do: Mlx.hessian(1.0, &{&1, &1}))}
        ] do
      test name do
        error = assert_raise ArgumentError, fn -> unquote(call) end
        assert error.message =~ unquote(text)
      end
    end
  end
end
