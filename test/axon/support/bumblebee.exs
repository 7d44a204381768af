defmodule Bumblebee.Layers do
  @moduledoc """
  Stands for Bumblebee in tests: layers whose functions have the names, operands and options of Bumblebee's, written anew.
  """

  import Nx.Defn

  def rms_norm(x, options \\ []) do
    options = Keyword.validate!(options, shift: 0.0, epsilon: 1.0e-6, upcast: :normalization)
    {upcast, options} = Keyword.pop!(options, :upcast)

    fun =
      if upcast == :all,
        do: &rms_norm_impl_upcast_all/3,
        else: &rms_norm_impl_upcast_normalization/3

    weight = Axon.param("weight", fn shape -> {elem(shape, tuple_size(shape) - 1)} end)
    Axon.layer(fun, [x, weight], [name: "norm", op_name: :rms_norm] ++ options)
  end

  defnp rms_norm_impl_upcast_normalization(x, weight, options \\ []) do
    Nx.as_type(normalized(x, options), Nx.type(x)) * (options[:shift] + weight)
  end

  defnp rms_norm_impl_upcast_all(x, weight, options \\ []) do
    normalized(x, options) * (options[:shift] + Nx.as_type(weight, :f32))
  end

  defnp normalized(x, options) do
    x = Nx.as_type(x, :f32)
    x / Nx.sqrt(Nx.mean(x * x, axes: [-1], keep_axes: true) + options[:epsilon])
  end

  def dense_transposed(x, units) do
    kernel =
      Axon.param("kernel", fn shape -> {units, elem(shape, tuple_size(shape) - 1)} end)

    Axon.layer(&dense_transposed_impl/3, [x, kernel], name: "head", op_name: :dense_transposed)
  end

  deftransformp(dense_transposed_impl(x, kernel, _options), do: Nx.dot(x, [-1], kernel, [1]))

  def attention(query, key, value, key_mask, head_mask, bias, offset, options \\ []) do
    options =
      Keyword.validate!(options, [:window_size, :scale, causal: false, dropout_rate: 0.0])

    optional = Enum.map([key_mask, head_mask, bias, offset], &Axon.optional/1)
    given = for key <- [:causal, :window_size, :scale], do: {key, options[key]}

    weights =
      Axon.layer(&attention_weights_impl/7, [query, key | optional], given)
      |> Axon.dropout(rate: options[:dropout_rate])

    {Axon.layer(&attention_output_impl/3, [weights, value], options), weights}
  end

  deftransformp attention_weights_impl(q, k, key_mask, head_mask, bias, offset, options) do
    scale = options[:scale] || 1 / :math.sqrt(Nx.axis_size(q, 3))
    [q, k] = Enum.map([q, k], &Nx.transpose(&1, axes: [0, 2, 1, 3]))
    scores = q |> Nx.dot([3], [0, 1], k, [3], [0, 1]) |> Nx.multiply(scale)
    {rows, columns} = {Nx.axis_size(q, 2), Nx.axis_size(k, 2)}
    first = if is_struct(offset, Axon.None), do: 0, else: offset
    distance = Nx.subtract(Nx.add(Nx.iota({rows, 1}), first), Nx.iota({1, columns}))

    {left, right} = options[:window_size] || {columns + 1_000, columns + 1_000}
    right = if options[:causal], do: 0, else: right
    near = Nx.logical_and(Nx.less_equal(distance, left), Nx.greater_equal(distance, -right))

    seen =
      case key_mask do
        %Axon.None{} -> Nx.broadcast(1, {1, 1, 1, 1})
        %{shape: {batch, length}} -> Nx.reshape(key_mask, {batch, 1, 1, length})
        key_mask -> key_mask
      end

    seen = seen |> Nx.logical_and(Nx.reshape(near, {1, 1, rows, columns})) |> Nx.broadcast(scores)
    bias = if is_struct(bias, Axon.None), do: Nx.tensor(0, type: q.type), else: bias

    weights =
      seen
      |> Nx.select(Nx.broadcast(bias, scores), Nx.Constants.min_finite(q.type))
      |> Nx.add(scores)
      |> Axon.Activations.softmax(axis: -1)

    if is_struct(head_mask, Axon.None),
      do: weights,
      else: Nx.multiply(weights, Nx.reshape(head_mask, {1, :auto, 1, 1}))
  end

  deftransformp attention_output_impl(weights, value, _options) do
    value = Nx.transpose(value, axes: [0, 2, 1, 3])
    weights |> Nx.dot([3], [0, 1], value, [2], [0, 1]) |> Nx.transpose(axes: [0, 2, 1, 3])
  end

  def rotary_embedding(query, key, position_ids, size, options \\ []) do
    options = Keyword.validate!(options, [:scaling_strategy, max_positions: 2048, base: 10_000])
    inputs = [query, key, position_ids, Axon.optional(Axon.layer(fn _ -> %Axon.None{} end, []))]
    Axon.layer(&apply_rotary_embedding/5, inputs, [size: size] ++ options)
  end

  deftransformp apply_rotary_embedding(query, key, position_ids, _mask, options) do
    half = div(options[:size], 2)
    slowness = Nx.pow(options[:base], Nx.divide(Nx.iota({half}), half))
    factor = if scaling = options[:scaling_strategy], do: scaling.factor, else: 1
    angles = position_ids |> Nx.divide(factor) |> Nx.new_axis(-1) |> Nx.divide(slowness)
    angles = Nx.new_axis(angles, 2)
    {turn(query, angles, half), turn(key, angles, half)}
  end

  deftransformp turn(x, angles, half) do
    {a, b} = {x[[.., .., .., 0..(half - 1)]], x[[.., .., .., half..-1//1]]}
    {cos, sin} = {Nx.cos(angles), Nx.sin(angles)}

    Nx.concatenate(
      [
        Nx.subtract(Nx.multiply(a, cos), Nx.multiply(b, sin)),
        Nx.add(Nx.multiply(b, cos), Nx.multiply(a, sin))
      ],
      axis: -1
    )
  end
end
