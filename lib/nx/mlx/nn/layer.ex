defmodule Mlx.NN.Layer do
  @moduledoc """
  A layer, as `Mlx.NN.layer/2` makes it: which one, and its options. It holds no tensors; `Mlx.NN.init/2` draws its parameters, and
  `Mlx.NN.call/4` takes them.

  A model is a layer, or a map, list, or tuple of models; `Mlx.NN.sequential/1` makes a layer of several.
  """

  @enforce_keys [:name, :options]
  defstruct [:name, :options]

  @type t :: %__MODULE__{name: atom(), options: keyword()}

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(%{name: name, options: options}, inspect_options) do
      concat(["#Mlx.NN.Layer<", "#{name}", " ", to_doc(options, inspect_options), ">"])
    end
  end
end
