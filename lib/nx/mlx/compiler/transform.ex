defmodule Mlx.Compiler.Transform do
  # A derivative in an expression: a block that holds the function, traced with parameters of its own. `Mlx.Compiler.Lower`
  # hands the function's region to the core, which differentiates it; `Nx.Defn.grad`, where it meets the block, calls the
  # block's default for Nx's own way.
  @moduledoc false

  alias Nx.Defn.{Composite, Expr}
  alias Nx.Tensor, as: T

  # `name` and `parameters`: what native/nif/transform.h takes. `params` and `outputs`: the function.
  @derive {Inspect, only: [:name, :parameters]}
  @enforce_keys [:name, :parameters, :params, :outputs]
  defstruct [:name, :parameters, :params, :outputs]

  @doc "Whether the core is there to transform."
  @spec native?() :: boolean()
  def native?, do: Nx.Defn.Compiler.current() == Mlx.Compiler

  @doc "Calls `fun` with parameters in place of `leaves`. Returns the parameters and what it answers."
  @spec trace([Nx.Tensor.t()], ([Nx.Tensor.t()] -> answer)) :: {[Nx.Tensor.t()], answer}
        when answer: term()
  def trace(leaves, fun) do
    context = context(leaves)
    params = Enum.with_index(leaves, &Expr.parameter(&1, context, &2))
    {params, fun.(params)}
  end

  # Constants have none.
  defp context(tensors), do: Enum.find_value(tensors, & &1.data.context)

  @doc """
  The results of the transform: tensors like `templates`. `operands` stand for `params`, and behind these for what the transform
  takes beside them; `default` is Nx's own way from operands to results, each a list.
  """
  @spec node(%__MODULE__{}, [Nx.Tensor.t()], [Nx.Tensor.t()], ([Nx.Tensor.t()] ->
                                                                 [Nx.Tensor.t()])) ::
          [Nx.Tensor.t()]
  def node(%__MODULE__{} = transform, operands, templates, default) do
    operands = Enum.map(operands, &flat(Expr.tensor(&1)))
    transform = %{transform | outputs: Enum.map(transform.outputs, &flat(Expr.tensor(&1)))}
    flat_templates = Enum.map(templates, &flat(%{&1 | data: nil}))

    callback =
      callback(length(operands), fn operands ->
        default.(operands) |> Enum.zip_with(flat_templates, &fit/2) |> List.to_tuple()
      end)

    expr = %Expr{
      id: Expr.id(),
      op: :block,
      args: [transform, operands, List.to_tuple(flat_templates), callback],
      context: context(operands)
    }

    %T{shape: {}, names: [], type: {:tuple, length(templates)}, data: expr}
    |> Expr.tuple(flat_templates)
    |> Tuple.to_list()
    |> Enum.zip_with(templates, &like/2)
  end

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

  @doc "The leaves of a container."
  @spec leaves(Nx.Container.t()) :: [Nx.Tensor.t()]
  def leaves(container), do: [container] |> Composite.flatten_list() |> Enum.map(&Expr.tensor/1)

  @doc "The container with other leaves."
  @spec rebuild(Nx.Container.t(), [Nx.Tensor.t()]) :: Nx.Container.t()
  def rebuild(container, leaves) do
    {container, []} =
      Composite.traverse(container, leaves, fn _leaf, [leaf | rest] -> {leaf, rest} end)

    container
  end

  @doc "As `cotangent_type` of native/src/program/ir.h."
  @spec cotangent_type(Nx.Type.t()) :: Nx.Type.t()
  def cotangent_type({kind, _} = type) when kind in [:f, :bf, :c], do: type
  def cotangent_type(_integer), do: {:f, 32}

  # Nx calls the default with the block's struct and one argument for each operand.
  for count <- 0..64 do
    arguments = Macro.generate_arguments(count, __MODULE__)

    defp callback(unquote(count), fun),
      do: fn _transform, unquote_splicing(arguments) -> fun.(unquote(arguments)) end
  end

  # So many cost much to compile; only Nx.Defn.grad around the transform asks for it.
  defp callback(_count, _fun), do: nil
end
