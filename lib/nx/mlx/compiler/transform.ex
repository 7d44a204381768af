defmodule Mlx.Compiler.Transform do
  # A derivative in an expression: a block that holds the function, traced with parameters of its own. `Mlx.Compiler.Lower`
  # hands the function's region to the core, which differentiates it; `Nx.Defn.grad`, where it meets the block, calls the
  # block's default for Nx's own way.
  @moduledoc false

  alias Mlx.Compiler.Block
  alias Nx.Defn.{Composite, Expr}

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
    context = Block.context(leaves)
    params = Enum.with_index(leaves, &Expr.parameter(&1, context, &2))
    {params, fun.(params)}
  end

  @doc """
  The results of the transform: tensors like `templates`. `operands` stand for `params`, and behind these for what the transform
  takes beside them; `default` is Nx's own way from operands to results, each a list.
  """
  @spec node(%__MODULE__{}, [Nx.Tensor.t()], [Nx.Tensor.t()], ([Nx.Tensor.t()] ->
                                                                 [Nx.Tensor.t()])) ::
          [Nx.Tensor.t()]
  def node(%__MODULE__{} = transform, operands, templates, default) do
    operands = Enum.map(operands, &Block.flat(Expr.tensor(&1)))
    transform = %{transform | outputs: Enum.map(transform.outputs, &Block.flat(Expr.tensor(&1)))}
    Block.node(transform, operands, templates, default)
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
end
