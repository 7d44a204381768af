defmodule Mlx.Fast do
  @moduledoc """
  Fused and quantized functions under the names of `mlx.core.fast` and `mlx.core`, from the definitions of the C++ library.

  They take tensors of any backend, inside of `defn` and outside. Under `Mlx.Compiler`, and on tensors of `Mlx.Backend`, they are ops
  with kernels of their own; other compilers get the ops that they are made of. `Nx.Defn.grad` and `Mlx.grad` differentiate through
  them. 16-bit floats are summed in f32, f64 stays f64.

  Operands that may be left out are options. All raise `ArgumentError` for shapes that do not fit and options that they do not have.
  """

  import Mlx.NN.Functions

  alias Mlx.Quantized

  @doc """
  Rows over the root of their mean square, times `weight`. mlx: `fast.rms_norm`.

  ## Options

    * `:eps` - added to the mean square, default 1.0e-5

  ## Examples

      iex> Mlx.Fast.rms_norm(Nx.tensor([3.0, 3.0]), Nx.tensor([1.0, 2.0]), eps: 0.0) |> Nx.to_list() |> Enum.map(&Float.round(&1, 3))
      [1.0, 2.0]
  """
  defrow(:fast, :rms_norm, [:x, :weight], [:eps])

  @doc """
  Rows less their mean, over the root of their variance, times `weight`, plus `:bias`. mlx: `fast.layer_norm`.

  ## Options

    * `:bias` - a tensor as long as rows; default: none
    * `:eps` - added to the variance, default 1.0e-5

  ## Examples

      iex> Mlx.Fast.layer_norm(Nx.tensor([1.0, 3.0]), Nx.tensor([1.0, 1.0]), eps: 0.0) |> Nx.to_list() |> Enum.map(&Float.round(&1, 3))
      [-1.0, 1.0]
  """
  defrow(:fast, :layer_norm, [:x, :weight], [:bias, :eps])

  @doc """
  Rotary positions of rows: pairs among the first `:dims` numbers, turned by the row's position times a frequency. The shape is
  `{batch, …, length, size}`. mlx: `fast.rope`.

  ## Options

    * `:dims` - how many numbers are turned; has to be given
    * `:traditional` - whether pairs are neighbours; default: halves
    * `:base` - of the frequencies; 10_000 in most models; or `:freqs`, a tensor
    * `:scale` - of positions, default 1.0
    * `:offset` - the position of the first row, a number or a tensor of integers; default 0

  ## Examples

      iex> x = Nx.tensor([[[1.0, 0.0], [1.0, 0.0]]])
      iex> Mlx.Fast.rope(x, dims: 2, base: 10_000.0) |> Nx.to_flat_list() |> Enum.map(&Float.round(&1, 3))
      [1.0, 0.0, 0.54, 0.841]
  """
  defrow(:fast, :rope, [:x], [:dims, :traditional, :base, :scale, :offset, :freqs])

  @doc """
  softmax(q kᵀ scale) v for each head: `{batch, heads, length, size}`; keys and values may have fewer heads, which divide those of the
  queries. mlx: `fast.scaled_dot_product_attention`.

  ## Options

    * `:scale` - of the products; default 1 / √size
    * `:mask` - `:causal`, or a tensor that broadcasts to the products: u8, 1 for keys that are seen, or floats that are added
    * `:sinks` - for each head the product with a key that all queries see and that has no value

  ## Examples

      iex> q = Nx.tensor([[[[1.0], [1.0]]]])
      iex> v = Nx.tensor([[[[2.0], [4.0]]]])
      iex> Mlx.Fast.scaled_dot_product_attention(q, q, v, mask: :causal) |> Nx.to_flat_list()
      [2.0, 3.0]
  """
  defrow(:fast, :scaled_dot_product_attention, [:q, :k, :v], [:scale, :mask, :sinks])

  @doc """
  The logarithm of the sum of exponentials. mlx: `logsumexp`.

  ## Options

    * `:axis` - an axis or a list of them; default: all
    * `:keepdims` - whether axes stay, with size 1; default false

  ## Examples

      iex> Mlx.Fast.logsumexp(Nx.tensor([1000.0, 1000.0])) |> Nx.to_number() |> Float.round(3)
      1000.693
  """
  defrow(:fast, :logsumexp, [:x], [:axis, :keepdims])

  @doc """
  A matrix, whose last axis is a multiple of `:group_size`, in few bits: the packed words, a scale for each group, and where there are
  any, biases. mlx: `quantize`.

  ## Options

    * `:mode` - `"affine"`, the default, `"mxfp4"`, `"mxfp8"` or `"nvfp4"`
    * `:group_size`, `:bits` - 64 and 4 for `"affine"`, else those of the mode

  ## Examples

      iex> {words, scales, biases} = Mlx.Fast.quantize(Nx.iota({2, 64}, type: :f32))
      iex> {words.type, words.shape, scales.shape, biases.shape}
      {{:u, 32}, {2, 8}, {2, 1}, {2, 1}}
  """
  defrow(:quantize, :quantize, [:w], [:mode, :group_size, :bits])

  @doc """
  The matrix that `quantize/2` packed, within its rounding: `dequantize(words, scales, options)`, or of a `Mlx.Quantized`
  `dequantize(quantized, options)`. mlx: `dequantize`.

  ## Options

    * `:biases` - of the mode `"affine"`
    * `:global_scale` - a scalar, which `"nvfp4"` may have
    * `:mode`, `:group_size`, `:bits` - as for `quantize/2`
    * `:dtype` - the type of the result

  A `Mlx.Quantized` takes `:dtype` only.

  ## Examples

      iex> w = Nx.remainder(Nx.iota({1, 64}, type: :f32), 16)
      iex> {words, scales, biases} = Mlx.Fast.quantize(w)
      iex> Mlx.Fast.dequantize(words, scales, biases: biases) |> Nx.subtract(w) |> Nx.abs() |> Nx.reduce_max() |> Nx.to_number() < 1.0e-3
      true

      iex> quantized = Mlx.Quantized.quantize(Nx.iota({1, 64}, type: :f32), mode: :mxfp8)
      iex> Mlx.Fast.dequantize(quantized, dtype: :f16).type
      {:f, 16}
  """
  def dequantize(words, scales_or_options \\ [], options \\ []),
    do: unpack(words, scales_or_options, options)

  @doc false
  def unquote(:"__defn:dequantize__")(words, scales_or_options \\ [], options \\ []),
    do: unpack(words, scales_or_options, options)

  @form [:mode, :group_size, :bits]

  defp unpack(%Quantized{} = w, options, []) do
    operands = [w.weight, w.scales, w.biases, w.global_scale]
    call(:quantize, :dequantize, operands, options, [:dtype], Quantized.options(w))
  end

  defp unpack(words, scales, options) do
    expected = "scales beside the words, which are no Mlx.Quantized"
    Mlx.Argument.check!(not is_list(scales), "dequantize", expected, scales)
    known = [:biases, :global_scale | @form] ++ [:dtype]
    call(:quantize, :dequantize, [words, scales], options, known)
  end

  @doc """
  The product of `x` with the matrix that a `Mlx.Quantized` stands for, transposed unless `transpose: false`. It is what
  `quantized_matmul/4` computes. mlx: `quantized_matmul`.

  ## Options

    * `:transpose` - default true

  ## Examples

      iex> w = Mlx.Quantized.quantize(Nx.broadcast(1.0, {3, 64}))
      iex> Mlx.Fast.quantized_dot(Nx.broadcast(1.0, {1, 64}), w).shape
      {1, 3}
  """
  def quantized_dot(x, w, options \\ []), do: times_quantized(x, w, options)

  @doc false
  def unquote(:"__defn:quantized_dot__")(x, w, options \\ []), do: times_quantized(x, w, options)

  defp times_quantized(x, %Quantized{} = w, options) do
    operands = [x, w.weight, w.scales, w.biases, w.global_scale]
    call(:quantize, :quantized_matmul, operands, options, [:transpose], Quantized.options(w))
  end

  defp times_quantized(_x, other, _options),
    do: Mlx.Argument.check!(false, "quantized_dot", "a Mlx.Quantized", other)

  @doc """
  The product of `x` with a matrix that `quantize/2` packed, transposed unless `transpose: false`. mlx: `quantized_matmul`.

  ## Options

    * `:biases`, `:global_scale`, `:mode`, `:group_size`, `:bits` - as for `dequantize/3`
    * `:transpose` - default true

  ## Examples

      iex> {words, scales, biases} = Mlx.Fast.quantize(Nx.broadcast(1.0, {3, 64}))
      iex> Mlx.Fast.quantized_matmul(Nx.broadcast(1.0, {1, 64}), words, scales, biases: biases).shape
      {1, 3}
  """
  defrow(:quantize, :quantized_matmul, [:x, :w, :scales], [
    :biases,
    :global_scale,
    :mode,
    :group_size,
    :bits,
    :transpose
  ])
end
