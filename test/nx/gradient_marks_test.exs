defmodule Mlx.GradientMarksTest do
  # `stop_grad` and `custom_grad` in programs, and the loops that gradients are made of.
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 2, assert_answer: 3]

  defmodule Functions do
    import Nx.Defn

    defn(stopped(x), do: x * stop_grad(Nx.exp(x)))
    defn(cosine(t), do: custom_grad(Nx.cos(t), [t], fn g -> [-g * Nx.sin(t)] end))
    defn(rounded(t), do: custom_grad(Nx.as_type(Nx.round(t), :s32), [t], fn g -> [g] end))
    defn(refusing(t), do: custom_grad(Nx.cos(t), [t], fn _g -> no_gradient() end))
    defn(telling(t), do: custom_grad(Nx.cos(t), [t], fn g -> [io_call(g, :told, & &1)] end))
    defn(too_many(t), do: custom_grad(Nx.cos(t), [t], fn g -> [g, g] end))
    defn(exponential(t), do: custom_grad(Nx.exp(t), [t], fn g -> [g * exponential(t)] end))
    defn(inverted(t), do: Nx.LinAlg.invert(t))

    deftransform(no_gradient, do: raise(ArgumentError, "there is none"))

    # What only the gradient reads belongs to it, what the program reads too is captured.
    defn shared(t) do
      own = Nx.sin(t)
      both = Nx.tanh(t)
      custom_grad(both * 2, [t], fn g -> [g * own * both] end)
    end

    # An input that nothing else reads.
    defn elsewhere(t) do
      input = Nx.sinh(t)
      custom_grad(Nx.cos(t), [input], fn g -> [g] end)
    end

    defn both(t) do
      {q, r} = custom_grad({Nx.sin(t), Nx.cos(t)}, [t], fn {a, b} -> [a * t - b] end)
      q * 2 + r
    end

    defn in_branch(t) do
      if Nx.sum(t) > 0, do: cosine(t) + stop_grad(t), else: Nx.sin(t)
    end

    defn(elsewhere_in_branch(t), do: if(Nx.sum(t) > 0, do: elsewhere(Nx.abs(t)), else: t))

    defn in_loop(t) do
      {_, t} = while({i = 0, t}, i < 3, do: {i + 1, cosine(t) + stop_grad(t)})
      t
    end

    # f64 flows into a loop whose state begins as f32.
    defn slope(x) do
      grad(x, fn x ->
        {_, y, _} = while({i = 0, y = x, s = 0.5}, i < 3, do: {i + 1, y * y * s, s + 0.1})
        Nx.sum(y)
      end)
    end

    defn both_slopes(x) do
      grad(x, fn x ->
        {_, y, s} =
          while({i = 0, y = x, s = 0.5}, i < 3,
            do: {i + 1, y * s, s + Nx.as_type(Nx.sum(y), :f32)}
          )

        Nx.sum(y) + s
      end)
    end
  end

  @vector Nx.tensor([0.25, -0.5, 1.5], backend: Nx.BinaryBackend)

  defp text(fun), do: Mlx.Compiler.to_text(fun, [Nx.template({3}, :f32)])

  test "functions answer what they answer without marks" do
    matrix = Nx.tensor([[2.0, 1.0], [1.0, 3.0]], backend: Nx.BinaryBackend)

    for {fun, x} <- [
          {&Functions.stopped/1, @vector},
          {&Functions.cosine/1, @vector},
          {&Functions.rounded/1, @vector},
          {&Functions.refusing/1, @vector},
          {&Functions.too_many/1, @vector},
          {&Functions.exponential/1, @vector},
          {&Functions.shared/1, @vector},
          {&Functions.elsewhere/1, @vector},
          {&Functions.both/1, @vector},
          {&Functions.elsewhere_in_branch/1, @vector},
          {&Functions.in_branch/1, @vector},
          {&Functions.in_branch/1, Nx.negate(@vector)},
          {&Functions.in_loop/1, @vector},
          {&Functions.cosine/1, Nx.vectorize(matrix, :rows)},
          {&Functions.inverted/1, matrix}
        ] do
      expected = Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator).(x)
      assert_answer(Nx.Defn.jit(fun, compiler: Mlx.Compiler).(x), expected)
    end
  end

  test "stop_grad is kept" do
    assert text(&Functions.stopped/1) =~ "%2 = stop_gradient %1 : f32[3]"
  end

  test "custom_grad is kept with its gradient" do
    assert text(&Functions.cosine/1) == """
           program(%0 arg0: f32[3]) {
             %1 = cos %0 : f32[3]
             %2 = custom_vjp %1, %0, %0 {values: 1} : f32[3]
               gradient(%0: f32[3], %1: f32[3]) {
                 %2 = negate %0 : f32[3]
                 %3 = sin %1 : f32[3]
                 %4 = multiply %2, %3 : f32[3]
                 return %4
               }
             return %2
           }
           """
  end

  test "cotangents of integers are f32, and of tuples one each" do
    assert text(&Functions.rounded/1) =~ "custom_vjp %2, %0 {values: 1} : s32[3]"
    assert text(&Functions.rounded/1) =~ "gradient(%0: f32[3]) {\n      return %0"
    assert text(&Functions.both/1) =~ "{values: 2} : f32[3], f32[3]"
    assert text(&Functions.both/1) =~ "gradient(%0: f32[3], %1: f32[3], %2: f32[3]) {"
  end

  test "what only a gradient reads stands in it" do
    [before, gradient] = (&Functions.shared/1) |> text() |> String.split("gradient(")
    assert before =~ "tanh"
    refute before =~ "sin"
    assert gradient =~ "sin"
    refute gradient =~ "tanh"
  end

  test "marks stand where they were put, in branches and loops" do
    for fun <- [&Functions.in_branch/1, &Functions.in_loop/1] do
      assert [_, _] = fun |> text() |> String.split("custom_vjp")
      assert [_, _] = fun |> text() |> String.split("stop_gradient")
    end

    assert text(&Functions.in_branch/1) =~ ~r/branch 0.*custom_vjp.*gradient.*else/s
    assert text(&Functions.in_loop/1) =~ ~r/body.*custom_vjp/s
    assert Mlx.Compiler.to_text(&Functions.inverted/1, [Nx.template({2, 2}, :f32)]) =~ "gradient("
  end

  test "an input that nothing else reads belongs where its mark stands" do
    assert [before, branch] =
             (&Functions.elsewhere_in_branch/1) |> text() |> String.split("branch 0")

    refute before =~ "sinh"
    assert branch =~ "sinh"
    assert length(String.split(branch, "abs")) == 2
  end

  test "a gradient that can't be had leaves word" do
    assert text(&Functions.refusing/1) =~ ~s(reason: "there is none")
    assert text(&Functions.telling/1) =~ ~s(reason: "the gradient calls back to Elixir")
    assert text(&Functions.too_many/1) =~ ~s(reason: "it answers 2 gradients for 1 inputs")
  end

  test "a gradient made of itself is kept up to an order" do
    text = text(&Functions.exponential/1)
    assert length(String.split(text, "gradient(")) == 4
    assert text =~ ~s(reason: "gradients of custom gradients are kept up to order 3")
  end

  test "marks survive a file" do
    path = Path.join(System.tmp_dir!(), "marks_#{System.unique_integer([:positive])}.mlxnx")
    Mlx.Compiler.export(&Functions.cosine/1, [Nx.template({3}, :f32)], path)
    imported = Mlx.Compiler.import(path)
    File.rm!(path)
    assert_answer(imported.([@vector]), Nx.cos(@vector))
  end

  # Nx's evaluator mixes up f32 and f64 in these loops and answers other numbers.
  test "a loop's body answers the types of its state" do
    x = Nx.tensor([0.5, 1.5], type: :f64, backend: Nx.BinaryBackend)

    for {fun, slopes} <- [
          {&Functions.slope/1, [0.000984375, 2.152828125]},
          {&Functions.both_slopes/1, [15.375, 15.375]}
        ] do
      actual = Nx.Defn.jit(fun, compiler: Mlx.Compiler).(x)
      assert_answer(Nx.as_type(actual, :f32), Nx.tensor(slopes, type: :f32), tolerance: 1.0e-5)
    end
  end
end
