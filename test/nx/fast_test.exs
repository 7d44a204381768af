defmodule Mlx.FastTest do
  use ExUnit.Case, async: true

  import Nx.Defn

  alias Mlx.Fast

  doctest Mlx.Fast

  @x Nx.divide(Nx.iota({2, 4}, type: :f32), 3)
  @weight Nx.tensor([1.0, 2.0, 0.5, -1.0])

  defn(norm(x, weight), do: Fast.rms_norm(x, weight) |> Fast.layer_norm(weight, bias: x[0]))
  defn(slopes(x, weight), do: grad(x, fn x -> Nx.sum(Nx.sin(norm(x, weight))) end))

  defp near?(a, b), do: Nx.all_close(a, b, atol: 1.0e-4) |> Nx.to_number() == 1

  test "functions and their gradients are the same under any compiler, on tensors of any backend" do
    x = Nx.backend_copy(@x, Nx.BinaryBackend)
    weight = Nx.backend_copy(@weight, Nx.BinaryBackend)

    for fun <- [&norm/2, &slopes/2] do
      wanted = Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator).(x, weight)
      assert near?(Nx.Defn.jit(fun, compiler: Mlx.Compiler).(@x, @weight), wanted)
      assert near?(Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator).(@x, @weight), wanted)
    end

    loss = fn x -> Nx.sum(Nx.sin(norm(x, @weight))) end
    assert near?(Mlx.grad(loss).(@x), slopes(@x, @weight))
  end

  defn(attention(q, k), do: Fast.scaled_dot_product_attention(q, k, k, mask: :causal))
  defn(shares(q, _k), do: Mlx.NN.softmax(q, axis: 1))

  test "attention and softmax are the same under any compiler, and so are their gradients" do
    {q, _} = Nx.Random.normal(Nx.Random.key(1), shape: {1, 2, 3, 4})
    {k, _} = Nx.Random.normal(Nx.Random.key(2), shape: {1, 1, 3, 4})

    for fun <- [&attention/2, &shares/2] do
      loss = fn q, k -> Nx.sum(Nx.sin(fun.(q, k))) end
      slopes = fn q, k -> Nx.Defn.grad({q, k}, fn {q, k} -> loss.(q, k) end) end
      # Outside of defn they are the core's own.
      wanted = fun.(q, k)
      {by_q, by_k} = Mlx.grad(fn {q, k} -> loss.(q, k) end).({q, k})

      for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
        assert near?(Nx.Defn.jit(fun, compiler: compiler).(q, k), wanted)
        {slopes_q, slopes_k} = Nx.Defn.jit(slopes, compiler: compiler).(q, k)
        assert near?(slopes_q, by_q) and near?(slopes_k, by_k)
      end
    end
  end

  test "a compiled norm is one op of the core" do
    program = Mlx.Compiler.to_program(fn x, w -> Fast.rms_norm(x, w) end, [@x, @weight])
    text = to_string(program)
    assert text =~ "fast:rms_norm"
    refute text =~ "rsqrt"
  end

  test "masks are words or tensors" do
    {q, k, v} =
      {Nx.iota({1, 2, 3, 4}, type: :f32), Nx.iota({1, 1, 3, 4}, type: :f32),
       Nx.iota({1, 1, 3, 4}, type: :f32)}

    seen = Nx.tril(Nx.broadcast(Nx.u8(1), {3, 3})) |> Nx.as_type(:u8)
    causal = Fast.scaled_dot_product_attention(q, k, v, mask: :causal)
    assert near?(causal, Fast.scaled_dot_product_attention(q, k, v, mask: seen))
    refute near?(causal, Fast.scaled_dot_product_attention(q, k, v))

    assert_raise ArgumentError, fn ->
      Fast.scaled_dot_product_attention(q, k, v, mask: :causel)
    end

    # Added as numbers they would hide nothing.
    assert_raise ArgumentError, ~r/a mask is u8 .* got s32/, fn ->
      Fast.scaled_dot_product_attention(q, k, v, mask: Nx.as_type(seen, :s32))
    end

    assert_raise ArgumentError, ~r/\[rms_norm\] expected each option once/, fn ->
      Fast.rms_norm(q, nil, eps: 0.0, eps: 1.0)
    end

    assert_raise ArgumentError, ~r/scales beside the words/, fn -> Fast.dequantize(q) end
  end

  test "offsets are numbers or tensors" do
    x = Nx.iota({1, 3, 4}, type: :f32)
    options = [dims: 4, base: 100.0]

    assert near?(
             Fast.rope(x, [offset: 7] ++ options),
             Fast.rope(x, [offset: Nx.tensor(7)] ++ options)
           )
  end

  test "matrices are quantized inside of defn, by any compiler" do
    {w, _} = Nx.Random.normal(Nx.Random.key(1), shape: {4, 64})

    for options <- [[], [bits: 3, group_size: 32], [mode: "mxfp8"], [mode: "nvfp4"]],
        compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      got = Nx.Defn.jit(&Fast.quantize(&1, options), compiler: compiler).(w)
      wanted = Fast.quantize(w, options)

      for {a, b} <- Enum.zip(Tuple.to_list(got), Tuple.to_list(wanted)),
          do: assert({a.type, Nx.to_flat_list(a)} == {b.type, Nx.to_flat_list(b)})
    end
  end

  test "types are named as Nx names them" do
    {words, scales, biases} = Fast.quantize(Nx.iota({2, 64}, type: :f32))

    for type <- [:f16, {:f, 16}],
        do: assert(Fast.dequantize(words, scales, biases: biases, dtype: type).type == {:f, 16})

    assert_raise ArgumentError, fn ->
      Fast.dequantize(words, scales, biases: biases, dtype: :f15)
    end
  end

  test "quantized products are those of the dequantized matrix, also in gradients" do
    {w, _} = Nx.Random.normal(Nx.Random.key(1), shape: {8, 64})
    {x, _} = Nx.Random.normal(Nx.Random.key(2), shape: {3, 64})

    for options <- [[], [bits: 8, group_size: 32], [mode: "mxfp8"], [mode: :mxfp4]] do
      {words, scales, more} =
        case Fast.quantize(w, options) do
          {words, scales, biases} -> {words, scales, [biases: biases]}
          {words, scales} -> {words, scales, []}
        end

      dense = Fast.dequantize(words, scales, more ++ options) |> Nx.as_type(:f32)

      product = fn x, {words, scales, more} ->
        Fast.quantized_matmul(x, words, scales, more ++ options)
      end

      assert near?(product.(x, {words, scales, more}), Nx.dot(x, Nx.transpose(dense)))
      # What a function takes from elsewhere can't be a handle.
      packed =
        Enum.map([words, scales | Keyword.values(more)], &Nx.backend_copy(&1, Nx.BinaryBackend))

      loss = fn x ->
        [words, scales | biases] = packed
        Nx.sum(product.(x, {words, scales, for(b <- biases, do: {:biases, b})}))
      end

      assert near?(Mlx.grad(loss).(x), Nx.broadcast(Nx.sum(dense, axes: [0]), {3, 64}))
    end
  end
end
