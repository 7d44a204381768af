defmodule Mlx.Compiler.Row do
  # An op of the core that Nx has no callback for, as a block in an expression. Its default is what the op is made of.
  @moduledoc false

  alias Mlx.Compiler.{Block, ToNx, Transform}
  alias Mlx.NIF
  alias Nx.Defn.Expr

  @enforce_keys [:name, :attributes]
  defstruct [:name, :attributes]

  @doc "The results of the op `name`, of these types, as tensors: a native block where the core is there, else other ops."
  @spec call(atom(), keyword(), [Mlx.Program.tensor_type()], [Nx.Tensor.t()]) :: [Nx.Tensor.t()]
  def call(name, attributes, types, operands) do
    operands = Enum.map(operands, &Expr.tensor/1)
    made_of = fn operands -> made_of(name, attributes, types, operands) end

    if Transform.native?() do
      templates = for {type, shape} <- types, do: Nx.template(shape, type)
      Block.node(%__MODULE__{name: name, attributes: attributes}, operands, templates, made_of)
    else
      made_of.(operands)
    end
  end

  defp made_of(name, attributes, types, operands) do
    name
    |> NIF.op_composed(Enum.map(operands, &{&1.type, &1.shape}), attributes, types)
    |> NIF.program_region()
    |> ToNx.region(operands)
  end
end
