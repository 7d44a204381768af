defmodule Mlx.Compiler.Node do
  # What a node of an expression stands for: a tensor, or several.
  @moduledoc false

  alias Nx.Defn.{Composite, Expr}
  alias Nx.Tensor, as: T

  @doc "The tensors of a container, in their order."
  @spec flatten(Nx.Container.t()) :: [Nx.Tensor.t()]
  def flatten(expr), do: Composite.flatten_list([expr])

  @doc "Types and shapes of the tensors that a node stands for."
  @spec types(Nx.Tensor.t()) :: [Mlx.Program.tensor_type()]
  def types(%T{type: {:tuple, _}} = tensor), do: tensor |> outputs() |> Enum.map(&type/1)
  def types(tensor), do: [type(tensor)]

  @doc "Type and shape of a tensor, vectorized axes included."
  @spec type(Nx.Tensor.t()) :: Mlx.Program.tensor_type()
  def type(%T{vectorized_axes: [_ | _]} = tensor), do: tensor |> Nx.devectorize() |> type()
  def type(%T{type: type, shape: shape}), do: {type, shape}

  @doc "The tensors that a node stands for."
  @spec outputs(Nx.Tensor.t()) :: [Nx.Tensor.t()]
  def outputs(%T{type: {:tuple, _}, data: %Expr{op: op, args: args}}) do
    case {op, args} do
      {:while, [initial | _]} -> flatten(initial)
      {:cond, [_clauses, last]} -> flatten(last)
      {:block, [_struct, _args, expr, _fun]} -> flatten(expr)
      {:metadata, [expr, _]} -> flatten(expr)
      {:runtime_call, [_expr, _fun, template, _options]} -> flatten(template)
      {op, [_expr, _spec, template | _]} when op in [:io_call, :hook] -> flatten(template)
    end
  end

  def outputs(tensor), do: [tensor]
end
