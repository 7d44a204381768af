defmodule Mlx.Compiler.Block do
  # Blocks in an expression that are more than a struct of Nx: their default is made only when someone asks for it.
  @moduledoc false

  alias Nx.Defn.Expr
  alias Nx.Tensor, as: T

  @doc """
  The results of the block: tensors like `templates`. `default` is what other compilers and `Nx.Defn.grad` do with the operands,
  each a list.
  """
  @spec node(struct(), [Nx.Tensor.t()], [Nx.Tensor.t()], ([Nx.Tensor.t()] -> [Nx.Tensor.t()])) ::
          [Nx.Tensor.t()]
  def node(struct, operands, templates, default) do
    flat_templates = Enum.map(templates, &flat(%{&1 | data: nil}))

    callback =
      callback(length(operands), fn operands ->
        default.(operands) |> Enum.zip_with(flat_templates, &fit/2) |> List.to_tuple()
      end)

    expr = %Expr{
      id: Expr.id(),
      op: :block,
      args: [struct, operands, List.to_tuple(flat_templates), callback],
      context: context(operands)
    }

    %T{shape: {}, names: [], type: {:tuple, length(templates)}, data: expr}
    |> Expr.tuple(flat_templates)
    |> Tuple.to_list()
    |> Enum.zip_with(templates, &like/2)
  end

  @doc "That of the first tensor which has one; constants have none."
  @spec context([Nx.Tensor.t()]) :: term()
  def context(tensors), do: Enum.find_value(tensors, & &1.data.context)

  @doc "`tensor`, which has the shape of `template` without vectorized axes, with its names and axes."
  @spec like(Nx.Tensor.t(), Nx.Tensor.t()) :: Nx.Tensor.t()
  def like(tensor, %T{shape: shape, names: names, vectorized_axes: axes}) do
    %{tensor | shape: shape, names: names, vectorized_axes: axes}
  end

  @doc "The tensor without vectorized axes and names: vectorizing makes no node, so that an expression and this one are the same."
  @spec flat(Nx.Tensor.t()) :: Nx.Tensor.t()
  def flat(%T{shape: shape, vectorized_axes: axes} = tensor) do
    shape = List.to_tuple(Keyword.values(axes) ++ Tuple.to_list(shape))
    names = List.duplicate(nil, tuple_size(shape))
    %{tensor | shape: shape, names: names, vectorized_axes: []}
  end

  # Gradients of Nx may have other types than ours, and be smaller where they are the same along an axis.
  defp fit(tensor, template) do
    tensor = Expr.tensor(flat(Expr.tensor(tensor)))

    tensor =
      if tensor.type == template.type, do: tensor, else: Nx.as_type(tensor, template.type)

    if tensor.shape == template.shape, do: tensor, else: Nx.broadcast(tensor, template.shape)
  end

  # Nx calls the default with the block's struct and one argument for each operand.
  for count <- 0..64 do
    arguments = Macro.generate_arguments(count, __MODULE__)

    defp callback(unquote(count), fun),
      do: fn _transform, unquote_splicing(arguments) -> fun.(unquote(arguments)) end
  end

  # So many cost much to compile; only Nx.Defn.grad around the transform asks for it.
  defp callback(_count, _fun), do: nil
end
