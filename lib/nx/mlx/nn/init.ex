defmodule Mlx.NN.Init do
  @moduledoc """
  First values of weights under the names of `mlx.nn.init`, from the definitions of the C++ library.

  Each takes a key of `Nx.Random`, or an integer for `Nx.Random.key/1`, and a shape: the same key gives the same weights. Layers draw
  theirs themselves (`Mlx.NN.init/2`); parameters are maps, and others are put in their place:

      params = put_in(params["layers"]["0"]["weight"], Mlx.NN.Init.he_normal(1, {256, 784}))

  Weights of MLX are `{outputs, …, inputs}`. Fans are MLX's: the last dimension comes in, the first goes out, and those between multiply
  both.

  `:dtype` is a type of Nx, default f32. All raise `ArgumentError` for options that they do not have and shapes that they do not make.
  """

  alias Mlx.Argument
  alias Mlx.NN.Functions

  @initializers [
    constant: {
      "`:value` everywhere.",
      [:value],
      "(0, {2}, value: 0.5) |> Nx.to_list()",
      [0.5, 0.5]
    },
    normal: {
      "Draws of a normal distribution. Options: `:mean`, default 0, `:std`, default 1.",
      [:mean, :std],
      "(0, {100}, mean: 5, std: 0.1) |> Nx.mean() |> Nx.to_number() |> round()",
      5
    },
    uniform: {
      "Draws from `:low`, default 0, to below `:high`, default 1.",
      [:low, :high],
      "(0, {100}, low: 2, high: 3) |> Nx.floor() |> Nx.to_list() |> Enum.uniq()",
      [2.0]
    },
    identity: {
      "The identity matrix; the shape has to be square.",
      [],
      "(0, {2, 2}) |> Nx.to_list()",
      [[1.0, 0.0], [0.0, 1.0]]
    },
    glorot_normal: {
      "Normal draws of the deviation gain √(2 / (fan in + fan out)). Options: `:gain`, default 1.",
      [:gain],
      "(0, {8, 8}, gain: 0) |> Nx.sum() |> Nx.to_number()",
      0.0
    },
    glorot_uniform: {
      "Uniform draws of the deviation gain √(2 / (fan in + fan out)). Options: `:gain`, default 1.",
      [:gain],
      # Within √3 of the deviation, here √6 / 4.
      "(0, {8, 8}) |> Nx.abs() |> Nx.reduce_max() |> Nx.less(0.6124) |> Nx.to_number()",
      1
    },
    he_normal: {
      "Normal draws of the deviation gain / √fan. Options: `:mode`, `:fan_in`, the default, or `:fan_out`; `:gain`, default 1.",
      [:mode, :gain],
      "(0, {2, 8}, mode: :fan_out).shape",
      {2, 8}
    },
    he_uniform: {
      "Uniform draws of the deviation gain / √fan. Options: `:mode`, `:fan_in`, the default, or `:fan_out`; `:gain`, default 1.",
      [:mode, :gain],
      "(0, {2, 8}, dtype: :bf16).type",
      {:bf, 16}
    },
    sparse: {
      "Draws of a normal distribution, of which in each row a share of `:sparsity`, rounded up, is 0. Options: `:mean`, `:std`.",
      [:sparsity, :mean, :std],
      "(0, {3, 8}, sparsity: 0.25) |> Nx.equal(0) |> Nx.sum(axes: [1]) |> Nx.to_list()",
      [2, 2, 2]
    },
    orthogonal: {
      "`:gain`, default 1, times a matrix whose shorter side's vectors are orthogonal to each other and of length 1.",
      [:gain],
      "(0, {2, 3}) |> then(&Nx.dot(&1, [1], &1, [1])) |> Nx.round() |> Nx.to_list()",
      [[1.0, 0.0], [0.0, 1.0]]
    }
  ]

  for {name, {text, known, example, answer}} <- @initializers do
    @doc """
    #{text} mlx: `nn.init.#{name}`.

    ## Examples

        iex> Mlx.NN.Init.#{name}#{example}
        #{inspect(answer)}
    """
    @spec unquote(name)(Nx.Tensor.t() | integer(), tuple(), keyword()) :: Nx.Tensor.t()
    def unquote(name)(key, shape, options \\ []),
      do: draw(unquote(name), key, shape, options, unquote([:dtype | known]))
  end

  defp draw(name, key, shape, options, known) do
    shape? = is_tuple(shape) and Enum.all?(Tuple.to_list(shape), &(is_integer(&1) and &1 >= 0))
    Argument.check!(shape?, "#{name}", "a shape", shape)
    key = Functions.key!(key, name)
    Functions.call(:init, name, [key], options, known, shape: Tuple.to_list(shape))
  end
end
