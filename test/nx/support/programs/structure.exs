defmodule Mlx.Programs.Structure do
  @moduledoc "Shapes, indices, joins, reductions, windows, sorting, contractions and convolutions."
  import Nx.Defn

  defn(reshapes(x), do: {Nx.reshape(x, {3, 2}), Nx.flatten(x), Nx.new_axis(x, 1)})
  defn(transposes(x), do: {Nx.transpose(x), Nx.transpose(x) + Nx.iota({3, 2})})
  defn(broadcasts(x), do: {Nx.broadcast(x, {2, 3}), x + Nx.iota({4, 1})})
  defn(reversals(x), do: {Nx.reverse(x), Nx.reverse(x, axes: [1])})

  defn(paddings(x),
    do: {Nx.pad(x, 0, [{1, 2, 0}, {0, 1, 1}]), Nx.pad(x, -1, [{-1, 0, 0}, {0, 0, 0}])}
  )

  defn(iotas(x), do: x + Nx.iota({2, 3}) * Nx.iota({2, 3}, axis: 0) - Nx.eye({2, 3}))

  defn(joins(x, y),
    do: {Nx.concatenate([x, y]), Nx.concatenate([x, y], axis: 1), Nx.stack([x, y])}
  )

  defn(tiles(x), do: {Nx.tile(x, [2, 2]), Nx.tile(x, [3, 1, 1])})
  defn(diagonals(x), do: {Nx.take_diagonal(x), Nx.make_diagonal(x[0]), Nx.tril(x), Nx.triu(x)})

  defn(access(x), do: {x[0], x[[1, 2]], x[[0..1, 1]], x[-1]})
  defn(slices(x), do: {Nx.slice(x, [0, 1], [2, 2]), Nx.slice(x, [0, 0], [2, 3], strides: [1, 2])})
  defn(slice_at(x, i), do: Nx.slice(x, [i, 0], [1, 3]))
  defn(slice_at_end(x, i), do: Nx.slice_along_axis(x, i, 2, axis: 1))
  defn(put(x, i), do: Nx.put_slice(x, [i, 1], Nx.tensor([[90, 91]])))
  defn(takes(x, i), do: {Nx.take(x, i), Nx.take(x, i, axis: 1)})
  defn(take_each(x, i), do: Nx.take_along_axis(x, i, axis: 1))
  defn(gathers(x, i), do: {Nx.gather(x, i), Nx.gather(x, i[[.., 0..0]], axes: [0])})
  defn(indexed(x, i, u), do: {Nx.indexed_add(x, i, u), Nx.indexed_put(x, i, u)})

  defn one_hot(labels) do
    Nx.equal(Nx.new_axis(labels, 1), Nx.iota({1, 4}))
  end

  defn(sums(x), do: {Nx.sum(x), Nx.sum(x, axes: [0]), Nx.sum(x, axes: [1], keep_axes: true)})
  defn(products(x), do: {Nx.product(x), Nx.product(x, axes: [1])})
  defn(means(x), do: {Nx.mean(x), Nx.variance(x, axes: [0]), Nx.standard_deviation(x, ddof: 1)})
  defn(largest(x), do: {Nx.reduce_max(x), Nx.argmax(x), Nx.argmax(x, axis: 1, tie_break: :high)})
  defn(smallest(x), do: {Nx.reduce_min(x, axes: [0]), Nx.argmin(x, axis: 0), Nx.argmin(x)})
  defn(truths(x), do: {Nx.all(x), Nx.any(x), Nx.all(x, axes: [1]), Nx.any(x, axes: [0])})
  defn(medians(x), do: {Nx.median(x), Nx.median(x, axis: 1), Nx.mode(x)})
  defn(folds(x), do: Nx.reduce(x, 1, [axes: [1]], fn a, b -> a * 2 + b end))
  defn(fold_of_all(x), do: Nx.reduce(x, 0, fn a, b -> Nx.max(a, b) + 1 end))
  defn(running(x), do: {Nx.cumulative_sum(x, axis: 1), Nx.cumulative_product(x, axis: 0)})
  defn(running_back(x), do: {Nx.cumulative_max(x, axis: 1), Nx.cumulative_min(x, reverse: true)})
  defn(log_sum_exp(x), do: {Nx.logsumexp(x), Nx.logsumexp(x, axes: [1])})

  defn softmax(x) do
    shifted = Nx.exp(x - Nx.reduce_max(x, axes: [-1], keep_axes: true))
    shifted / Nx.sum(shifted, axes: [-1], keep_axes: true)
  end

  defn layer_norm(x, gamma, beta) do
    mean = Nx.mean(x, axes: [-1], keep_axes: true)
    variance = Nx.variance(x, axes: [-1], keep_axes: true)
    (x - mean) * Nx.rsqrt(variance + 1.0e-5) * gamma + beta
  end

  defn window_sums(x) do
    {Nx.window_sum(x, {2, 2}), Nx.window_mean(x, {1, 3}, padding: :same),
     Nx.window_max(x, {2, 1}, strides: [2, 1]),
     Nx.window_min(x, {1, 2}, window_dilations: [1, 2])}
  end

  defn(window_folds(x), do: Nx.window_reduce(x, 0, {2, 2}, fn a, b -> Nx.max(a, b) end))

  defn(scatters(x, u),
    do: Nx.window_scatter_max(x, u, 0, {1, 2}, strides: [1, 2], padding: :valid)
  )

  defn(sorts(x), do: {Nx.sort(x, axis: 1), Nx.sort(x, axis: 0, direction: :desc)})
  defn(orders(x), do: {Nx.argsort(x, axis: 1), Nx.argsort(x, axis: 1, direction: :desc)})
  defn(top(x), do: Nx.top_k(x, k: 2))

  defn(dots(x, y),
    do: {Nx.dot(x, y), Nx.dot(Nx.transpose(y), Nx.transpose(x)), Nx.outer(x[0], y)}
  )

  defn(batched_dot(x, y), do: Nx.dot(x, [2], [0], y, [1], [0]))
  defn(integer_dot(x, y), do: Nx.dot(x, y))
  defn(inner(x, y), do: Nx.dot(x, y))
  defn(cosine(x, y), do: Nx.dot(x, y) / Nx.sqrt(Nx.dot(x, x) * Nx.dot(y, y)))

  defn attention(q, k, v) do
    scores = Nx.dot(q, [1], k, [1]) / Nx.sqrt(Nx.axis_size(q, 1))
    Nx.dot(softmax(scores), v)
  end

  defn causal_attention(q, k, v) do
    scores = Nx.dot(q, [1], k, [1])
    mask = Nx.iota(Nx.shape(scores), axis: 0) >= Nx.iota(Nx.shape(scores), axis: 1)
    Nx.dot(softmax(Nx.select(mask, scores, -1.0e9)), v)
  end

  defn(conv1(x, w), do: Nx.conv(x, w, padding: :same))
  defn(conv2(x, w), do: {Nx.conv(x, w), Nx.conv(x, w, strides: [2, 1], padding: :same)})
  defn(conv2_dilated(x, w), do: Nx.conv(x, w, kernel_dilation: 2, padding: [{1, 1}, {2, 2}]))
  defn(conv_groups(x, w), do: Nx.conv(x, w, feature_group_size: 2))
  defn(fourier(x), do: {Nx.fft(x), Nx.real(Nx.ifft(Nx.fft(x))), Nx.rfft(x)})
  defn(fourier2(x), do: Nx.abs(Nx.fft2(x)))

  @matrix [[1, 5, 3], [4, 2, 6]]
  @floats [[0.5, -1.25, 3.0], [2.0, 0.75, -0.5]]
  @square [[1, 2, 3], [4, 5, 6], [7, 8, 9]]

  def all do
    [
      {"reshapes", &reshapes/1, [@matrix]},
      {"transposes", &transposes/1, [@matrix]},
      {"broadcasts", &broadcasts/1, [[1, 2, 3]]},
      {"reversals", &reversals/1, [@matrix]},
      {"paddings", &paddings/1, [@matrix]},
      {"iotas and eye", &iotas/1, [@floats]},
      {"joins", &joins/2, [@matrix, @floats]},
      {"tiles", &tiles/1, [@matrix]},
      {"diagonals", &diagonals/1, [@square]},
      {"access by index", &access/1, [@matrix]},
      {"slices", &slices/1, [@matrix]},
      {"slice at a computed place", &slice_at/2, [@matrix, 1]},
      {"slice beyond the end", &slice_at_end/2, [@matrix, 5]},
      {"put slice", &put/2, [@square, 2]},
      {"take", &takes/2, [@square, [[2, 0], [1, 1]]]},
      {"take along an axis", &take_each/2, [@matrix, [[2, 0], [1, 1]]]},
      {"gather", &gathers/2, [@square, [[0, 1], [2, 2]]]},
      {"indexed add and put", &indexed/3, [@square, [[0, 1], [2, 0]], [10, 20]]},
      {"one hot", &one_hot/1, [[2, 0, 3]]},
      {"sums", &sums/1, [@matrix]},
      {"sums of floats", &sums/1, [@floats]},
      {"products", &products/1, [@matrix]},
      {"means and variances", &means/1, [@floats]},
      {"largest", &largest/1, [[[1, 7, 7], [4, 7, 6]]]},
      {"smallest", &smallest/1, [@floats]},
      {"truths", &truths/1, [[[1, 0, 3], [4, 2, 6]]]},
      {"medians", &medians/1, [@matrix]},
      {"fold by a function", &folds/1, [@matrix]},
      {"fold of all elements", &fold_of_all/1, [@matrix]},
      {"running sums and products", &running/1, [@floats]},
      {"running extremes", &running_back/1, [@matrix]},
      {"log-sum-exp", &log_sum_exp/1, [@floats]},
      {"softmax", &softmax/1, [@floats]},
      {"layer norm", &layer_norm/3, [@floats, [1.0, 0.5, 2.0], [0.0, 0.1, -0.1]]},
      {"windows", &window_sums/1, [@square]},
      {"windows by a function", &window_folds/1, [@square]},
      {"window scatter", &scatters/2, [[[1, 2, 3, 4], [8, 7, 6, 5]], [[10, 20], [30, 40]]]},
      {"sorts", &sorts/1, [@floats]},
      {"orders", &orders/1, [@matrix]},
      {"top two", &top/1, [@floats]},
      {"matrix products", &dots/2, [@floats, [[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]]},
      {"batched products", &batched_dot/2, [cube(), cube()]},
      {"products of integers", &integer_dot/2, [@matrix, @square]},
      {"inner product", &inner/2, [[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]},
      {"cosine similarity", &cosine/2, [[1.0, 2.0, 3.0], [0.5, -1.0, 2.0]]},
      {"attention", &attention/3, [@floats, @floats, @matrix]},
      {"causal attention", &causal_attention/3, [@floats, @floats, @floats]},
      {"convolution of lines", &conv1/2, [signal({1, 2, 6}), signal({3, 2, 3})]},
      {"convolution of images", &conv2/2, [signal({1, 2, 4, 5}), signal({2, 2, 2, 2})]},
      {"dilated convolution", &conv2_dilated/2, [signal({1, 1, 5, 5}), signal({1, 1, 2, 2})]},
      {"grouped convolution", &conv_groups/2, [signal({1, 4, 3, 3}), signal({4, 2, 2, 2})]},
      {"Fourier transforms", &fourier/1, [[1.0, 2.0, 0.5, -1.0]]},
      {"Fourier transform of an image", &fourier2/1, [@floats]}
    ]
  end

  defp cube, do: signal({2, 3, 3})

  defp signal(shape) do
    count = Tuple.product(shape)
    values = for i <- 1..count, do: rem(i * 7, 11) / 4 - 1
    values |> Nx.tensor() |> Nx.reshape(shape)
  end
end
