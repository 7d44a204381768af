if Code.ensure_loaded?(Axon) do
  defmodule Mlx.Axon.Layers do
    # What layers of optimized and quantized models call. Types and shapes are known here, while a `defn` is traced: what does not fit
    # a function of `Mlx.Fast` goes the way that it went before.
    @moduledoc false

    alias Mlx.Fast
    alias Nx.Tensor, as: T

    ## Norms and softmax

    def layer_norm(x, gamma, beta, options) do
      if real?([x, gamma, beta]) and last_axis?(x, options),
        do: Fast.layer_norm(x, gamma, bias: beta, eps: options[:epsilon]),
        else: Axon.Layers.layer_norm(x, gamma, beta, options)
    end

    def rms_norm(x, gamma, options) do
      if real?([x, gamma]) and last_axis?(x, options) do
        {x, gamma} = upcast(x, gamma, options[:upcast])
        shifted = if options[:shift] == 0, do: gamma, else: Nx.add(gamma, options[:shift])
        Fast.rms_norm(x, shifted, eps: options[:epsilon])
      else
        Axon.Layers.rms_norm(x, gamma, options)
      end
    end

    # Sums are in f32 at least, so that only the type of the result is left.
    defp upcast(x, gamma, :all), do: {Nx.as_type(x, :f32), Nx.as_type(gamma, :f32)}
    defp upcast(x, gamma, :normalization), do: {x, gamma}

    def softmax(x, options) do
      axis = Keyword.get(options, :axis, -1)

      if is_integer(axis) and not complex?(x) do
        # Losses take the logits from here.
        Nx.Defn.Expr.metadata(Mlx.NN.softmax(x, axis: axis), %{logits: x})
      else
        Axon.Layers.softmax(x, options)
      end
    end

    ## Transformers

    @doc "`{batch, length, heads, size}` each; `plain` is what computes the values of the weights, as the layer did before."
    def attention(
          {plain, rate, attention},
          weights,
          value,
          {query, key, _, head, bias, _} = rest,
          options
        ) do
      tensors = [query, key, value | List.wrap(present(bias))]

      fused? =
        present(head) == nil and (options[:mode] == :inference or rate == 0) and real?(tensors) and
          Enum.all?(tensors, &(&1.type == query.type))

      if fused? do
        [q, k, v] = Enum.map([query, key, value], &Nx.transpose(&1, axes: [0, 2, 1, 3]))
        scale = if attention[:scale], do: [scale: attention[:scale]], else: []

        q
        |> Fast.scaled_dot_product_attention(k, v, scale ++ mask(rest, attention))
        |> Nx.transpose(axes: [0, 2, 1, 3])
      else
        plain.(weights, value, options)
      end
    end

    defp mask({query, key, seen, _head, bias, offset}, attention) do
      length = Nx.axis_size(query, 1)

      near =
        near(length, Nx.axis_size(key, 1), offset, attention[:causal], attention[:window_size])

      seen = present(seen) && by_head(seen)
      bias = present(bias)

      cond do
        near == :causal and seen == nil and bias == nil -> [mask: :causal]
        near == nil and seen == nil -> if(bias, do: [mask: bias], else: [])
        true -> [mask: added(query, both(seen, matrix(near, length)), bias)]
      end
    end

    # What a mask hides gets the least number there is, not minus infinity: queries that see no key see all of them alike.
    defp added(query, seen, bias) do
      least = Nx.Constants.min_finite(query.type)
      bias = bias || Nx.tensor(0, type: query.type)
      shape = broadcast(seen.shape, bias.shape)
      Nx.select(Nx.broadcast(seen, shape), bias, least)
    end

    defp broadcast(shape, {}), do: shape

    defp broadcast(left, right),
      do: Enum.zip_with(Tuple.to_list(left), Tuple.to_list(right), &max/2) |> List.to_tuple()

    defp both(nil, near), do: near
    defp both(seen, nil), do: seen
    defp both(seen, near), do: Nx.logical_and(seen, near)

    defp by_head(%T{shape: {batch, length}} = seen), do: Nx.reshape(seen, {batch, 1, 1, length})
    defp by_head(seen), do: seen

    # Which keys each query sees by how far they are, or nil where that does not matter.
    defp near(_length, _keys, _offset, false, nil), do: nil
    defp near(length, length, %Axon.None{}, true, nil), do: :causal

    defp near(length, keys, offset, causal, window) do
      first = present(offset) || 0
      rows = Nx.add(Nx.iota({length, 1}), first)
      distance = Nx.subtract(rows, Nx.iota({1, keys}))

      case {causal, window} do
        {true, nil} -> Nx.greater_equal(distance, 0)
        {true, {left, _right}} -> within(distance, left, 0)
        {false, {left, right}} -> within(distance, left, right)
      end
    end

    defp within(distance, left, right),
      do: Nx.logical_and(Nx.less_equal(distance, left), Nx.greater_equal(distance, -right))

    defp matrix(nil, _length), do: nil

    defp matrix(:causal, length),
      do: Nx.iota({length, 1}) |> Nx.greater_equal(Nx.iota({1, length})) |> matrix(length)

    defp matrix(near, length), do: Nx.reshape(near, {1, 1, length, Nx.axis_size(near, 1)})

    @doc "`{batch, length, heads, size}` each; `plain` is what the layer did before."
    def rotary(plain, query, key, position_ids, attention_mask, options) do
      scale = position_scale(options[:scaling_strategy])

      if scale && counted?(position_ids) && options[:size] == Nx.axis_size(query, -1) &&
           real?([query, key]) do
        rope = [dims: options[:size], base: options[:base] / 1, scale: scale]
        {turn(query, rope), turn(key, rope)}
      else
        plain.(query, key, position_ids, attention_mask, options)
      end
    end

    defp turn(x, rope) do
      x
      |> Nx.transpose(axes: [0, 2, 1, 3])
      |> Fast.rope(rope)
      |> Nx.transpose(axes: [0, 2, 1, 3])
    end

    defp position_scale(nil), do: 1.0
    defp position_scale(%{type: :linear, factor: factor}) when is_number(factor), do: 1 / factor
    defp position_scale(_other), do: nil

    # Whether the positions are 0, 1, 2, … in each row, told from how they are computed. Axon marks what layers answer.
    defp counted?(%T{shape: {_batch, _length}, data: %{op: :iota, args: [1]}}), do: true
    defp counted?(%T{data: %{op: :metadata, args: [inner, _marks]}}), do: counted?(inner)
    defp counted?(_given), do: false

    ## Quantized matrices

    @doc "`parts` are the words, scales and what else the form has, and a bias where there is one."
    def quantized_dense(form, x, parts) do
      {words, scales, biases, rest} = parts(form, parts)
      x = if real?([x]), do: x, else: Nx.as_type(x, form.type)
      y = Fast.quantized_matmul(x, words, scales, biases ++ form.options)
      Enum.reduce(rest, y, &Nx.add(&2, &1))
    end

    def quantized_embedding(form, ids, parts) do
      {words, scales, biases, []} = parts(form, parts)
      flat = Nx.flatten(ids)

      [words, scales | taken] =
        Enum.map([words, scales | Keyword.values(biases)], &Nx.take(&1, flat, axis: 0))

      biases = for biases <- taken, do: {:biases, biases}
      # Scales of floats tell the type; others stand for matrices of the one that was quantized.
      type = if biases == [], do: [dtype: form.type], else: []
      rows = Fast.dequantize(words, scales, biases ++ type ++ form.options)
      Nx.reshape(rows, Tuple.insert_at(ids.shape, tuple_size(ids.shape), Nx.axis_size(rows, -1)))
    end

    defp parts(%{biases?: true}, [words, scales, biases | rest]),
      do: {words, scales, [biases: biases], rest}

    defp parts(_form, [words, scales | rest]), do: {words, scales, [], rest}

    ## What fits

    @real [f: 16, bf: 16, f: 32, f: 64]
    defp real?(tensors), do: Enum.all?(tensors, &(&1.type in @real))

    defp complex?(%T{type: {kind, _}}), do: kind == :c

    defp last_axis?(x, options) do
      index = Keyword.get(options, :channel_index, -1)
      tuple_size(x.shape) > 1 and index in [-1, tuple_size(x.shape) - 1]
    end

    defp present(%Axon.None{}), do: nil
    defp present(tensor), do: tensor
  end
end
