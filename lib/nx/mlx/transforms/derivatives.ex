defmodule Mlx.Transforms.Derivatives do
  # Gradients and products with Jacobians of a function of the tuple `args`, in an expression: by the core under `Mlx.Compiler`, by
  # Nx's own ways under other compilers. `wrt` is a position in `args` or a list of them.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.Compiler.{Block, Transform}
  alias Nx.Defn.{Composite, Expr}

  ## Gradients

  @doc "The gradient of what `transform` makes of the result; with another name than \"grad\" `{result, gradient}`."
  def derive(name, args, fun, wrt, {transform, tape}) do
    {result, gradients} =
      if Transform.native?(),
        do: gradient(args, fun, List.wrap(wrt), {transform, tape}),
        else: gradient_of_nx(args, fun, List.wrap(wrt), transform)

    gradients = if is_list(wrt), do: List.to_tuple(gradients), else: hd(gradients)
    if name == "grad", do: gradients, else: {result, gradients}
  end

  defp gradient(args, fun, wrt, {transform, tape}) do
    {own, params, {loss, result}} =
      traced(args, &elem(&1, 0), fn args ->
        result = apply(fun, Tuple.to_list(args))
        {scalar!(transform.(result)), result}
      end)

    values = [loss | Transform.leaves(result)]
    positions = positions(args, wrt)
    templates = values ++ (own |> pick(positions) |> Enum.map(&cotangent/1))

    node = %Transform{
      name: :value_and_grad,
      parameters: {positions, tape},
      params: params,
      outputs: values
    }

    default = fn operands ->
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Block.like/2))
      {result, gradients} = gradient_of_nx(args, fun, wrt, transform)

      [transform.(result) | Transform.leaves(result)] ++
        Transform.leaves(List.to_tuple(gradients))
    end

    [_loss | answers] = Transform.node(node, own, templates, default)
    {values, gradients} = Enum.split(answers, length(values) - 1)
    {Transform.rebuild(result, values), like_arguments(args, wrt, gradients)}
  end

  defp scalar!(%Nx.Tensor{} = tensor), do: Expr.tensor(tensor)
  defp scalar!(number) when is_number(number), do: Expr.tensor(number)

  defp scalar!(other) do
    expected = "the function, or :transform, to answer one tensor to differentiate"
    Argument.check!(false, "grad", expected, other)
  end

  defp gradient_of_nx(args, fun, wrt, transform) do
    vars = wrt |> Enum.map(&elem(args, &1)) |> List.to_tuple()
    with_vars = fn vars -> apply(fun, Tuple.to_list(put_vars(args, wrt, vars))) end
    {result, gradients} = Nx.Defn.value_and_grad(vars, with_vars, transform)
    {result, Tuple.to_list(gradients)}
  end

  defp put_vars(args, wrt, vars) do
    wrt
    |> Enum.zip(Tuple.to_list(vars))
    |> Enum.reduce(args, fn {i, var}, args -> put_elem(args, i, var) end)
  end

  ## Vector-Jacobian products

  @doc "The result, and the cotangents of the arguments."
  def pull(args, fun, wrt, cotangents, tape) do
    # As many gradients as there are cotangents.
    args = Transform.rebuild(args, args |> Transform.leaves() |> along(axes(cotangents)))

    {result, gradients} =
      if Transform.native?(),
        do: pull_native(args, fun, List.wrap(wrt), cotangents, tape),
        else: pull_of_nx(args, fun, List.wrap(wrt), cotangents)

    {result, if(is_list(wrt), do: List.to_tuple(gradients), else: hd(gradients))}
  end

  defp pull_native(args, fun, wrt, cotangents, tape) do
    {own, params, result} = traced(args, & &1, &apply(fun, Tuple.to_list(&1)))
    values = Transform.leaves(result)
    positions = positions(args, wrt)
    templates = values ++ (own |> pick(positions) |> Enum.map(&cotangent/1))
    node = %Transform{name: :vjp, parameters: {positions, tape}, params: params, outputs: values}
    cotangents = conform!("vjp", cotangents, result, values)

    default = fn operands ->
      {operands, cotangents} = Enum.split(operands, length(own))
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Block.like/2))
      cotangents = Enum.zip_with(cotangents, values, &Block.like/2)
      {result, gradients} = pull_of_nx(args, fun, wrt, Transform.rebuild(result, cotangents))
      Transform.leaves(result) ++ Transform.leaves(List.to_tuple(gradients))
    end

    answers = Transform.node(node, own ++ cotangents, templates, default)
    {values, gradients} = Enum.split(answers, length(values))
    {Transform.rebuild(result, values), like_arguments(args, wrt, gradients)}
  end

  defp pull_of_nx(args, fun, wrt, cotangents) do
    gradient_of_nx(args, fun, wrt, fn result ->
      pairing(
        Transform.leaves(result),
        conform!("vjp", cotangents, result, Transform.leaves(result))
      )
    end)
  end

  defp pairing(values, cotangents) do
    values
    |> Enum.zip_with(cotangents, fn value, cotangent -> Nx.sum(Nx.multiply(value, cotangent)) end)
    |> Enum.reduce(&Nx.add/2)
  end

  # A cotangent or tangent for each leaf, with its shape and axes.
  defp conform!(name, container, of, leaves) do
    given = [container] |> Composite.flatten_list() |> Enum.map(&Expr.tensor/1)
    expected = "as many tensors as #{inspect(Nx.to_template(of))} has"
    Argument.check!(length(given) == length(leaves), name, expected, container)

    for {tensor, leaf} <- Enum.zip(given, leaves) do
      [_, tensor] = Nx.broadcast_vectors([leaf, tensor])
      type = Transform.cotangent_type(leaf.type)
      tensor |> Nx.as_type(type) |> Nx.broadcast(leaf.shape)
    end
  end

  ## Jacobian-vector products

  @doc "The result and its tangents."
  def push(args, fun, wrt, tangents) do
    if Transform.native?(),
      do: push_native(args, fun, wrt, tangents),
      else: push_of_nx(args, fun, wrt, tangents)
  end

  defp push_native(args, fun, wrt, tangents) do
    positions = positions(args, wrt)
    leaves = Transform.leaves(args)
    vars = wrt |> Enum.map(&elem(args, &1)) |> List.to_tuple()
    given = conform!("jvp", tangents, vars, pick(leaves, positions))
    # A tangent may have vectorized axes that its argument has not.
    all = Nx.broadcast_vectors(leaves ++ given)
    {own, given} = Enum.split(all, length(leaves))

    {params, result} =
      Transform.trace(own, &apply(fun, Tuple.to_list(Transform.rebuild(args, &1))))

    values = Transform.leaves(result)
    node = %Transform{name: :jvp, parameters: {positions, :all}, params: params, outputs: values}

    default = fn operands ->
      {operands, tangents} = Enum.split(operands, length(own))
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Block.like/2))
      tangents = tangents |> Enum.zip_with(given, &Block.like/2)
      {result, pushed} = push_of_nx(args, fun, wrt, Transform.rebuild(vars, tangents))
      Transform.leaves(result) ++ Transform.leaves(pushed)
    end

    answers =
      Transform.node(node, own ++ given, values ++ Enum.map(values, &cotangent/1), default)

    {values, pushed} = Enum.split(answers, length(values))
    {Transform.rebuild(result, values), Transform.rebuild(result, pushed)}
  end

  # The gradient, by its cotangent, of the product with the tangents.
  defp push_of_nx(args, fun, wrt, tangents) do
    result = apply(fun, Tuple.to_list(args))
    values = Transform.leaves(result)
    vars = wrt |> Enum.map(&elem(args, &1)) |> List.to_tuple()
    tangents = conform!("jvp", tangents, vars, Transform.leaves(vars))
    zeros = for value <- values, do: value |> cotangent() |> zeros()

    pushed =
      Nx.Defn.grad(List.to_tuple(zeros), fn cotangents ->
        cotangents = Transform.rebuild(result, Tuple.to_list(cotangents))
        {_result, pulled} = pull_of_nx(args, fun, wrt, cotangents)
        pairing(Transform.leaves(List.to_tuple(pulled)), tangents)
      end)

    {result, Transform.rebuild(result, Tuple.to_list(pushed))}
  end

  defp zeros(template), do: Nx.broadcast(Nx.tensor(0, type: template.type), template)
  ## Marks

  @doc "The container, through which no gradient goes."
  def stop(container), do: Composite.traverse(container, &Nx.Defn.Kernel.stop_grad/1)

  @doc "What `fun` answers, computed again for its gradient."
  def checkpoint(args, fun) do
    call = &apply(fun, Tuple.to_list(Transform.rebuild(args, &1)))

    if Transform.native?() do
      leaves = Transform.leaves(args)
      {params, result} = Transform.trace(leaves, call)
      values = Transform.leaves(result)
      node = %Transform{name: :checkpoint, parameters: nil, params: params, outputs: values}

      default = fn operands ->
        operands |> Enum.zip_with(leaves, &Block.like/2) |> call.() |> Transform.leaves()
      end

      Transform.rebuild(result, Transform.node(node, leaves, values, default))
    else
      apply(fun, Tuple.to_list(args))
    end
  end

  @doc "What `fun` answers, with the gradient that `backward` makes of cotangents, arguments and result."
  def custom(args, fun, backward) do
    result = apply(fun, Tuple.to_list(args))
    values = Transform.leaves(result)

    mark = fn cotangents ->
      cotangents =
        [cotangents]
        |> Composite.flatten_list()
        |> Enum.zip_with(values, fn cotangent, value ->
          flat = Block.flat(value)
          cotangent |> Nx.broadcast(flat.shape) |> Block.like(value)
        end)

      result
      |> Transform.rebuild(cotangents)
      |> backward.(args, Transform.rebuild(result, values))
      |> answers!(args)
    end

    marked =
      case values do
        [] -> []
        [value] -> [Nx.Defn.Kernel.custom_grad(value, Transform.leaves(args), mark)]
        _ -> values |> List.to_tuple() |> custom_grads(Transform.leaves(args), mark)
      end

    Transform.rebuild(
      result,
      Enum.zip_with(marked, values, &Block.like(Block.flat(&1), &2))
    )
  end

  defp custom_grads(values, inputs, mark),
    do: values |> Nx.Defn.Kernel.custom_grad(inputs, mark) |> Tuple.to_list()

  defp answers!(answers, args) do
    count = tuple_size(args)
    fits? = is_tuple(answers) and tuple_size(answers) == count
    expected = "the gradient to answer a tuple of #{count}, one for each argument"
    Argument.check!(fits?, "custom_vjp", expected, answers)
    [given, wanted] = for container <- [answers, args], do: Transform.leaves(container)
    expected = "the gradient to answer containers like the arguments"
    Argument.check!(length(given) == length(wanted), "custom_vjp", expected, answers)
    Enum.map(given, &Block.flat/1)
  end

  ## What all have in common

  # The function of the arguments' leaves, which get all vectorized axes that any of them has, and those of its result: each
  # entry has a gradient of its own. Returns the leaves, the parameters and what the function answers.
  defp traced(args, result, fun) do
    leaves = Nx.broadcast_vectors(Transform.leaves(args))
    {params, answer} = Transform.trace(leaves, &fun.(Transform.rebuild(args, &1)))

    own = leaves |> Enum.take(1) |> Enum.flat_map(& &1.vectorized_axes)

    case axes(result.(answer)) -- own do
      [] ->
        {leaves, params, answer}

      more ->
        leaves = along(leaves, more)
        {params, answer} = Transform.trace(leaves, &fun.(Transform.rebuild(args, &1)))
        {leaves, params, answer}
    end
  end

  # The vectorized axes of a container.
  defp axes(container) do
    container |> Transform.leaves() |> Enum.flat_map(& &1.vectorized_axes) |> Enum.uniq()
  end

  # All with these vectorized axes too.
  defp along(leaves, []), do: leaves

  defp along(leaves, axes) do
    along = Nx.vectorize(Nx.broadcast(0, axes |> Keyword.values() |> List.to_tuple()), axes)
    for leaf <- leaves, do: Nx.broadcast_vectors([leaf, along]) |> hd()
  end

  # The positions of the leaves of the arguments at `wrt`.
  defp positions(args, wrt) do
    counts = args |> Tuple.to_list() |> Enum.map(&Composite.count/1)
    starts = Enum.scan([0 | counts], &+/2)
    for i <- wrt, j <- 0..(Enum.at(counts, i) - 1)//1, do: Enum.at(starts, i) + j
  end

  defp pick(list, positions) do
    tuple = List.to_tuple(list)
    Enum.map(positions, &elem(tuple, &1))
  end

  defp cotangent(leaf), do: %{leaf | type: Transform.cotangent_type(leaf.type)}

  defp like_arguments(args, wrt, leaves) do
    vars = Enum.map(wrt, &elem(args, &1))
    vars |> List.to_tuple() |> Transform.rebuild(leaves) |> Tuple.to_list()
  end
end
