defmodule Mlx.Compiler.Scope do
  # Which nodes of an expression belong to its own scope, and which only to a branch of a `cond` in it.
  #
  # `Nx.Defn.Tree.scope_ids/2` gives what a branch holds to the scope around it as soon as the `cond` is read in a branch of
  # another: the branch would then be computed whether it is taken or not.
  @moduledoc false

  alias Nx.Defn.{Composite, Expr, Tree}
  alias Nx.Tensor, as: T

  @doc """
  The ids of the nodes that belong to the scope of `expr`, with those `around`, which belong to scopes around it: all that is read
  in no branch only.
  """
  @spec ids(Nx.Container.t(), %{reference() => true}) :: %{reference() => true}
  def ids(expr, around \\ %{}) do
    {nodes, _seen, has_conds?} = Composite.reduce(expr, {[], around, false}, &order/2)

    if has_conds? do
      roots = Composite.reduce(expr, %{}, fn t, owners -> Map.put(owners, t.data.id, nil) end)
      owners = Enum.reduce(nodes, roots, &own/2)
      for %T{data: %Expr{id: id}} <- nodes, owners[id] == nil, into: around, do: {id, true}
    else
      for %T{data: %Expr{id: id}} <- nodes, into: around, do: {id, true}
    end
  end

  # Each node before those that it reads.
  defp order(%T{data: %Expr{op: :constant}}, acc), do: acc

  defp order(%T{data: %Expr{id: id, op: op}} = t, {nodes, seen, has_conds?}) do
    if is_map_key(seen, id) do
      {nodes, seen, has_conds?}
    else
      acc = {nodes, Map.put(seen, id, true), has_conds? or op == :cond}

      {nodes, seen, has_conds?} =
        for {read, _place} <- reads(t), reduce: acc, do: (acc -> order(read, acc))

      {[t | nodes], seen, has_conds?}
    end
  end

  # The owner of a node is the innermost `cond` in whose branches all that read it stand, nil for the scope itself. Those that
  # read it have theirs by now.
  defp own(%T{data: %Expr{id: id}} = t, owners) do
    around = Map.get(owners, id)

    for {%T{data: %Expr{id: read}}, place} <- reads(t), reduce: owners do
      owners ->
        owner = if place == :inside, do: id, else: around
        Map.update(owners, read, owner, &common(&1, owner, owners))
    end
  end

  defp common(same, same, _owners), do: same

  defp common(one, other, owners) do
    all = chain(one, owners)
    Enum.find(chain(other, owners), &(&1 in all))
  end

  # From inside to outside.
  defp chain(nil, _owners), do: [nil]
  defp chain(id, owners), do: [id | chain(Map.get(owners, id), owners)]

  # The first predicate of a `cond` is sure to be asked for.
  defp reads(%T{data: %Expr{op: :cond, args: [[{pred, body} | clauses], last]}}) do
    inside = [body, last | Enum.flat_map(clauses, &Tuple.to_list/1)]
    [{pred, :here} | for(read <- Composite.flatten_list(inside), do: {read, :inside})]
  end

  defp reads(t) do
    {_args, reads} =
      Tree.apply_args(t, :scope, [], fn read, all -> {read, [{read, :here} | all]} end)

    reads
  end
end
