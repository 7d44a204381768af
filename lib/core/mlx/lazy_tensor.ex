defmodule Mlx.LazyTensor do
  # A tensor of an open file that is read when somebody asks for it: an `Nx.LazyContainer` where Nx is there.
  @moduledoc false

  @enforce_keys [:source, :name, :type, :shape]
  defstruct [:source, :name, :type, :shape]

  @type t :: %__MODULE__{
          source: Mlx.Files.source(),
          name: String.t(),
          type: Mlx.Dtype.t(),
          shape: tuple()
        }

  @doc "The tensor."
  @spec read(t) :: Mlx.Tensor.like()
  def read(%__MODULE__{source: source, name: name}), do: Mlx.Files.read("read", source, name)
end
