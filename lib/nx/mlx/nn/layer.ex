defmodule Mlx.NN.Layer do
  @moduledoc """
  A layer, as `Mlx.NN.layer/2` makes it: which one, and its options. It holds no tensors; `Mlx.NN.init/2` draws its parameters, and
  `Mlx.NN.call/4` takes them. Where its matrices are quantized or have changes of low rank beside them, it says that as well.

  A model is a layer, or a map, list, or tuple of models; `Mlx.NN.sequential/1` makes a layer of several.
  """

  @enforce_keys [:name, :options]
  # Of its matrices: see Mlx.NN.Forms.
  defstruct [:name, :options, forms: %{}]

  @type t :: %__MODULE__{name: atom(), options: keyword(), forms: Mlx.NN.Forms.t()}

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(%{name: name, options: options, forms: forms}, inspect_options) do
      forms = if forms == %{}, do: [], else: [" ", to_doc(forms, inspect_options)]

      concat(
        ["#Mlx.NN.Layer<", "#{name}", " ", to_doc(options, inspect_options)] ++ forms ++ [">"]
      )
    end
  end
end
