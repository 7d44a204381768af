defmodule Mlx.Programs.Elementwise do
  @moduledoc "Straight lines of elementwise ops: types, constants, selections, activation functions."
  import Nx.Defn

  defn(affine(x), do: x * 2 + 3)
  defn(polynomial(x), do: 3 * x ** 3 - 2 * x ** 2 + x - 7)
  defn(logistic(x), do: 1 / (1 + Nx.exp(-x)))
  defn(softplus(x), do: Nx.log1p(Nx.exp(-Nx.abs(x))) + Nx.max(x, 0))
  defn(silu(x), do: x * Nx.sigmoid(x))
  defn(gelu(x), do: 0.5 * x * (1 + Nx.erf(x / Nx.sqrt(2))))

  defn(gelu_by_tanh(x), do: 0.5 * x * (1 + Nx.tanh(0.7978845608 * (x + 0.044715 * x * x * x))))

  defn(relu6(x), do: Nx.clip(x, 0, 6))
  defn(leaky_relu(x), do: Nx.select(x >= 0, x, 0.01 * x))
  defn(elu(x), do: Nx.select(x > 0, x, Nx.expm1(x)))
  defn(mish(x), do: x * Nx.tanh(Nx.log1p(Nx.exp(x))))
  defn(hard_sigmoid(x), do: Nx.clip(x / 6 + 0.5, 0, 1))
  defn(circle(x), do: {Nx.cos(x), Nx.sin(x), Nx.cos(x) ** 2 + Nx.sin(x) ** 2})
  defn(hyperbola(x), do: {Nx.cosh(x), Nx.sinh(x), Nx.cosh(x) ** 2 - Nx.sinh(x) ** 2})
  defn(inverses(x), do: {Nx.asin(x), Nx.acos(x), Nx.atan(x), Nx.atanh(x)})
  defn(logs(x), do: {Nx.log(x), Nx.log1p(x), Nx.log(x, 2), Nx.log(x, 10)})
  defn(roots(x), do: {Nx.sqrt(x), Nx.rsqrt(x), Nx.cbrt(x)})
  defn(error_functions(x), do: {Nx.erf(x), Nx.erfc(x), Nx.erf_inv(x / 4)})
  defn(roundings(x), do: {Nx.floor(x), Nx.ceil(x), Nx.round(x), Nx.sign(x)})
  defn(angles(x, y), do: {Nx.atan2(y, x), Nx.sqrt(x * x + y * y)})
  defn(integers(x, y), do: {Nx.quotient(x, y), Nx.remainder(x, y), x - y * Nx.quotient(x, y)})

  defn bits(x) do
    {x &&& 0x0F, x ||| 0x80, Nx.bitwise_xor(x, 0x55), Nx.bitwise_not(x), x <<< 2, x >>> 1,
     Nx.population_count(x), Nx.count_leading_zeros(x)}
  end

  defn(comparisons(x, y), do: {x < y, x <= y, x == y, x != y, x >= y, x > y})
  defn(logic(x, y), do: {x and y, x or y, Nx.logical_xor(x, y), not x})
  defn(extremes(x, y), do: {Nx.min(x, y), Nx.max(x, y), Nx.clip(x, y[0], 2)})

  defn non_finite(x) do
    {Nx.is_nan(x), Nx.is_infinity(x), Nx.select(Nx.is_nan(x), 0.0, x),
     Nx.Constants.infinity() - Nx.Constants.infinity()}
  end

  defn(constants(x), do: x + Nx.Constants.pi() - Nx.Constants.e() + Nx.tensor([1, 2, 3]))
  defn(captured_matrix(x), do: x + Nx.tensor([[1.5, -2.5], [0.25, 8.0]]))
  defn(captured_scalar(x), do: x * Nx.tensor(3, type: :u8))
  defn(upcast(x), do: {Nx.as_type(x, :f64) / 3, Nx.as_type(x, :bf16), Nx.as_type(x, :s16)})
  defn(truncation(x), do: {Nx.as_type(x, :s32), Nx.as_type(x, :u8), Nx.as_type(x, :s64)})
  defn(half_sum(x), do: Nx.as_type(x, :f16) * 1.5 + 0.25)
  defn(bitcasts(x), do: {Nx.bitcast(x, :s32), Nx.bitcast(Nx.bitcast(x, :u32), :f32)})

  defn complex_arithmetic(x, y) do
    {x + y, x * y, x / y, Nx.conjugate(x), Nx.real(x), Nx.imag(y), Nx.abs(x), Nx.phase(x)}
  end

  defn(complex_functions(x), do: {Nx.exp(x), Nx.log(x), Nx.sqrt(x), Nx.sin(x), Nx.tanh(x)})
  defn(complex_from_parts(x, y), do: Nx.complex(x, y) * Nx.Constants.i())

  defn shared_subexpressions(x) do
    a = x * x
    b = a + a
    c = b * b
    {c + a, c - b, a}
  end

  # Each value twice as large a tree as the one before: only a graph keeps it small.
  defn deep_sharing(x) do
    a = x + x
    b = a * a
    c = b + b
    d = c * 0.5 + c
    e = d - c
    e + d + c + b + a
  end

  defn(standardise(x), do: (x - Nx.mean(x)) / (Nx.standard_deviation(x) + 1.0e-6))
  defn(unused_argument(x, _y), do: x + 1)
  defn(same_result_twice(x), do: {x + 1, x + 1})
  defn(argument_itself(x), do: {x, x})
  defn(map_of_results(x, y), do: %{sum: x + y, parts: {x, y}, mean: Nx.mean(x + y)})
  defn(map_of_arguments(%{a: a, b: {b, c}}), do: a * b - c)

  @signed [-2.5, -1.0, -0.25, 0.0, 0.5, 1.0, 3.75]
  @unit [-0.9, -0.5, 0.0, 0.3, 0.75]
  @positive [0.125, 0.5, 1.0, 2.0, 10.0]

  def all do
    activations =
      for {name, fun} <- [
            logistic: &logistic/1,
            softplus: &softplus/1,
            silu: &silu/1,
            gelu: &gelu/1,
            gelu_by_tanh: &gelu_by_tanh/1,
            relu6: &relu6/1,
            leaky_relu: &leaky_relu/1,
            elu: &elu/1,
            mish: &mish/1,
            hard_sigmoid: &hard_sigmoid/1
          ] do
        {"activation #{name}", fun, [@signed]}
      end

    activations ++
      [
        {"affine of floats", &affine/1, [@signed]},
        {"affine of integers", &affine/1, [[1, -2, 3]]},
        {"affine of u8 wraps", &affine/1, [Nx.tensor([0, 100, 200], type: :u8)]},
        {"affine of bf16", &affine/1, [Nx.tensor(@signed, type: :bf16)]},
        {"affine of f64", &affine/1, [Nx.tensor(@signed, type: :f64)]},
        {"polynomial of floats", &polynomial/1, [@signed]},
        {"polynomial of integers", &polynomial/1, [[-3, 0, 4]]},
        {"circle", &circle/1, [@signed]},
        {"hyperbola", &hyperbola/1, [@unit]},
        {"inverse functions", &inverses/1, [@unit]},
        {"logarithms", &logs/1, [@positive]},
        {"roots", &roots/1, [@positive]},
        {"error functions", &error_functions/1, [@unit]},
        {"roundings", &roundings/1, [[-2.5, -1.5, -0.5, 0.5, 1.5, 2.4, 2.6]]},
        {"angles", &angles/2, [[1.0, -1.0, 0.5], [2.0, 0.25, -3.0]]},
        {"integer division", &integers/2, [[7, -7, 8, -8], [2, 2, -3, -3]]},
        {"bits of u8", &bits/1, [Nx.tensor([0, 1, 0x5A, 255], type: :u8)]},
        {"bits of s32", &bits/1, [[0, 1, -1, 12_345]]},
        {"comparisons", &comparisons/2, [[1, 2, 3], [2.0, 2.0, 2.0]]},
        {"logic", &logic/2, [[0, 1, 2, 0], [0.0, 0.0, 1.5, -1.0]]},
        {"extremes", &extremes/2, [[1.0, -4.0, 2.5], [0.0, 1.0, -2.0]]},
        {"non-finite numbers", &non_finite/1, [Nx.tensor([:nan, :infinity, -1.0, 0.0])]},
        {"constants", &constants/1, [[1.0, 2.0, 3.0]]},
        {"captured matrix", &captured_matrix/1, [[[1.0, 2.0], [3.0, 4.0]]]},
        {"captured scalar", &captured_scalar/1, [[1, 2, 3]]},
        {"casts to other widths", &upcast/1, [[1.5, -2.25, 100.0]]},
        {"casts to integers", &truncation/1, [[1.9, 2.5, 200.0]]},
        {"half floats", &half_sum/1, [@signed]},
        {"bitcasts", &bitcasts/1, [[1.0, -2.0, 0.0]]},
        {"complex arithmetic", &complex_arithmetic/2, complex_pair()},
        {"complex functions", &complex_functions/1, Enum.take(complex_pair(), 1)},
        {"complex from parts", &complex_from_parts/2, [[1.0, 2.0], [3.0, -4.0]]},
        {"shared subexpressions", &shared_subexpressions/1, [@signed]},
        {"deep sharing", &deep_sharing/1, [@unit]},
        {"standardised", &standardise/1, [[@signed, Enum.reverse(@signed)]]},
        {"unused argument", &unused_argument/2, [[1, 2], [3, 4]]},
        {"one result twice", &same_result_twice/1, [[1, 2]]},
        {"an argument as results", &argument_itself/1, [[1.5, 2.5]]},
        {"map of results", &map_of_results/2, [[1, 2], [3, 5]]},
        {"map of arguments", &map_of_arguments/1,
         [%{a: Nx.tensor([1.0, 2.0]), b: {Nx.tensor(3.0), Nx.tensor([0.5, -0.5])}}]}
      ]
  end

  defp complex_pair do
    [
      Nx.tensor([Complex.new(1, 2), Complex.new(-0.5, 0.25), Complex.new(0, -3)]),
      Nx.tensor([Complex.new(2, -1), Complex.new(1, 1), Complex.new(-4, 0.5)])
    ]
  end
end
