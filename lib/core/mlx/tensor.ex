defmodule Mlx.Tensor do
  @moduledoc """
  A tensor where Nx is not there.

  Functions of the core that answer tensors, such as `Mlx.Safetensors.read!/2`, answer lazy `Mlx.Backend` tensors where the package
  was compiled with Nx, and these structs where it was not; those that take tensors take both, and handles. They are as lazy, and
  `Mlx.eval/1` and its like take them.
  """

  alias Mlx.{Argument, NIF}

  @enforce_keys [:ref, :type, :shape]
  defstruct [:ref, :type, :shape]

  @typedoc "One of these structs, a tensor of Nx, or a handle."
  @type like :: t | term()

  @type t :: %__MODULE__{ref: Mlx.handle(), type: Mlx.Dtype.t(), shape: tuple()}

  @doc """
  The tensor of `type` and `shape` whose elements are in `binary`, row by row in the byte order of this machine.

  Raises `ArgumentError` for other sizes than those of the binary, `Mlx.UnsupportedError` for types that MLX lacks.

  ## Examples

      iex> tensor = Mlx.Tensor.from_binary(<<1, 2, 3, 4>>, {:u, 8}, {2, 2})
      iex> {tensor.type, tensor.shape}
      {{:u, 8}, {2, 2}}
  """
  @spec from_binary(binary(), Mlx.Dtype.t(), tuple()) :: t | term()
  def from_binary(binary, type, shape) do
    Argument.check!(is_binary(binary), "from_binary", "a binary", binary)

    ref =
      {type, shape} |> NIF.from_binary(binary, Mlx.Stream.where()) |> Mlx.Memory.collected()

    wrap({ref, {type, shape}})
  end

  @doc """
  The elements of a tensor, row by row in the byte order of this machine. Evaluates.

  Large ones are not copied: the binary keeps the tensor's memory, or its file's pages.

  Raises `ArgumentError` for what is no tensor, `Mlx.Error` when MLX fails.

  ## Examples

      iex> Mlx.Tensor.from_binary(<<1, 2>>, {:u, 8}, {2}) |> Mlx.Tensor.to_binary()
      <<1, 2>>
  """
  @spec to_binary(like) :: binary()
  def to_binary(tensor) do
    ref = ref!(tensor, "to_binary")
    {_type, shape} = NIF.type_of(ref)
    NIF.to_binary(ref, shape |> Tuple.to_list() |> Enum.product())
  end

  @doc false
  # The tensor of a native answer `{handle, {type, shape}}`.
  def wrap(answer), do: hd(wrap_all([answer]))

  @doc false
  def wrap_all(answers) do
    if Mlx.WithNx.available?(:Backend) do
      for {ref, type} <- answers, do: Mlx.WithNx.call(:Backend, :wrap, [ref, type])
    else
      for {ref, {type, shape}} <- answers,
          do: %__MODULE__{ref: ref, type: type, shape: shape}
    end
  end

  @doc false
  # The handle of a tensor of any kind, for the function called `name`.
  def ref!(ref, _name) when is_reference(ref), do: ref
  def ref!(%__MODULE__{ref: ref}, _name), do: ref

  def ref!(other, name) do
    cond do
      ref = is_struct(other) && Mlx.Handle.fetch(other) ->
        ref

      Mlx.WithNx.available?(:Backend) ->
        Mlx.WithNx.call(:Backend, :ref!, [other, name])

      true ->
        Argument.check!(false, name, "a tensor", other)
    end
  end
end

defimpl Mlx.Handle, for: Mlx.Tensor do
  def fetch(%{ref: ref}), do: ref
end

defimpl Inspect, for: Mlx.Tensor do
  def inspect(%{type: type, shape: shape}, _options),
    do: "#Mlx.Tensor<#{Mlx.Program.text({"", {type, shape}})}>"
end
