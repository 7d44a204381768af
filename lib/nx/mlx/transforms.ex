defmodule Mlx.Transforms do
  # What `Mlx.grad` and the others do: outside of defn they compile a function that holds the transform; under `Mlx.Compiler` the
  # core transforms; under other compilers Nx's own ways are called.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.Compiler.Transform
  alias Nx.Defn.{Composite, Expr}

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

  defp by_arguments(name, fun, options) do
    with_wrt(name, fun, options, [:transform], fn args, wrt, options ->
      derive(name, args, fun, wrt, transform!(name, options))
    end)
  end

  defp by_vars(name, vars, fun, options) do
    of_vars(name, vars, fun, options, [:transform], fn args, options ->
      derive(name, args, fun, 0, transform!(name, options))
    end)
  end

  # A function of the same arguments.
  defp with_wrt(name, fun, options, known, inside) do
    arity = arity!(name, fun)
    options = options!(name, options, [:wrt | known])
    wrt = wrt!(name, Keyword.get(options, :wrt, 0), arity)

    of_arity(arity, fn args ->
      name |> containers!(args) |> run(options, &inside.(&1, wrt, options))
    end)
  end

  defp of_vars(name, vars, fun, options, known, inside) do
    Argument.check!(is_function(fun, 1), name, "a function of one argument", fun)
    options = options!(name, options, known)
    name |> containers!([vars]) |> run(options, &inside.(&1, options))
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

  for name <- [:jacobian, :hessian] do
    def unquote(name)(fun), do: unquote(name)(fun, [])

    def unquote(name)(fun, options) when is_function(fun) do
      with_wrt(unquote("#{name}"), fun, options, [], fn args, wrt, _options ->
        matrix(unquote(name), args, fun, wrt)
      end)
    end

    def unquote(name)(vars, fun), do: unquote(name)(vars, fun, [])

    def unquote(name)(vars, fun, options) do
      of_vars(unquote("#{name}"), vars, fun, options, [], fn args, _options ->
        matrix(unquote(name), args, fun, 0)
      end)
    end
  end

  def vmap(fun, options \\ []) do
    arity = arity!("vmap", fun)
    options = options!("vmap", options, [:in_axes, :out_axes])
    in_axes = in_axes!(Keyword.get(options, :in_axes, 0), arity)
    out_axes = Keyword.get(options, :out_axes, 0)
    expected = ":out_axes to be an axis, or a tuple of axes, one for each element of the result"
    Argument.check!(out_axes?(out_axes), "vmap", expected, out_axes)

    of_arity(arity, fn args ->
      "vmap" |> containers!(args) |> run(options, &map_over(&1, fun, in_axes, out_axes))
    end)
  end

  defp out_axes?(axes) when is_tuple(axes),
    do: axes |> Tuple.to_list() |> Enum.all?(&is_integer/1)

  defp out_axes?(axis), do: is_integer(axis)

  # One for each argument.
  defp in_axes!(axes, arity) do
    listed = if is_list(axes), do: axes, else: List.duplicate(axes, arity)
    fits? = length(listed) == arity and Enum.all?(listed, &(is_integer(&1) or &1 == nil))

    expected =
      ":in_axes to be an axis, or a list of #{arity} axes or nils, of which not all are nil"

    Argument.check!(fits? and Enum.any?(listed), "vmap", expected, axes)
    listed
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

    transform!(name, options)
    options
  end

  defp arity!(name, fun) do
    arity = if is_function(fun), do: Function.info(fun, :arity) |> elem(1), else: 0
    Argument.check!(arity in 1..20, name, "a function of 1 to 20 arguments", fun)
    arity
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
    # As many gradients as there are cotangents.
    args = Transform.rebuild(args, args |> Transform.leaves() |> along(axes(cotangents)))

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

  ## Jacobians and Hessians

  defp matrix(:jacobian, args, fun, wrt), do: jacobian_of(args, fun, wrt)

  defp matrix(:hessian, args, fun, wrt) do
    gradient = fn args -> derive("grad", args, fun, wrt, &Function.identity/1) end
    of_arity = of_arity(tuple_size(args), &gradient.(List.to_tuple(&1)))
    jacobian_of(args, of_arity, wrt)
  end

  # Cotangents are the rows of a unit matrix, all at once.
  defp jacobian_of(args, fun, wrt) do
    {_params, result} =
      args
      |> Transform.leaves()
      |> Transform.trace(&apply(fun, Tuple.to_list(Transform.rebuild(args, &1))))

    leaves = Transform.leaves(result)
    sizes = Enum.map(leaves, &Tuple.product(&1.shape))
    rows = leaves |> unit_rows(sizes) |> then(&Transform.rebuild(result, &1))

    pulled =
      map_over({rows}, fn row -> args |> pull(fun, List.wrap(wrt), row) |> elem(1) end, [0], 0)

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

  ## Functions of one example, mapped over many

  defp map_over(args, fun, in_axes, out_axes) do
    leaves = Transform.leaves(args)
    axes = args |> leaf_axes(in_axes) |> Enum.zip_with(leaves, &axis!/2)
    size = size!(leaves, axes)

    if native?(),
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
      leaves = Enum.zip_with(operands, leaves, &Transform.like/2)
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
        flat |> Nx.broadcast(shape, axes: axes) |> Transform.like(template)

      at ->
        axes =
          Enum.to_list(0..(Nx.rank(flat) - 1)//1)
          |> List.delete_at(at)
          |> List.insert_at(place, at)

        flat |> Nx.transpose(axes: axes) |> Transform.like(template)
    end
  end

  ## What all have in common

  # The function of the arguments' leaves, which get all vectorized axes that any of them has, and those of its result: each
  # entry has a gradient of its own. Returns the leaves, the parameters and what the function answers.
  defp traced(args, result, fun) do
    leaves = Nx.broadcast_vectors(Transform.leaves(args))
    {params, answer} = Transform.trace(leaves, &fun.(Transform.rebuild(args, &1)))

    case axes(result.(answer)) -- hd(leaves).vectorized_axes do
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
