defmodule Mlx.Optimizers do
  @moduledoc """
  The optimizers of `mlx.optimizers`, from the definitions of the C++ library.

  An optimizer is a pair `{init, update}` of functions, the form of Polaris, so that `Axon.Loop` takes it:

      {init, update} = Mlx.Optimizers.adamw(learning_rate: 1.0e-3)
      state = init.(params)
      {updates, state} = update.(gradients, state, params)
      params = Mlx.Optimizers.apply_updates(params, updates)

  Parameters are containers of tensors. A state is a nested map by MLX's names: `"step"`, `"learning_rate"`, and for each parameter
  what is kept of it: `state["layers"]["0"]["weight"]["m"]`. It is saved and loaded as parameters are (`Mlx.NN.save_weights/3`).
  All of it works inside of `defn` and compiled functions as well.

  Each takes `:learning_rate`, a number or a schedule (`cosine_decay/1` and others), and the options of MLX with MLX's defaults.
  Unknown options raise `ArgumentError` when the optimizer is used.
  """

  alias Mlx.Argument
  alias Mlx.NN.{Callable, Parameters}
  alias Nx.Defn.Expr
  alias Nx.Tensor, as: T

  @typedoc "A learning rate that changes with the step."
  @type schedule ::
          {atom(), keyword()} | {:join_schedules, [schedule], [non_neg_integer()]}

  @typedoc "How the state begins, and how a step changes parameters."
  @type t ::
          {(Nx.Container.t() -> map()),
           (Nx.Container.t(), map(), Nx.Container.t() -> {Nx.Container.t(), map()})}

  @methods [
    sgd:
      "`v = momentum v + (1 - dampening) g; w = w - r v`. Options: `:momentum`, `:weight_decay`, `:dampening`, `:nesterov`.",
    rmsprop:
      "`v = alpha v + (1 - alpha) g²; w = w - r g / (√v + eps)`. Options: `:alpha`, `:eps`.",
    adagrad: "`v = v + g²; w = w - r g / (√v + eps)`. Options: `:eps`.",
    adadelta: "Steps as large as the last ones (Zeiler, 2012). Options: `:rho`, `:eps`.",
    adam:
      "`m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; w = w - r m / (√v + eps)`. Options: `:betas`, `:eps`, `:bias_correction`.",
    adamw:
      "`adam/1` with weights that decay by themselves. Options: `:betas`, `:eps`, `:weight_decay`, `:bias_correction`.",
    adamax: "`adam/1` by the largest gradient in place of its square. Options: `:betas`, `:eps`.",
    lion:
      "Steps by the sign of an average (Chen and others, 2023). Options: `:betas`, `:weight_decay`.",
    adafactor:
      "Second moments by rows and columns (Shazeer and Stern, 2018). Options: `:eps`, `:clip_threshold`, `:decay_rate`, `:beta_1`, " <>
        "`:weight_decay`, `:scale_parameter`, `:relative_step`, `:warmup_init`.",
    muon:
      "Orthogonal steps of matrices (Jordan, 2024). Options: `:momentum`, `:weight_decay`, `:nesterov`, `:ns_steps`."
  ]

  for {name, text} <- @methods do
    @doc """
    #{text} mlx: `optimizers`.

    ## Examples

        iex> {init, update} = Mlx.Optimizers.#{name}(learning_rate: 0.5)
        iex> params = %{"w" => Nx.tensor([[1.0, 2.0]])}
        iex> {updates, state} = update.(%{"w" => Nx.tensor([[1.0, 0.0]])}, init.(params), params)
        iex> {updates["w"].shape, Nx.to_number(state["step"])}
        {{1, 2}, 1}
    """
    @spec unquote(name)(keyword()) :: t
    def unquote(name)(options \\ []), do: optimizer(unquote(name), options)
  end

  @doc """
  Several optimizers in one, each for the parameters that its filter means and those before it leave; the last one, which has no
  filter, for all others. A filter is a function of a parameter's dotted name and of the parameter, whose type and shape can be looked
  at. The state is that of each under `state["states"]["0"]`, `state["states"]["1"]`, … mlx: `optimizers.MultiOptimizer`.

  Raises `ArgumentError` unless there is a filter less than optimizers.

  ## Examples

      iex> alias Mlx.Optimizers
      iex> is_matrix = fn _name, tensor -> Nx.rank(tensor) == 2 end
      iex> {init, update} = Optimizers.multi([Optimizers.sgd(learning_rate: 1.0), Optimizers.sgd(learning_rate: 0.1)], [is_matrix])
      iex> params = %{"w" => Nx.tensor([[1.0]]), "b" => Nx.tensor([1.0])}
      iex> {updates, _state} = update.(params, init.(params), params)
      iex> Optimizers.apply_updates(params, updates)["w"] |> Nx.to_list()
      [[0.0]]
  """
  @spec multi([t], [(String.t(), Nx.Tensor.t() -> as_boolean(term()))]) :: t
  def multi(optimizers, filters) do
    pair? = &match?({init, update} when is_function(init, 1) and is_function(update, 3), &1)
    fits? = Argument.list_of?(optimizers, pair?)
    Argument.check!(fits?, "multi", "a list of optimizers {init, update}", optimizers)
    fits? = Argument.list_of?(filters, &is_function(&1, 2))
    expected = "a list of filters, functions of a name and a tensor"
    Argument.check!(fits?, "multi", expected, filters)
    fits? = length(filters) == length(optimizers) - 1
    expected = "a filter less than the #{length(optimizers)} optimizers"
    Argument.check!(fits?, "multi", expected, filters)

    init = fn params ->
      states =
        Enum.zip_with(optimizers, parts(params, params, filters), fn {init, _update}, part ->
          init.(part)
        end)

      numbered(states)
    end

    update = fn gradients, state, params ->
      gradients!("multi", gradients, Enum.map(Parameters.named(params), &elem(&1, 0)))

      {updates, states} =
        [
          optimizers,
          parts(gradients, params, filters),
          states!(state, length(optimizers)),
          parts(params, params, filters)
        ]
        |> Enum.zip_with(fn [{_init, update}, gradients, state, params] ->
          update.(gradients, state, params)
        end)
        |> Enum.unzip()

      by_name = updates |> Enum.flat_map(&Parameters.flatten/1) |> Map.new()
      updates = for {name, _} <- Parameters.flatten(params), do: Map.fetch!(by_name, name)
      {Parameters.rebuild(params, updates), numbered(states)}
    end

    {init, update}
  end

  # The tensors of a container that has the parameters' names, those of each optimizer in a map of their own.
  defp parts(container, params, filters) do
    owners =
      for {name, tensor} <- Parameters.named(params),
          do: Enum.find_index(filters, & &1.(name, tensor)) || length(filters)

    owned = Enum.zip(owners, Parameters.flatten(container))
    for i <- 0..length(filters), do: Map.new(for {^i, named} <- owned, do: named)
  end

  defp numbered(states),
    do: %{"states" => for({state, i} <- Enum.with_index(states), into: %{}, do: {"#{i}", state})}

  defp states!(state, count) do
    states = for i <- 0..(count - 1), do: get_in(state, ["states", "#{i}"])
    fits? = Enum.all?(states, &is_map/1)
    Argument.check!(fits?, "multi", "a state of these #{count} optimizers, made by init", state)
    states
  end

  defp optimizer(name, options) do
    Callable.check_options!(options, name)

    {options, schedule} =
      case options[:learning_rate] do
        rate when is_tuple(rate) -> {Keyword.delete(options, :learning_rate), schedule!(rate)}
        _number -> {options, nil}
      end

    options = Enum.sort(options)

    init = fn params ->
      {names, tensors} = params |> Parameters.named() |> Enum.unzip()
      check_mapped!(name, tensors)
      check_names!(name, names)

      {:optimizer_init, name, options, schedule, names}
      |> Callable.call(tensors)
      |> Parameters.nest()
    end

    update = fn gradients, state, params ->
      {names, tensors} = params |> Parameters.flatten() |> Enum.unzip()
      {state_names, state} = state |> Parameters.flatten() |> Enum.unzip()
      gradients = gradients!(name, gradients, names)

      {updated, state} =
        {:optimizer_update, name, options, schedule, names, state_names}
        |> Callable.call(gradients ++ tensors ++ state)
        |> Enum.split(length(names))

      updates = Enum.zip_with(updated, tensors, fn {_, new}, old -> Nx.subtract(new, old) end)
      {Parameters.rebuild(params, updates), Parameters.nest(state)}
    end

    {init, update}
  end

  # A state is a nested map, with these beside what belongs to parameters.
  defp check_names!(optimizer, names) do
    for name <- names, [own | _] = String.split(name, "."), own in ["step", "learning_rate"] do
      raise ArgumentError,
            "[#{optimizer}] the state has a #{own} of its own: call the parameter #{name} otherwise"
    end
  end

  # All are mapped over the same examples: the state counts steps for each of them.
  defp check_mapped!(name, tensors) do
    axes = tensors |> Enum.map(& &1.vectorized_axes) |> Enum.uniq()
    expected = "parameters that are all vectorized by the same axes, or none"
    Argument.check!(length(axes) < 2, "#{name}", expected, axes)
  end

  defp gradients!(name, gradients, names) do
    {own, tensors} = gradients |> Parameters.flatten() |> Enum.unzip()
    Argument.check!(own == names, "#{name}", "gradients of the parameters #{inspect(names)}", own)
    tensors
  end

  defp schedule!({:join_schedules, schedules, boundaries})
       when is_list(schedules) and is_list(boundaries),
       do: {:join_schedules, Enum.map(schedules, &schedule!/1), boundaries}

  defp schedule!({name, options} = schedule) when is_atom(name) and is_list(options), do: schedule

  defp schedule!(other),
    do: Argument.check!(false, "learning_rate", "a number or a schedule", other)

  @doc """
  The parameters with the updates added, in the parameters' types.

  Raises `ArgumentError` unless there is an update for each parameter, by its name.

  ## Examples

      iex> Mlx.Optimizers.apply_updates(%{"w" => Nx.tensor([1.0])}, %{"w" => Nx.tensor([-0.5])})["w"] |> Nx.to_list()
      [0.5]
  """
  @spec apply_updates(Nx.Container.t(), Nx.Container.t()) :: Nx.Container.t()
  def apply_updates(params, updates) do
    {names, olds} = params |> Parameters.flatten() |> Enum.unzip()
    {own, updates} = updates |> Parameters.flatten() |> Enum.unzip()
    expected = "updates of the parameters #{inspect(names)}"
    Argument.check!(own == names, "apply_updates", expected, own)
    Parameters.rebuild(params, Enum.zip_with(olds, updates, &updated/2))
  end

  # Inside of `defn` an update still says what it is the difference of: no need to add again what was taken away.
  defp updated(old, by) do
    with %T{data: %Expr{id: id}} <- old,
         %T{data: %Expr{op: :subtract, args: [new, %T{data: %Expr{id: ^id}}]}} <- by,
         true <- Nx.compatible?(new, old) do
      %{new | names: old.names}
    else
      _ -> old |> Nx.add(by) |> Nx.as_type(old.type)
    end
  end

  @doc """
  Gradients scaled so that the norm of all of them together is at most `max_norm`, and the norm that they had. mlx:
  `optimizers.clip_grad_norm`.

  ## Examples

      iex> {clipped, norm} = Mlx.Optimizers.clip_grad_norm(%{"w" => Nx.tensor([3.0, 4.0])}, 10.0)
      iex> {Nx.to_list(clipped["w"]), Nx.to_number(norm)}
      {[3.0, 4.0], 5.0}
  """
  @spec clip_grad_norm(Nx.Container.t(), number()) :: {Nx.Container.t(), Nx.Tensor.t()}
  def clip_grad_norm(gradients, max_norm) do
    Argument.check!(is_number(max_norm), "clip_grad_norm", "a number", max_norm)
    {_names, tensors} = gradients |> Parameters.flatten() |> Enum.unzip()
    answers = {:clip_grad_norm, max_norm / 1} |> Callable.call(tensors) |> Enum.map(&elem(&1, 1))
    {clipped, [norm]} = Enum.split(answers, length(tensors))
    {Parameters.rebuild(gradients, clipped), norm}
  end

  ## Schedules

  @schedules [
    exponential_decay:
      {"`:init` times `:decay_rate` to the power of the step.", "init: 0.1, decay_rate: 0.9"},
    step_decay:
      {"`:init`, multiplied by `:decay_rate` after every `:step_size` steps.",
       "init: 0.1, decay_rate: 0.5, step_size: 10"},
    cosine_decay:
      {"From `:init` to `:end` (default 0) in `:decay_steps` steps along half a wave of the cosine.",
       "init: 0.1, decay_steps: 100"},
    linear_schedule:
      {"From `:init` to `:end` in `:steps` steps on a straight line.",
       "init: 0.0, end: 0.1, steps: 10"}
  ]

  for {name, {text, example}} <- @schedules do
    @doc """
    #{text} A learning rate for any optimizer.

    ## Examples

        iex> {init, _update} = Mlx.Optimizers.sgd(learning_rate: Mlx.Optimizers.#{name}(#{example}))
        iex> Map.keys(init.(%{"w" => Nx.tensor([1.0])}))
        ["learning_rate", "step", "w"]
    """
    @doc type: :schedule
    @spec unquote(name)(keyword()) :: schedule
    def unquote(name)(options) do
      Callable.check_options!(options, unquote(name))
      {unquote(name), Enum.sort(options)}
    end
  end

  @doc """
  One schedule after another: each begins at its boundary and counts steps from there.

  ## Examples

      iex> warmup = Mlx.Optimizers.linear_schedule(init: 0.0, end: 0.1, steps: 10)
      iex> decay = Mlx.Optimizers.cosine_decay(init: 0.1, decay_steps: 90)
      iex> {init, _} = Mlx.Optimizers.adam(learning_rate: Mlx.Optimizers.join_schedules([warmup, decay], [10]))
      iex> init.(%{"w" => Nx.tensor([1.0])})["learning_rate"] |> Nx.to_number()
      0.0
  """
  @doc type: :schedule
  @spec join_schedules([schedule], [non_neg_integer()]) :: schedule
  def join_schedules(schedules, boundaries) do
    fits? =
      Argument.list_of?(boundaries, &(is_integer(&1) and &1 >= 0)) and
        Enum.sort(boundaries) == boundaries

    Argument.check!(fits?, "join_schedules", "boundaries that ascend from 0 on", boundaries)
    schedule!({:join_schedules, schedules, boundaries})
  end
end
