defmodule Mlx.Transforms do
  # What `Mlx.grad` and the others do: outside of defn they compile a function that holds the transform; under `Mlx.Compiler` the
  # core transforms; under other compilers Nx's own ways are called.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.Transforms.{Derivatives, Mapping}

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
    with_wrt(name, fun, options, [:transform, :tape], fn args, wrt, options ->
      Derivatives.derive(name, args, fun, wrt, how(name, options))
    end)
  end

  defp by_vars(name, vars, fun, options) do
    of_vars(name, vars, fun, options, [:transform, :tape], fn args, options ->
      Derivatives.derive(name, args, fun, 0, how(name, options))
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
    {args, wrt, options} = call!("vjp", fun, args, options, [:tape])
    tape = Mlx.Program.tape!(options, "vjp")
    fun = answering("vjp", fun)

    run({args, cotangents}, options, fn {args, cotangents} ->
      Derivatives.pull(args, fun, wrt, cotangents, tape)
    end)
  end

  def jvp(fun, args, tangents, options \\ []) do
    {args, wrt, options} = call!("jvp", fun, args, options, [])
    fun = answering("jvp", fun)
    positions = List.wrap(wrt)
    expected = "a list of #{length(positions)} tangents"
    fits? = is_list(tangents) and length(tangents) == length(positions)
    Argument.check!(fits?, "jvp", expected, tangents)

    run({args, containers!("jvp", tangents)}, options, fn {args, tangents} ->
      Derivatives.push(args, fun, positions, tangents)
    end)
  end

  for name <- [:jacobian, :hessian] do
    def unquote(name)(fun), do: unquote(name)(fun, [])

    def unquote(name)(fun, options) when is_function(fun) do
      with_wrt(unquote("#{name}"), fun, options, [:tape], fn args, wrt, options ->
        tape = Mlx.Program.tape!(options, unquote("#{name}"))
        fun = answering(unquote("#{name}"), fun)
        Mapping.matrix(unquote(name), args, fun, wrt, tape)
      end)
    end

    def unquote(name)(vars, fun), do: unquote(name)(vars, fun, [])

    def unquote(name)(vars, fun, options) do
      of_vars(unquote("#{name}"), vars, fun, options, [:tape], fn args, options ->
        tape = Mlx.Program.tape!(options, unquote("#{name}"))
        fun = answering(unquote("#{name}"), fun)
        Mapping.matrix(unquote(name), args, fun, 0, tape)
      end)
    end
  end

  def vmap(fun, options \\ []) do
    arity = arity!("vmap", fun)
    options = options!("vmap", options, [:in_axes, :out_axes])
    in_axes = in_axes!(Keyword.get(options, :in_axes, 0), arity)
    out_axes = Keyword.get(options, :out_axes, 0)
    fun = answering("vmap", fun)
    expected = ":out_axes to be an axis, or a tuple of axes, one for each element of the result"
    Argument.check!(out_axes?(out_axes), "vmap", expected, out_axes)

    of_arity(arity, fn args ->
      "vmap" |> containers!(args) |> run(options, &Mapping.map_over(&1, fun, in_axes, out_axes))
    end)
  end

  def stop_gradient(container) do
    {container} = containers!("stop_gradient", [container])

    # Only what is traced is ever differentiated.
    if Nx.Defn.Compiler.current(), do: Derivatives.stop(container), else: container
  end

  def checkpoint(fun) do
    arity = arity!("checkpoint", fun)
    fun = answering("checkpoint", fun)

    of_arity(arity, fn args ->
      "checkpoint" |> containers!(args) |> run([], &Derivatives.checkpoint(&1, fun))
    end)
  end

  def custom_vjp(fun, backward) do
    arity = arity!("custom_vjp", fun)
    expected = "a function of the cotangents, the arguments and the result for the gradient"
    Argument.check!(is_function(backward, 3), "custom_vjp", expected, backward)
    fun = answering("custom_vjp", fun)

    of_arity(arity, fn args ->
      "custom_vjp" |> containers!(args) |> run([], &Derivatives.custom(&1, fun, backward))
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

  defp call!(name, fun, args, options, known) do
    Argument.check!(is_list(args), name, "a list of arguments", args)
    count = length(args)
    Argument.check!(is_function(fun, count), name, "a function of arity #{count}", fun)
    options = options!(name, options, [:wrt | known])
    all = Enum.to_list(0..(count - 1)//1)
    {containers!(name, args), wrt!(name, Keyword.get(options, :wrt, all), count), options}
  end

  @doc "The tensors that a program answers."
  def run_program(program, inputs) do
    tensors =
      for input <- inputs do
        tensor? = is_number(input) or is_struct(input, Nx.Tensor) or is_struct(input, Complex)
        Argument.check!(tensor?, "run", "tensors, or handles alone", input)
        input |> Nx.to_tensor() |> Nx.devectorize()
      end

    outs =
      for {_name, {type, shape}} <- Mlx.Program.outputs(program), do: Nx.template(shape, type)

    Mlx.Backend.run_program(program.handle, tensors, outs)
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

    how(name, options)
    options
  end

  defp arity!(name, fun) do
    arity = if is_function(fun), do: Function.info(fun, :arity) |> elem(1), else: 0
    Argument.check!(arity in 1..20, name, "a function of 1 to 20 arguments", fun)
    arity
  end

  defp how(name, options), do: {transform!(name, options), Mlx.Program.tape!(options, name)}

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

  # The function, whose answer is known to be one of tensors.
  defp answering(name, fun) do
    expected = "the function to answer tensors or containers of tensors"

    check = fn args ->
      answer = apply(fun, args)
      Argument.check!(container?(answer), name, expected, answer)
      answer
    end

    {:arity, arity} = Function.info(fun, :arity)
    if arity in 1..20, do: of_arity(arity, check), else: fun
  end

  # Inside of defn the function is a part of what is traced.
  defp run(args, options, inside) do
    options =
      [compiler: Mlx.Compiler, on_conflict: :reuse] ++ Keyword.take(options, @compiler_options)

    Nx.Defn.jit_apply(inside, [args], options)
  end

  @doc "A function of `arity` arguments, for one of their list."
  def of_arity(arity, fun)

  for count <- 1..20 do
    arguments = Macro.generate_arguments(count, __MODULE__)

    def of_arity(unquote(count), fun),
      do: fn unquote_splicing(arguments) -> fun.(unquote(arguments)) end
  end
end
