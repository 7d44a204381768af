defmodule Mlx.Programs.Gradients do
  @moduledoc "Derivatives that Nx builds: of elementwise functions, reductions, products, loops and branches."
  import Nx.Defn

  defn(of_square(x), do: grad(x, &Nx.sum(&1 * &1)))
  defn(of_product(x), do: grad(x, &Nx.sum(Nx.exp(&1) * Nx.sin(&1))))
  defn(of_quotient(x), do: grad(x, &Nx.sum((&1 + 1) / (&1 * &1 + 2))))
  defn(of_tanh(x), do: grad(x, &Nx.sum(Nx.tanh(&1))))
  defn(of_sigmoid(x), do: grad(x, &Nx.sum(Nx.sigmoid(&1))))
  defn(of_log(x), do: grad(x, &Nx.sum(Nx.log(&1))))
  defn(of_sqrt(x), do: grad(x, &Nx.sum(Nx.sqrt(&1))))
  defn(of_power(x), do: grad(x, &Nx.sum(&1 ** 3)))
  defn(of_erf(x), do: grad(x, &Nx.sum(Nx.erf(&1))))
  defn(of_abs(x), do: grad(x, &Nx.sum(Nx.abs(&1))))
  defn(of_max(x), do: grad(x, &Nx.reduce_max(&1)))
  defn(of_mean(x), do: grad(x, &Nx.mean(&1)))
  defn(of_variance(x), do: grad(x, &Nx.variance(&1)))
  defn(of_clip(x), do: grad(x, &Nx.sum(Nx.clip(&1, -1, 1) * &1)))
  defn(of_select(x), do: grad(x, &Nx.sum(Nx.select(&1 > 0, &1 * &1, &1))))
  defn(of_transpose(x), do: grad(x, &Nx.sum(Nx.transpose(&1) * Nx.iota({3, 2}))))
  defn(of_slice(x), do: grad(x, &Nx.sum(Nx.slice(&1, [0, 1], [2, 2]) ** 2)))
  defn(of_pad(x), do: grad(x, &Nx.sum(Nx.pad(&1, 1.0, [{1, 0, 0}, {0, 1, 0}]) ** 2)))
  defn(of_concatenate(x), do: grad(x, &Nx.sum(Nx.concatenate([&1, &1 * 2]) ** 2)))
  defn(of_gather(x), do: grad(x, &Nx.sum(Nx.take(&1, Nx.tensor([1, 0, 1])) ** 2)))
  defn(of_cumulative(x), do: grad(x, &Nx.sum(Nx.cumulative_sum(&1) ** 2)))
  defn(of_sort(x), do: grad(x, &Nx.sum(Nx.sort(&1) * Nx.iota({4}))))
  defn(of_window(x), do: grad(x, &Nx.sum(Nx.window_max(&1, {2}) ** 2)))
  defn(of_norm(x), do: grad(x, &Nx.LinAlg.norm(&1)))
  defn(of_log_sum_exp(x), do: grad(x, &Nx.logsumexp(&1)))
  defn(second_derivative(x), do: grad(x, fn x -> Nx.sum(grad(x, &Nx.sum(&1 ** 4))) end))
  defn(with_value(x), do: value_and_grad(x, &Nx.sum(Nx.cos(&1))))
  defn(stopped(x), do: grad(x, &Nx.sum(&1 * stop_grad(Nx.exp(&1)))))

  defn(of_two(x, y), do: grad({x, y}, fn {x, y} -> Nx.sum(x * y + Nx.sin(x)) end))
  defn(of_dot(x, w), do: grad(w, fn w -> Nx.sum(Nx.dot(x, w) ** 2) end))
  defn(of_conv(x, w), do: grad(w, fn w -> Nx.sum(Nx.conv(x, w) ** 2) end))
  defn(of_solve(a, b), do: grad(b, fn b -> Nx.sum(Nx.LinAlg.solve(a, b) ** 2) end))
  defn(of_determinant(a), do: grad(a, &Nx.LinAlg.determinant(&1)))

  defn(of_branch(x),
    do: grad(x, fn x -> if(Nx.sum(x) > 0, do: Nx.sum(x * x), else: Nx.sum(x)) end)
  )

  defn of_loop(x) do
    grad(x, fn x ->
      {x, _} = while({x, i = 0}, i < 3, do: {x * x, i + 1})
      Nx.sum(x)
    end)
  end

  defn cross_entropy(logits, labels) do
    grad(logits, fn logits ->
      log_probabilities = logits - Nx.logsumexp(logits, axes: [1], keep_axes: true)
      -Nx.mean(Nx.take_along_axis(log_probabilities, Nx.new_axis(labels, 1), axis: 1))
    end)
  end

  defn mlp_loss(params, x, y) do
    %{w1: w1, b1: b1, w2: w2, b2: b2} = params
    hidden = Nx.tanh(Nx.dot(x, w1) + b1)
    Nx.mean((Nx.dot(hidden, w2) + b2 - y) ** 2)
  end

  defn mlp_step(params, x, y) do
    {loss, gradients} = value_and_grad(params, &mlp_loss(&1, x, y))
    {loss, update(params, gradients)}
  end

  deftransformp update(params, gradients) do
    Map.new(params, fn {key, p} ->
      {key, Nx.subtract(p, Nx.multiply(0.1, Map.fetch!(gradients, key)))}
    end)
  end

  defn adam_step(x, m, v, t) do
    g = grad(x, &Nx.sum((&1 - 1) ** 2))
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    corrected = m / (1 - 0.9 ** t) / (Nx.sqrt(v / (1 - 0.999 ** t)) + 1.0e-8)
    {x - 0.01 * corrected, m, v}
  end

  @x [0.5, -1.25, 2.0]
  @positive [0.5, 1.25, 2.0]
  @matrix [[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]]
  @square [[3.0, 1.0], [1.0, 2.0]]

  def all do
    [
      {"gradient of a square", &of_square/1, [@x]},
      {"gradient of a product", &of_product/1, [@x]},
      {"gradient of a quotient", &of_quotient/1, [@x]},
      {"gradient of tanh", &of_tanh/1, [@x]},
      {"gradient of sigmoid", &of_sigmoid/1, [@x]},
      {"gradient of log", &of_log/1, [@positive]},
      {"gradient of sqrt", &of_sqrt/1, [@positive]},
      {"gradient of a power", &of_power/1, [@x]},
      {"gradient of erf", &of_erf/1, [@x]},
      {"gradient of abs", &of_abs/1, [@x]},
      {"gradient of the largest", &of_max/1, [@x]},
      {"gradient of the mean", &of_mean/1, [@x]},
      {"gradient of the variance", &of_variance/1, [@x]},
      {"gradient of clip", &of_clip/1, [@x]},
      {"gradient of select", &of_select/1, [@x]},
      {"gradient of transpose", &of_transpose/1, [@matrix]},
      {"gradient of slice", &of_slice/1, [@matrix]},
      {"gradient of pad", &of_pad/1, [@matrix]},
      {"gradient of concatenate", &of_concatenate/1, [@x]},
      {"gradient of take", &of_gather/1, [@x]},
      {"gradient of a running sum", &of_cumulative/1, [@x]},
      {"gradient of sort", &of_sort/1, [[3.0, 1.0, 2.0, 0.5]]},
      {"gradient of windows", &of_window/1, [@x]},
      {"gradient of a norm", &of_norm/1, [@x]},
      {"gradient of log-sum-exp", &of_log_sum_exp/1, [@x]},
      {"second derivative", &second_derivative/1, [@x]},
      {"value and gradient", &with_value/1, [@x]},
      {"stopped gradient", &stopped/1, [@x]},
      {"gradient of two", &of_two/2, [@x, @positive]},
      {"gradient of a matrix product", &of_dot/2, [@matrix, [[1.0], [0.5], [-2.0]]]},
      {"gradient of a convolution", &of_conv/2,
       [Nx.reshape(Nx.tensor(@matrix), {1, 1, 6}), Nx.tensor([[[0.5, -1.0]]])]},
      {"gradient of solve", &of_solve/2, [@square, [1.0, -1.0]]},
      {"gradient of a determinant", &of_determinant/1, [@square]},
      {"gradient of a branch", &of_branch/1, [@x]},
      {"gradient of the other branch", &of_branch/1, [[-1.0, -2.0]]},
      {"gradient of a loop", &of_loop/1, [[0.5, 1.25]]},
      {"gradient of cross entropy", &cross_entropy/2, [@matrix, [2, 0]]},
      {"step of gradient descent", &mlp_step/3, [params(), @matrix, [[1.0], [0.0]]]},
      {"step of Adam", &adam_step/4, [@x, [0.1, 0.2, 0.3], [0.01, 0.02, 0.03], 2]}
    ]
  end

  defp params do
    %{
      w1: Nx.tensor([[0.1, -0.2], [0.4, 0.3], [-0.5, 0.2]]),
      b1: Nx.tensor([0.01, -0.02]),
      w2: Nx.tensor([[0.7], [-0.6]]),
      b2: Nx.tensor([0.05])
    }
  end
end
