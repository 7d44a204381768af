defmodule Mlx.Quantized do
  @moduledoc """
  A matrix in few bits, with a scale for every group of neighbours in a row.

    * `:weight` - the packed words, u32 `{…, rows, columns * bits / 32}`
    * `:scales` - for each group, `{…, rows, columns / group_size}`
    * `:biases` - likewise, of the mode `:affine`, else nil
    * `:global_scale` - a scalar that `:nvfp4` may have, else nil
    * `:mode` - `:affine`, `:mxfp4`, `:mxfp8` or `:nvfp4`
    * `:bits`, `:group_size`

  `Mlx.Checkpoint.read/2` answers them, `Mlx.Fast.quantized_dot/3` and `Mlx.Fast.dequantize/3` take them, and so do the layers of
  `Mlx.NN` in place of a matrix: `%{"weight" => quantized}`. Where Nx is there they are containers, whose tensors `defn` sees.
  """

  alias Mlx.Argument

  @modes %{
    affine: [bits: 4, group_size: 64],
    mxfp4: [bits: 4, group_size: 32],
    mxfp8: [bits: 8, group_size: 32],
    nvfp4: [bits: 4, group_size: 16]
  }

  @enforce_keys [:weight, :scales, :mode, :bits, :group_size]
  defstruct [:weight, :scales, :biases, :global_scale, :mode, :bits, :group_size]

  @type mode :: :affine | :mxfp4 | :mxfp8 | :nvfp4

  @type t :: %__MODULE__{
          weight: Mlx.Tensor.like(),
          scales: Mlx.Tensor.like(),
          biases: Mlx.Tensor.like() | nil,
          global_scale: Mlx.Tensor.like() | nil,
          mode: mode,
          bits: pos_integer(),
          group_size: pos_integer()
        }

  @parts [:weight, :scales, :biases, :global_scale]

  @doc """
  The tensor `matrix`, whose last axis is a multiple of the group size, quantized.

  ## Options

    * `:mode` - default `:affine`
    * `:bits`, `:group_size` - 4 and 64 for `:affine`, else those of the mode

  Raises `ArgumentError` for what no mode has, `Mlx.UnsupportedError` without Nx. mlx: `quantize`.

  ## Examples

      iex> Mlx.Quantized.quantize(Nx.iota({2, 64}, type: :f32), bits: 8).weight.shape
      {2, 16}
  """
  @spec quantize(Mlx.Tensor.like(), keyword()) :: t
  def quantize(matrix, options \\ []) do
    form = form!(options, "quantize")
    parts = Mlx.WithNx.call(:Fast, :quantize, [matrix, form]) |> Tuple.to_list()
    [:weight, :scales, :biases] |> Enum.zip(parts) |> Keyword.merge(form) |> new()
  end

  @doc """
  How it is packed, as `Mlx.Fast.quantize/2` takes it.

  ## Examples

      iex> Nx.iota({2, 64}, type: :f32) |> Mlx.Quantized.quantize(mode: :mxfp8) |> Mlx.Quantized.options()
      [mode: :mxfp8, bits: 8, group_size: 32]
  """
  @spec options(t) :: keyword()
  def options(quantized) do
    check!(quantized, "options")
    [mode: quantized.mode, bits: quantized.bits, group_size: quantized.group_size]
  end

  @doc """
  The matrix in a layer's parameters: `"weight"`, `"scales"`, and where they are there `"biases"` and `"global_scale"`. The options are
  those of `quantize/2`, by which it was packed.

  Raises `ArgumentError` where one is missing.
  """
  @spec from_parameters(%{String.t() => Mlx.Tensor.like()}, keyword()) :: t
  def from_parameters(parameters, options \\ []) do
    there? = match?(%{"weight" => _, "scales" => _}, parameters)
    expected = ~s(parameters with "weight" and "scales")
    Argument.check!(there?, "from_parameters", expected, parameters)
    parts = for part <- @parts, do: {part, parameters["#{part}"]}
    parts |> Keyword.merge(form!(options, "from_parameters")) |> new()
  end

  @doc """
  The same the other way: the tensors by the names that layers and files have for them.

  ## Examples

      iex> Mlx.Quantized.quantize(Nx.iota({2, 64}, type: :f32)) |> Mlx.Quantized.to_parameters() |> Map.keys()
      ["biases", "scales", "weight"]
  """
  @spec to_parameters(t) :: %{String.t() => Mlx.Tensor.like()}
  def to_parameters(quantized) do
    check!(quantized, "to_parameters")
    Map.new(parts(quantized), fn {part, tensor} -> {"#{part}", tensor} end)
  end

  defp check!(term, owner),
    do: Argument.check!(is_struct(term, __MODULE__), owner, "a Mlx.Quantized", term)

  @doc false
  # What layers and files call the parts.
  def names, do: Enum.map(@parts, &Atom.to_string/1)

  @doc false
  # The tensors that there are.
  def parts(%__MODULE__{} = quantized) do
    for part <- @parts, tensor = Map.fetch!(quantized, part), do: {part, tensor}
  end

  defp new(fields), do: struct!(__MODULE__, fields)

  @doc false
  # The options of `quantize/2` with all that they leave out.
  def form!(options, owner) do
    Argument.check_options!(options, [:mode, :bits, :group_size], owner)
    mode = Keyword.get(options, :mode, :affine)
    known = Map.keys(@modes)
    found = Enum.find(known, &(mode in [&1, "#{&1}"]))
    expected = ":mode to be one of #{Enum.map_join(known, ", ", &inspect/1)}"
    Argument.check!(found != nil, owner, expected, mode)

    given = for {key, value} <- options, key != :mode, value != nil, do: {key, value}
    Keyword.merge([mode: found] ++ @modes[found], given)
  end
end
