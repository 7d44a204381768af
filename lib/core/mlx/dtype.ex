defmodule Mlx.Dtype do
  @moduledoc """
  Nx types and MLX's names for them.

  | Nx | MLX | |
  |---|---|---|
  | `{:u, 8..64}` | `uint8` … `uint64` | |
  | `{:s, 8..64}` | `int8` … `int64` | |
  | `{:f, 16}`, `{:bf, 16}`, `{:f, 32}` | `float16`, `bfloat16`, `float32` | |
  | `{:f, 64}` | `float64` | CPU only: a GPU raises `Mlx.UnsupportedError` |
  | `{:c, 64}` | `complex64` | |

  Others (`{:c, 128}`, 8-bit floats, 2- and 4-bit integers) are unsupported: using one raises `Mlx.UnsupportedError`.
  """

  @type t ::
          {:u, 8 | 16 | 32 | 64}
          | {:s, 8 | 16 | 32 | 64}
          | {:f, 16 | 32 | 64}
          | {:bf, 16}
          | {:c, 64}

  @pairs [
    {{:u, 8}, :uint8},
    {{:u, 16}, :uint16},
    {{:u, 32}, :uint32},
    {{:u, 64}, :uint64},
    {{:s, 8}, :int8},
    {{:s, 16}, :int16},
    {{:s, 32}, :int32},
    {{:s, 64}, :int64},
    {{:f, 16}, :float16},
    {{:bf, 16}, :bfloat16},
    {{:f, 32}, :float32},
    {{:f, 64}, :float64},
    {{:c, 64}, :complex64}
  ]

  @doc """
  All supported types.

  ## Examples

      iex> {:bf, 16} in Mlx.Dtype.all()
      true
  """
  @spec all() :: [t]
  def all, do: unquote(Macro.escape(Enum.map(@pairs, &elem(&1, 0))))

  @doc """
  MLX's name for `type`.

  Raises `Mlx.UnsupportedError` for an Nx type that MLX lacks.

  ## Examples

      iex> Mlx.Dtype.to_mlx({:f, 32})
      :float32
      iex> Mlx.Dtype.to_mlx({:c, 128})
      ** (Mlx.UnsupportedError) type {:c, 128} is not supported by MLX; see Mlx.Dtype for those that are
  """
  @spec to_mlx(t) :: atom()
  for {nx, mlx} <- @pairs do
    def to_mlx(unquote(nx)), do: unquote(mlx)
  end

  def to_mlx(other) do
    raise Mlx.UnsupportedError,
      message: "type #{inspect(other)} is not supported by MLX; see Mlx.Dtype for those that are"
  end

  @doc """
  The Nx type with MLX's name `name`. MLX's `bool` is Nx's `{:u, 8}`.

  ## Examples

      iex> Mlx.Dtype.from_mlx(:bfloat16)
      {:bf, 16}
  """
  @spec from_mlx(atom()) :: t
  def from_mlx(:bool), do: {:u, 8}

  for {nx, mlx} <- @pairs do
    def from_mlx(unquote(mlx)), do: unquote(nx)
  end

  def from_mlx(other) do
    raise ArgumentError,
          "expected the name of an MLX type, such as :float32, got: #{inspect(other)}"
  end
end
