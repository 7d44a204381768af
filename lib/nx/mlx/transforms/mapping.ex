defmodule Mlx.Transforms.Mapping do
  # Functions of one example, mapped over many, in an expression; and Jacobians, whose rows are examples.
  @moduledoc false

  alias Mlx.{Argument, Transforms}
  alias Mlx.Compiler.{Block, Transform}
  alias Mlx.Transforms.Derivatives
  alias Nx.Defn.Composite

  ## Examples

  @doc "What `fun` answers for each example."
  def map_over(args, fun, in_axes, out_axes) do
    leaves = Transform.leaves(args)
    axes = args |> leaf_axes(in_axes) |> Enum.zip_with(leaves, &axis!/2)
    size = size!(leaves, axes)

    if Transform.native?(),
      do: map_natively(args, fun, {leaves, axes, size}, out_axes),
      else: map_of_nx(args, fun, {leaves, axes, size}, out_axes)
  end

  defp leaf_axes(args, in_axes) do
    for {arg, axis} <- Enum.zip(Tuple.to_list(args), in_axes),
        _leaf <- 1..Composite.count(arg)//1,
        do: axis
  end

  defp axis!(nil, _leaf), do: nil

  defp axis!(axis, leaf) do
    rank = Nx.rank(leaf)
    expected = "an axis of a tensor of #{rank} axes in :in_axes"
    Argument.check!(axis in -rank..(rank - 1)//1, "vmap", expected, axis)
    if axis < 0, do: axis + rank, else: axis
  end

  defp size!(leaves, axes) do
    sizes =
      for {leaf, axis} <- Enum.zip(leaves, axes), axis, uniq: true, do: elem(leaf.shape, axis)

    Argument.check!(match?([_], sizes), "vmap", "axes of one size", sizes)
    hd(sizes)
  end

  defp map_natively(args, fun, {leaves, axes, size}, out_axes) do
    examples = Enum.zip_with(leaves, axes, &without_axis/2)
    call = &apply(fun, Tuple.to_list(Transform.rebuild(args, &1)))
    {params, result} = Transform.trace(examples, call)
    values = Transform.leaves(result)
    places = places!(result, values, out_axes)
    name = example_name(leaves, axes)

    node = %Transform{
      name: :vmap,
      parameters:
        {Enum.zip_with(leaves, axes, &whole_axis/2), size,
         Enum.zip_with(values, places, &whole_axis/2)},
      params: params,
      outputs: values
    }

    templates = Enum.zip_with(values, places, &with_axis(&1, &2, size, name))

    default = fn operands ->
      leaves = Enum.zip_with(operands, leaves, &Block.like/2)
      args = Transform.rebuild(args, leaves)
      args |> map_of_nx(fun, {leaves, axes, size}, out_axes) |> Transform.leaves()
    end

    Transform.rebuild(result, Transform.node(node, leaves, templates, default))
  end

  # Counted with the vectorized axes, which stand in front.
  defp whole_axis(_leaf, nil), do: nil
  defp whole_axis(leaf, axis), do: length(leaf.vectorized_axes) + axis

  defp without_axis(leaf, nil), do: leaf

  defp without_axis(leaf, axis) do
    %{leaf | shape: Tuple.delete_at(leaf.shape, axis), names: List.delete_at(leaf.names, axis)}
  end

  defp with_axis(leaf, axis, size, name) do
    name = if name in leaf.names, do: nil, else: name

    %{
      leaf
      | shape: Tuple.insert_at(leaf.shape, axis, size),
        names: List.insert_at(leaf.names, axis, name)
    }
  end

  # What the axis of examples is called where it is called something.
  defp example_name(leaves, axes) do
    Enum.zip(leaves, axes)
    |> Enum.find_value(fn {leaf, axis} -> axis && Enum.at(leaf.names, axis) end)
  end

  # An axis for each leaf of the result.
  defp places!(result, values, out_axes) do
    axes =
      if is_tuple(out_axes) do
        fits? = is_tuple(result) and tuple_size(result) == tuple_size(out_axes)
        expected = ":out_axes to have one for each element of the result"
        Argument.check!(fits?, "vmap", expected, out_axes)
        leaf_axes(result, Tuple.to_list(out_axes))
      else
        List.duplicate(out_axes, length(values))
      end

    for {value, axis} <- Enum.zip(values, axes) do
      rank = Nx.rank(value) + 1
      expected = "an axis of a result of #{rank} axes in :out_axes"
      Argument.check!(axis in -rank..(rank - 1)//1, "vmap", expected, axis)
      if axis < 0, do: axis + rank, else: axis
    end
  end

  # Examples are a vectorized axis, of another name for each call within another.
  defp map_of_nx(args, fun, {leaves, axes, size}, out_axes) do
    depth = Process.get(__MODULE__, 0)
    example = :"example_#{depth}"
    name = example_name(leaves, axes)
    examples = Enum.zip_with(leaves, axes, &vectorize(&1, &2, example))
    Process.put(__MODULE__, depth + 1)

    try do
      apply(fun, Tuple.to_list(Transform.rebuild(args, examples)))
    after
      Process.put(__MODULE__, depth)
    else
      result ->
        values = Transform.leaves(result)
        places = places!(result, values, out_axes)

        values
        |> Enum.zip_with(places, &devectorize(&1, &2, {example, size, name}))
        |> then(&Transform.rebuild(result, &1))
    end
  end

  defp vectorize(leaf, nil, _example), do: leaf

  defp vectorize(leaf, axis, example) do
    axes = [axis | Enum.to_list(0..(Nx.rank(leaf) - 1)//1) -- [axis]]
    leaf |> Nx.transpose(axes: axes) |> Nx.vectorize(example)
  end

  # The vectorized axis of examples becomes one of the shape.
  defp devectorize(value, axis, {example, size, name}) do
    others = Keyword.delete(value.vectorized_axes, example)
    template = with_axis(%{value | vectorized_axes: others}, axis, size, name)
    flat = Nx.devectorize(value, keep_names: false)
    place = length(others) + axis

    case Enum.find_index(value.vectorized_axes, &(elem(&1, 0) == example)) do
      nil ->
        shape = Tuple.insert_at(flat.shape, place, size)
        axes = Enum.to_list(0..(tuple_size(shape) - 1)//1) -- [place]
        flat |> Nx.broadcast(shape, axes: axes) |> Block.like(template)

      at ->
        axes =
          Enum.to_list(0..(Nx.rank(flat) - 1)//1)
          |> List.delete_at(at)
          |> List.insert_at(place, at)

        flat |> Nx.transpose(axes: axes) |> Block.like(template)
    end
  end

  ## Jacobians and Hessians

  @doc "The Jacobian or the Hessian."
  def matrix(name, args, fun, wrt, tape)

  def matrix(:jacobian, args, fun, wrt, tape), do: jacobian_of(args, fun, wrt, tape)

  def matrix(:hessian, args, fun, wrt, tape) do
    gradient = fn args ->
      Derivatives.derive("grad", args, fun, wrt, {&Function.identity/1, tape})
    end

    of_arity = Transforms.of_arity(tuple_size(args), &gradient.(List.to_tuple(&1)))
    jacobian_of(args, of_arity, wrt, tape)
  end

  # Cotangents are the rows of a unit matrix, all at once.
  defp jacobian_of(args, fun, wrt, tape) do
    {_params, result} =
      args
      |> Transform.leaves()
      |> Transform.trace(&apply(fun, Tuple.to_list(Transform.rebuild(args, &1))))

    leaves = Transform.leaves(result)
    sizes = Enum.map(leaves, &Tuple.product(&1.shape))
    rows = leaves |> unit_rows(sizes) |> then(&Transform.rebuild(result, &1))

    pulled =
      map_over(
        {rows},
        fn row -> args |> Derivatives.pull(fun, List.wrap(wrt), row, tape) |> elem(1) end,
        [0],
        0
      )

    starts = Enum.scan([0 | sizes], &+/2)

    {jacobian, _} =
      Composite.traverse(result, Enum.zip([leaves, starts, sizes]), fn _leaf, [part | rest] ->
        gradients = Composite.traverse(pulled, &block(&1, part))
        {if(is_list(wrt), do: gradients, else: elem(gradients, 0)), rest}
      end)

    jacobian
  end

  # For each leaf its columns of the unit matrix of all elements.
  defp unit_rows(leaves, sizes) do
    count = Enum.sum(sizes)

    for {leaf, start, size} <- Enum.zip([leaves, Enum.scan([0 | sizes], &+/2), sizes]) do
      shape = List.to_tuple([count | Tuple.to_list(leaf.shape)])

      Nx.eye(count, type: Transform.cotangent_type(leaf.type))
      |> Nx.slice_along_axis(start, size, axis: 1)
      |> Nx.reshape(shape)
    end
  end

  # The rows of one leaf of the result.
  defp block(tensor, {leaf, start, size}) do
    [_count | shape] = Tuple.to_list(tensor.shape)
    [_count | names] = tensor.names
    rows = Nx.slice_along_axis(tensor, start, size, axis: 0)
    shape = List.to_tuple(Tuple.to_list(leaf.shape) ++ shape)
    names = List.duplicate(nil, Nx.rank(leaf)) ++ names
    Nx.reshape(rows, shape, names: names)
  end
end
