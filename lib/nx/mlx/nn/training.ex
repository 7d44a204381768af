defmodule Mlx.NN.Training do
  @moduledoc """
  What `Mlx.NN.train/4` answers.

    * `:params` - the parameters: the best ones where there is `:validate`, else the last
    * `:state` - the optimizer's state
    * `:epochs`, `:steps` - how many there were, those of a resumed checkpoint included
    * `:history` - for each epoch the mean loss and what `:validate` answered: `%{loss: 0.31, validation: nil}`
    * `:stopped_early` - whether `:patience` ended it
  """

  alias Mlx.{Argument, Optimizers}
  alias Mlx.NN.{Parameters, Weights}

  @enforce_keys [:params, :state, :best]
  defstruct [
    :params,
    :state,
    :best,
    epochs: 0,
    steps: 0,
    history: [],
    stopped_early: false,
    stale: 0
  ]

  @type t :: %__MODULE__{}

  @options [
    optimizer: nil,
    epochs: 1,
    key: nil,
    clip: nil,
    validate: nil,
    mode: :min,
    patience: nil,
    checkpoint: nil,
    progress: true,
    log_every: 20
  ]

  @doc false
  def run(params, loss, data, options) do
    options = options!(options)
    fits? = is_function(loss, 2) or is_function(loss, 3)
    expected = "a function of the parameters and a batch, and of a key as a third argument"
    Argument.check!(fits?, "train", expected, loss)
    {init, _update} = options.optimizer

    training =
      %__MODULE__{params: params, state: init.(params), best: {nil, params}} |> resumed(options)

    step = step(loss, options)

    Stream.iterate(training.epochs + 1, &(&1 + 1))
    |> Enum.reduce_while(training, &epoch(&1, &2, step, data, options))
    |> finished()
  end

  defp options!(options) do
    Argument.check!(Keyword.keyword?(options), "train", "options as a keyword list", options)
    only = "no options but #{Enum.map_join(@options, ", ", fn {name, _} -> inspect(name) end)}"
    Argument.check!(Keyword.keys(options) -- Keyword.keys(@options) == [], "train", only, options)
    options = @options |> Keyword.merge(options) |> Map.new()

    check = fn name, fits?, expected ->
      Argument.check!(fits?, "train", ":#{name} to be #{expected}", options[name])
    end

    check.(
      :optimizer,
      match?({f, g} when is_function(f, 1) and is_function(g, 3), options.optimizer),
      "an optimizer of Mlx.Optimizers"
    )

    check.(:epochs, is_integer(options.epochs) and options.epochs >= 0, "a number of epochs")
    check.(:clip, options.clip == nil or is_number(options.clip), "a norm")

    check.(
      :validate,
      options.validate == nil or is_function(options.validate, 1),
      "a function of the parameters"
    )

    check.(:mode, options.mode in [:min, :max], ":min or :max")
    patient? = options.patience == nil or (is_integer(options.patience) and options.patience > 0)

    check.(
      :patience,
      patient? and (options.patience == nil or options.validate != nil),
      "a number of epochs, together with :validate"
    )

    check.(
      :log_every,
      is_integer(options.log_every) and options.log_every > 0,
      "a number of steps"
    )

    %{options | key: key(options.key)}
  end

  defp key(nil), do: Nx.Random.key(0)
  defp key(seed) when is_integer(seed), do: Nx.Random.key(seed)
  defp key(key), do: key

  # One compiled program: the loss, its gradient, and what the optimizer makes of it.
  defp step(loss, %{optimizer: {_init, update}, clip: clip}) do
    Nx.Defn.jit(
      fn params, state, batch, key ->
        value = fn params ->
          if is_function(loss, 3), do: loss.(params, batch, key), else: loss.(params, batch)
        end

        {answer, slopes} = Mlx.value_and_grad(params, value, transform: &loss_of/1)
        slopes = if clip, do: slopes |> Optimizers.clip_grad_norm(clip) |> elem(0), else: slopes
        {updates, next} = update.(slopes, state, params)

        {loss_of(answer), params |> Optimizers.apply_updates(updates) |> changed(answer, state),
         next}
      end,
      compiler: Mlx.Compiler
    )
  end

  defp loss_of({loss, _params}), do: loss
  defp loss_of(loss), do: loss

  # What the optimizer keeps nothing of, running statistics, is what the loss says.
  defp changed(params, {_loss, said}, state) do
    trained =
      MapSet.new(Parameters.flatten(state), fn {name, _} ->
        String.replace(name, ~r/\.[^.]*$/, "")
      end)

    said = Map.new(Parameters.flatten(said))

    tensors =
      for {name, tensor} <- Parameters.flatten(params),
          do: if(name in trained, do: tensor, else: Map.get(said, name, tensor))

    Parameters.rebuild(params, tensors)
  end

  defp changed(params, _loss, _state), do: params

  ## Epochs

  defp epoch(number, training, step, data, options) do
    if number > options.epochs do
      {:halt, training}
    else
      training = training |> steps(number, step, data, options) |> validated(options)
      if options.checkpoint, do: save!(training, options.checkpoint)
      if options.progress, do: IO.puts(line(training, number, options))
      stop? = options.patience != nil and training.stale >= options.patience
      if stop?, do: {:halt, %{training | stopped_early: true}}, else: {:cont, training}
    end
  end

  defp steps(training, number, step, data, options) do
    batches = if is_function(data, 1), do: data.(number), else: data
    began = System.monotonic_time()
    start = %{training: training, waiting: [], sum: 0.0, count: 0, warned?: false, began: began}

    done =
      batches
      |> Enum.reduce(start, fn batch, acc ->
        %{training: training} = acc
        key = Nx.Random.fold_in(options.key, training.steps)
        {loss, params, state} = step.(training.params, training.state, batch, key)
        training = %{training | params: params, state: state, steps: training.steps + 1}
        acc = %{acc | training: training, waiting: [loss | acc.waiting], count: acc.count + 1}

        if rem(acc.count, options.log_every) == 0,
          do: acc |> read() |> show(number, options),
          else: acc
      end)
      |> read()

    Argument.check!(done.count > 0, "train", "at least one batch in epoch #{number}", batches)
    entry = %{loss: done.sum / done.count, validation: nil, rate: rate(done)}
    %{done.training | epochs: number, history: done.training.history ++ [entry]}
  end

  # Losses are read some at a time, so that steps need not wait for each other.
  defp read(%{waiting: waiting, training: training} = acc) do
    first = training.steps - length(waiting) + 1

    waiting
    |> Enum.reverse()
    |> Enum.with_index(first)
    |> Enum.reduce(%{acc | waiting: []}, fn {loss, step}, acc ->
      case Nx.to_number(loss) do
        number when is_number(number) ->
          %{acc | sum: if(is_number(acc.sum), do: acc.sum + number, else: acc.sum)}

        no_number ->
          if not acc.warned?, do: warn(no_number, step)
          %{acc | sum: 0.0, warned?: true}
      end
    end)
  end

  defp warn(loss, step) do
    IO.warn(
      "[train] the loss is #{loss} at step #{step}: try a lower learning rate, :clip, or look for numbers out of range in the data",
      []
    )
  end

  defp show(acc, number, options) do
    if options.progress and IO.ANSI.enabled?() do
      text =
        "epoch #{number}/#{options.epochs}  step #{acc.training.steps}  loss #{round4(acc.sum / acc.count)}"

      IO.write("\r" <> text <> "  #{rate(acc)} steps/s  #{memory()}\e[K")
    end

    acc
  end

  defp rate(%{began: began, count: count}) do
    seconds =
      System.convert_time_unit(System.monotonic_time() - began, :native, :microsecond) / 1.0e6

    round(count / max(seconds, 1.0e-6))
  end

  defp line(training, number, options) do
    %{loss: loss, validation: validation, rate: rate} = List.last(training.history)
    validation = if validation, do: "  validation #{round4(validation)}", else: ""
    back = if IO.ANSI.enabled?(), do: "\r\e[K", else: ""

    "#{back}epoch #{number}/#{options.epochs}  step #{training.steps}  loss #{round4(loss)}#{validation}  #{rate} steps/s  #{memory()}"
  end

  defp round4(number) when is_float(number), do: Float.round(number, 4)
  defp round4(other), do: other

  defp memory, do: "#{div(Mlx.Memory.active(), 1_000_000)} MB"

  ## Validation

  defp validated(training, %{validate: nil}), do: %{training | best: {nil, training.params}}

  defp validated(training, options) do
    value = training.params |> options.validate.() |> number()
    {best, _params} = training.best
    better? = best == nil or if(options.mode == :min, do: value < best, else: value > best)
    history = List.update_at(training.history, -1, &%{&1 | validation: value})

    if better?,
      do: %{training | history: history, best: {value, training.params}, stale: 0},
      else: %{training | history: history, stale: training.stale + 1}
  end

  defp number(%Nx.Tensor{} = tensor), do: Nx.to_number(tensor)
  defp number(number) when is_number(number), do: number
  defp number(other), do: Argument.check!(false, "train", "a number of :validate", other)

  defp finished(training), do: %{training | params: elem(training.best, 1)}

  ## Checkpoints: parameters, the best ones, the optimizer's state, and what there was

  defp save!(%__MODULE__{best: {value, best}} = training, path) do
    named =
      for {prefix, container} <- [
            {"params", training.params},
            {"best", best},
            {"state", training.state}
          ],
          {name, tensor} <- Parameters.flatten(container),
          do: {"#{prefix}.#{name}", tensor}

    history = Enum.map_join(training.history, ";", &"#{&1.loss},#{&1.validation},#{&1.rate}")

    Weights.write!(path, named, %{
      "epochs" => "#{training.epochs}",
      "steps" => "#{training.steps}",
      "stale" => "#{training.stale}",
      "value" => "#{value}",
      "history" => history
    })
  end

  defp resumed(training, %{checkpoint: path}) do
    if path && File.exists?(path), do: load!(training, path), else: training
  end

  defp load!(training, path) do
    {named, texts} = Weights.read!(path)
    named = Map.new(named)

    container = fn prefix, like ->
      tensors =
        for {name, _} <- Parameters.flatten(like) do
          Map.get(named, "#{prefix}.#{name}") ||
            raise Mlx.FormatError,
              message:
                "[train] the checkpoint #{path} has no #{prefix}.#{name}: it is of another model or optimizer"
        end

      Parameters.rebuild(like, tensors)
    end

    integer = fn key -> texts |> Map.get(key, "0") |> String.to_integer() end

    history =
      for entry <- String.split(texts["history"] || "", ";", trim: true) do
        [loss, validation, rate] = String.split(entry, ",")
        %{loss: float(loss), validation: float(validation), rate: String.to_integer(rate)}
      end

    %{
      training
      | params: container.("params", training.params),
        best: {float(texts["value"] || ""), container.("best", training.params)},
        state: container.("state", training.state),
        epochs: integer.("epochs"),
        steps: integer.("steps"),
        stale: integer.("stale"),
        history: history
    }
  end

  defp float(""), do: nil
  defp float(text), do: text |> Float.parse() |> elem(0)
end
