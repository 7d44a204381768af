defmodule Mlx.Transforms do
  # What `Mlx.grad` and the others do: outside of defn they compile a function that holds the transform; under `Mlx.Compiler` the
  # core transforms; under other compilers Nx's own ways are called.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.Compiler.Transform
  alias Nx.Defn.Expr

  @compiler_options [:cache, :device, :hooks]

  ## The forms of calls

  def grad(fun), do: grad(fun, [])
  def grad(fun, options) when is_function(fun), do: by_arguments("grad", fun, options)
  def grad(vars, fun), do: grad(vars, fun, [])
  def grad(vars, fun, options), do: by_vars("grad", vars, fun, options)

  def value_and_grad(fun), do: value_and_grad(fun, [])

  def value_and_grad(fun, options) when is_function(fun),
    do: by_arguments("value_and_grad", fun, options)

  def value_and_grad(vars, fun), do: value_and_grad(vars, fun, [])

  def value_and_grad(vars, fun, transform) when is_function(transform),
    do: value_and_grad(vars, fun, transform: transform)

  def value_and_grad(vars, fun, options), do: by_vars("value_and_grad", vars, fun, options)

  # A function of the same arguments.
  defp by_arguments(name, fun, options) do
    {:arity, arity} = Function.info(fun, :arity)
    Argument.check!(arity in 1..20, name, "a function of 1 to 20 arguments", fun)
    options = options!(name, options, [:wrt, :transform])
    wrt = wrt!(name, Keyword.get(options, :wrt, 0), arity)
    transform = transform!(name, options)

    of_arity(arity, fn args ->
      args = containers!(name, args)
      run(args, options, &derive(name, &1, fun, wrt, transform))
    end)
  end

  defp by_vars(name, vars, fun, options) do
    Argument.check!(is_function(fun, 1), name, "a function of one argument", fun)
    options = options!(name, options, [:transform])
    transform = transform!(name, options)
    args = containers!(name, [vars])
    run(args, options, &derive(name, &1, fun, 0, transform))
  end

  def vjp(fun, args, cotangents, options \\ []) do
    {args, wrt, options} = call!("vjp", fun, args, options)

    run({args, cotangents}, options, fn {args, cotangents} -> pull(args, fun, wrt, cotangents) end)
  end

  def jvp(fun, args, tangents, options \\ []) do
    {args, wrt, options} = call!("jvp", fun, args, options)
    positions = List.wrap(wrt)
    expected = "a list of #{length(positions)} tangents"
    fits? = is_list(tangents) and length(tangents) == length(positions)
    Argument.check!(fits?, "jvp", expected, tangents)

    run({args, containers!("jvp", tangents)}, options, fn {args, tangents} ->
      push(args, fun, positions, tangents)
    end)
  end

  defp call!(name, fun, args, options) do
    Argument.check!(is_list(args), name, "a list of arguments", args)
    count = length(args)
    Argument.check!(is_function(fun, count), name, "a function of arity #{count}", fun)
    options = options!(name, options, [:wrt])
    all = Enum.to_list(0..(count - 1)//1)
    {containers!(name, args), wrt!(name, Keyword.get(options, :wrt, all), count), options}
  end

  @doc "The tensors that a program answers."
  def run_program(program, inputs) do
    Enum.each(inputs, fn input ->
      tensor? = is_number(input) or is_struct(input, Nx.Tensor) or is_struct(input, Complex)
      Argument.check!(tensor? or is_reference(input), "run", "tensors", input)
    end)

    where = Mlx.Stream.where()

    refs =
      for input <- inputs do
        if is_reference(input),
          do: input,
          else: input |> Nx.to_tensor() |> Nx.devectorize() |> Mlx.Backend.to_ref(where)
      end

    refs = program.handle |> Mlx.NIF.program_run(refs, where) |> Mlx.Memory.collected()

    for {ref, {_name, {type, shape}}} <- Enum.zip(refs, Mlx.Program.outputs(program)) do
      %{Nx.template(shape, type) | data: %Mlx.Backend{ref: ref}}
    end
  end

  ## Checks

  defp options!(name, options, known) do
    is_keyword = Keyword.keyword?(options)
    Argument.check!(is_keyword, name, "options as a keyword list", options)
    only = "no options but #{Enum.map_join(known ++ @compiler_options, ", ", &inspect/1)}"

    Argument.check!(
      Keyword.keys(options) -- (known ++ @compiler_options) == [],
      name,
      only,
      options
    )

    options
  end

  defp transform!(name, options) do
    transform = Keyword.get(options, :transform, &Function.identity/1)
    expected = ":transform to be a function of one argument"
    Argument.check!(is_function(transform, 1), name, expected, transform)
    transform
  end

  defp wrt!(name, wrt, arity) do
    positions = List.wrap(wrt)
    expected = ":wrt to be a position or a list of them, below #{arity}"
    fit? = positions != [] and Enum.all?(positions, &(is_integer(&1) and &1 in 0..(arity - 1)//1))
    Argument.check!(fit?, name, expected, wrt)
    expected = ":wrt to name each position once"
    Argument.check!(Enum.uniq(positions) == positions, name, expected, wrt)
    wrt
  end

  defp containers!(name, args) do
    expected = "tensors or containers of tensors"
    Enum.each(args, &Argument.check!(container?(&1), name, expected, &1))
    List.to_tuple(args)
  end

  defp container?(arg) when is_list(arg), do: false

  defp container?(arg) do
    Nx.LazyContainer.traverse(arg, nil, fn template, _fun, acc -> {template, acc} end)
    true
  rescue
    Protocol.UndefinedError -> false
  end

  # Inside of defn the function is a part of what is traced.
  defp run(args, options, inside) do
    options =
      [compiler: Mlx.Compiler, on_conflict: :reuse] ++ Keyword.take(options, @compiler_options)

    Nx.Defn.jit_apply(inside, [args], options)
  end

  for count <- 1..20 do
    arguments = Macro.generate_arguments(count, __MODULE__)

    defp of_arity(unquote(count), fun),
      do: fn unquote_splicing(arguments) -> fun.(unquote(arguments)) end
  end

  defp native?, do: Nx.Defn.Compiler.current() == Mlx.Compiler

  ## Gradients

  # `args` is the tuple of the function's arguments, `wrt` a position or a list of them.
  defp derive(name, args, fun, wrt, transform) do
    {result, gradients} =
      if native?(),
        do: gradient(args, fun, List.wrap(wrt), transform),
        else: gradient_of_nx(args, fun, List.wrap(wrt), transform)

    gradients = if is_list(wrt), do: List.to_tuple(gradients), else: hd(gradients)
    if name == "grad", do: gradients, else: {result, gradients}
  end

  defp gradient(args, fun, wrt, transform) do
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
      parameters: positions,
      params: params,
      outputs: values
    }

    default = fn operands ->
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Transform.like/2))
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

  defp pull(args, fun, wrt, cotangents) do
    {result, gradients} =
      if native?(),
        do: pull_native(args, fun, List.wrap(wrt), cotangents),
        else: pull_of_nx(args, fun, List.wrap(wrt), cotangents)

    {result, if(is_list(wrt), do: List.to_tuple(gradients), else: hd(gradients))}
  end

  defp pull_native(args, fun, wrt, cotangents) do
    {own, params, result} = traced(args, & &1, &apply(fun, Tuple.to_list(&1)))
    values = Transform.leaves(result)
    positions = positions(args, wrt)
    templates = values ++ (own |> pick(positions) |> Enum.map(&cotangent/1))
    node = %Transform{name: :vjp, parameters: positions, params: params, outputs: values}
    cotangents = conform!("vjp", cotangents, result, values)

    default = fn operands ->
      {operands, cotangents} = Enum.split(operands, length(own))
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Transform.like/2))
      cotangents = Enum.zip_with(cotangents, values, &Transform.like/2)
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
    given = [container] |> Nx.Defn.Composite.flatten_list() |> Enum.map(&Expr.tensor/1)
    expected = "as many tensors as #{inspect(Nx.to_template(of))} has"
    Argument.check!(length(given) == length(leaves), name, expected, container)

    for {tensor, leaf} <- Enum.zip(given, leaves) do
      [_, tensor] = Nx.broadcast_vectors([leaf, tensor])
      type = Transform.cotangent_type(leaf.type)
      tensor |> Nx.as_type(type) |> Nx.broadcast(leaf.shape)
    end
  end

  ## Jacobian-vector products

  defp push(args, fun, wrt, tangents) do
    if native?(),
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
    node = %Transform{name: :jvp, parameters: positions, params: params, outputs: values}

    default = fn operands ->
      {operands, tangents} = Enum.split(operands, length(own))
      args = Transform.rebuild(args, Enum.zip_with(operands, own, &Transform.like/2))
      tangents = tangents |> Enum.zip_with(given, &Transform.like/2)
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

  ## What all have in common

  # The function of the arguments' leaves, which get all vectorized axes that any of them has, and those of its result: each
  # entry has a gradient of its own. Returns the leaves, the parameters and what the function answers.
  defp traced(args, result, fun) do
    leaves = Nx.broadcast_vectors(Transform.leaves(args))
    {params, answer} = Transform.trace(leaves, &fun.(Transform.rebuild(args, &1)))
    axes = answer |> result.() |> Transform.leaves() |> Enum.flat_map(& &1.vectorized_axes)

    case Enum.uniq(axes) -- hd(leaves).vectorized_axes do
      [] ->
        {leaves, params, answer}

      more ->
        along = Nx.vectorize(Nx.broadcast(0, more |> Keyword.values() |> List.to_tuple()), more)
        [_ | leaves] = Nx.broadcast_vectors([along | leaves])
        {params, answer} = Transform.trace(leaves, &fun.(Transform.rebuild(args, &1)))
        {leaves, params, answer}
    end
  end

  # The positions of the leaves of the arguments at `wrt`.
  defp positions(args, wrt) do
    counts = args |> Tuple.to_list() |> Enum.map(&Nx.Defn.Composite.count/1)
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
