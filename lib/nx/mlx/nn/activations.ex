defmodule Mlx.NN.Activations do
  # The activation functions of `Mlx.NN`.
  @moduledoc false

  # Name, operands, options with their defaults, what it answers, and an example: what is called, and its answer.
  @activations [
    {:relu, [:x], [], "The larger of `x` and 0; the slope at 0 is 0.",
     "(Nx.tensor([-1.0, 2.0])) |> Nx.to_list()", "[0.0, 2.0]"},
    {:relu2, [:x], [], "The square of `relu/1`.", "(Nx.tensor([-1.0, 2.0])) |> Nx.to_list()",
     "[0.0, 4.0]"},
    {:relu6, [:x], [], "`x` between 0 and 6; the slope at both is 0.",
     "(Nx.tensor([-1.0, 2.0, 7.0])) |> Nx.to_list()", "[0.0, 2.0, 6.0]"},
    {:leaky_relu, [:x], [negative_slope: 0.01],
     "`x` where it is not negative, elsewhere `:negative_slope` times it.",
     "(Nx.tensor([-1.0, 2.0]), negative_slope: 0.5) |> Nx.to_list()", "[-0.5, 2.0]"},
    {:prelu, [:x, :alpha], [],
     "`x` where it is positive, elsewhere `alpha` times it, a scalar or a tensor that broadcasts against `x`.",
     "(Nx.tensor([-1.0, 2.0]), 0.25) |> Nx.to_list()", "[-0.25, 2.0]"},
    {:elu, [:x], [alpha: 1.0], "`x` where it is positive, elsewhere `:alpha` (exp(x) - 1).",
     "(-1.0) |> Nx.to_number() |> Float.round(3)", "-0.632"},
    {:celu, [:x], [alpha: 1.0],
     "`x` where it is positive, elsewhere `:alpha` (exp(x / alpha) - 1), which has no kink.",
     "(-1.0, alpha: 2.0) |> Nx.to_number() |> Float.round(3)", "-0.787"},
    {:selu, [:x], [], "1.0507 times `elu/2` of alpha 1.67326 (Klambauer and others, 2017).",
     "(-1.0) |> Nx.to_number() |> Float.round(3)", "-1.111"},
    {:sigmoid, [:x], [], "1 / (1 + exp(-x)).", "(2.0) |> Nx.to_number() |> Float.round(3)",
     "0.881"},
    {:log_sigmoid, [:x], [], "The logarithm of `sigmoid/1`, exact far out.",
     "(-100.0) |> Nx.to_number()", "-100.0"},
    {:softplus, [:x], [], "log(1 + exp(x)).", "(100.0) |> Nx.to_number()", "100.0"},
    {:softsign, [:x], [], "x / (1 + |x|).", "(Nx.tensor([-1.0, 3.0])) |> Nx.to_list()",
     "[-0.5, 0.75]"},
    {:silu, [:x], [], "x sigmoid(x), also called swish.",
     "(2.0) |> Nx.to_number() |> Float.round(3)", "1.762"},
    {:gelu, [:x], [], "`x` times the normal distribution's share below it.",
     "(2.0) |> Nx.to_number() |> Float.round(3)", "1.954"},
    {:gelu_approx, [:x], [], "`gelu/1` by a tanh of a cubic, within 1.0e-3 of it.",
     "(2.0) |> Nx.to_number() |> Float.round(3)", "1.955"},
    {:gelu_fast_approx, [:x], [], "x sigmoid(1.702 x), within 0.02 of `gelu/1`.",
     "(2.0) |> Nx.to_number() |> Float.round(3)", "1.936"},
    {:mish, [:x], [], "x tanh(softplus(x)) (Misra, 2019).",
     "(2.0) |> Nx.to_number() |> Float.round(3)", "1.944"},
    {:hardswish, [:x], [], "x relu6(x + 3) / 6.", "(Nx.tensor([1.5, 3.0])) |> Nx.to_list()",
     "[1.125, 3.0]"},
    {:hard_tanh, [:x], [min_val: -1.0, max_val: 1.0],
     "`x` between `:min_val` and `:max_val`; the slope at both is 0.",
     "(Nx.tensor([-2.0, 0.5])) |> Nx.to_list()", "[-1.0, 0.5]"},
    {:hard_shrink, [:x], [lambd: 0.5], "0 within `:lambd` of 0, elsewhere `x`.",
     "(Nx.tensor([-0.25, 2.0])) |> Nx.to_list()", "[0.0, 2.0]"},
    {:softshrink, [:x], [lambd: 0.5],
     "0 within `:lambd` of 0, elsewhere `x` nearer to 0 by `:lambd`.",
     "(Nx.tensor([-0.25, 2.0])) |> Nx.to_list()", "[0.0, 1.5]"},
    {:step, [:x], [threshold: 0.0], "1 where `x` reaches `:threshold`, elsewhere 0, in s32.",
     "(Nx.tensor([-1.0, 2.0])) |> Nx.to_list()", "[0, 1]"},
    {:tanh, [:x], [], "The hyperbolic tangent.", "(1.0) |> Nx.to_number() |> Float.round(3)",
     "0.762"},
    {:softmax, [:x], [axis: -1],
     "exp(x) divided by its sum along `:axis`; no large `x` overflows.",
     "(Nx.tensor([1000.0, 1000.0])) |> Nx.to_list()", "[0.5, 0.5]"},
    {:softmin, [:x], [axis: -1], "`softmax/2` of -x.", "(Nx.tensor([0.0, 0.0])) |> Nx.to_list()",
     "[0.5, 0.5]"},
    {:log_softmax, [:x], [axis: -1], "The logarithm of `softmax/2`, exact far out.",
     "(Nx.tensor([0.0, 1000.0])) |> Nx.to_list()", "[-1000.0, 0.0]"},
    {:glu, [:x], [axis: -1],
     "The first half of `x` along `:axis` times `sigmoid/1` of the second half. Raises `ArgumentError` for an axis of odd length.",
     "(Nx.tensor([3.0, 0.0])) |> Nx.to_list()", "[1.5]"}
  ]

  @doc "Defines them all where it stands, documented."
  defmacro defactivations do
    for {name, operands, options, text, example, answer} <- @activations do
      quote do
        @doc type: :activation
        @doc unquote(doc(name, options, text, example, answer))
        defrow(:activation, unquote(name), unquote(operands), unquote(Keyword.keys(options)))
      end
    end
  end

  defp doc(name, options, text, example, answer) do
    listed = for {option, default} <- options, do: "  * `:#{option}` - default #{default}\n"
    options = if listed == [], do: "", else: "## Options\n\n#{listed}\n"

    """
    #{text} mlx: `nn.#{name}`.

    #{options}## Examples

        iex> Mlx.NN.#{name}#{example}
        #{answer}
    """
  end
end
