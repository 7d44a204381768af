defmodule Mlx.NN.Training do
  @moduledoc """
  What `Mlx.NN.train/4` answers.

    * `:params` - the parameters: the best ones where there is `:validate`, else the last
    * `:state` - the optimizer's state
    * `:epochs`, `:steps` - how many there were, those of a resumed checkpoint included
    * `:history` - for each epoch the mean loss, what `:validate` answered, and the steps per second:
      `%{loss: 0.31, validation: nil, rate: 120}`; the loss is `:nan` where one of the epoch was no number
    * `:stopped_early` - whether `:patience` ended it
  """

  alias Mlx.{Argument, Optimizers}
  alias Mlx.NN.{Functions, Parameters}
  alias Mlx.Safetensors

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
    log_every: 20,
    trainable: nil
  ]

  @doc false
  def run(params, loss, data, options) do
    options = options!(options)
    fits? = is_function(loss, 2) or is_function(loss, 3)
    expected = "a function of the parameters and a batch, and of a key as a third argument"
    Argument.check!(fits?, "train", expected, loss)
    {init, _update} = options.optimizer
    # They stay the caller's.
    kept = for {_name, tensor} <- Parameters.flatten(params), do: %{tensor | donatable?: false}
    params = Parameters.rebuild(params, kept)
    trained = MapSet.new(Parameters.trained(params, options.trainable, "train"))
    Argument.check!(trained != MapSet.new(), "train", "a parameter to train", names(params))
    {part, _together} = Parameters.part(params, trained)

    training =
      %__MODULE__{params: params, state: init.(part), best: {nil, params}} |> resumed(options)

    step = step(loss, trained, options)

    Stream.iterate(training.epochs + 1, &(&1 + 1))
    |> Enum.reduce_while(training, fn number, training ->
      cond do
        number > options.epochs -> {:halt, training}
        out_of_patience?(training, options) -> {:halt, %{training | stopped_early: true}}
        true -> {:cont, epoch(training, number, step, data, options)}
      end
    end)
    |> finished()
  end

  defp names(params), do: Enum.map(Parameters.flatten(params), &elem(&1, 0))

  defp options!(options) do
    Argument.check_options!(options, Keyword.keys(@options), "train")
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
    fits? = options.clip == nil or (is_number(options.clip) and options.clip > 0)
    check.(:clip, fits?, "a norm, more than 0")

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

    path = options.checkpoint

    check.(
      :checkpoint,
      path == nil or (is_binary(path) and path != "" and File.dir?(Path.dirname(path))),
      "the path of a file in a folder that there is"
    )

    check.(
      :log_every,
      is_integer(options.log_every) and options.log_every > 0,
      "a number of steps"
    )

    %{
      options
      | key: %{Functions.key!(options.key || 0, "train") | donatable?: false},
        trainable: options.trainable || fn _name -> true end
    }
  end

  # One compiled program: the loss, its gradient by what is trained, and what the optimizer makes of it.
  defp step(loss, trained, %{optimizer: {_init, update}, clip: clip}) do
    Nx.Defn.jit(
      fn params, state, batch, key, count ->
        {part, together} = Parameters.part(params, trained)

        value = fn part ->
          if is_function(loss, 3),
            do: loss.(together.(part), batch, Nx.Random.fold_in(key, count)),
            else: loss.(together.(part), batch)
        end

        {answer, slopes} = Mlx.value_and_grad(part, value, transform: &loss_of/1)
        slopes = if clip, do: slopes |> Optimizers.clip_grad_norm(clip) |> elem(0), else: slopes
        {updates, next} = update.(slopes, state, part)
        params = part |> Optimizers.apply_updates(updates) |> together.()
        {loss_of(answer), changed(params, answer, trained), next}
      end,
      compiler: Mlx.Compiler
    )
  end

  defp loss_of({loss, _params}), do: loss
  defp loss_of(loss), do: loss

  # What is not trained, running statistics, is what the loss says.
  defp changed(params, {_loss, said}, trained) do
    said = Map.new(Parameters.flatten(said))

    tensors =
      for {name, tensor} <- Parameters.flatten(params),
          do: if(name in trained, do: tensor, else: Map.get(said, name, tensor))

    Parameters.rebuild(params, tensors)
  end

  defp changed(params, _loss, _trained), do: params

  ## Epochs

  defp epoch(training, number, step, data, options) do
    training = training |> steps(number, step, data, options) |> validated(options)
    if options.checkpoint, do: save!(training, options.checkpoint)
    if options.progress, do: IO.puts(line(training, number, options))
    training
  end

  defp out_of_patience?(training, %{patience: patience}),
    do: patience != nil and training.stale >= patience

  defp steps(training, number, step, data, options) do
    batches = if is_function(data, 1), do: data.(number), else: data
    expected = "batches as an enumerable, or a function of the epoch that answers some"
    Argument.check!(Enumerable.impl_for(batches) != nil, "train", expected, batches)
    began = System.monotonic_time()
    start = %{training: training, waiting: [], sum: 0.0, count: 0, warned?: false, began: began}

    done =
      batches
      |> Enum.reduce(start, fn batch, acc ->
        %{training: training} = acc
        {params, state} = donated({training.params, training.state}, acc.count)
        {loss, params, state} = step.(params, state, batch, options.key, training.steps)
        training = %{training | params: params, state: state, steps: training.steps + 1}
        acc = %{acc | training: training, waiting: [loss | acc.waiting], count: acc.count + 1}

        if rem(acc.count, options.log_every) == 0,
          do: acc |> read() |> show(number, options),
          else: acc
      end)
      |> read()

    Argument.check!(done.count > 0, "train", "at least one batch in epoch #{number}", batches)
    entry = %{loss: mean(done), validation: nil, rate: rate(done)}
    %{done.training | epochs: number, history: done.training.history ++ [entry]}
  end

  # What an earlier step of the epoch answered is nobody else's: the next one may write into its memory.
  defp donated(container, 0), do: container
  defp donated(container, _steps), do: Nx.donatable(container)

  # Losses are read some at a time, so that steps need not wait for each other.
  defp read(%{waiting: waiting, training: training} = acc) do
    first = training.steps - length(waiting) + 1

    waiting
    |> Enum.reverse()
    |> Enum.with_index(first)
    |> Enum.reduce(%{acc | waiting: []}, fn {loss, step}, acc ->
      expected = "a loss of one real number, such as that of `reduction: :mean`"
      fits? = Nx.shape(loss) == {} and not Nx.Type.complex?(loss.type)
      Argument.check!(fits?, "train", expected, loss)
      loss = Nx.to_number(loss)
      if is_number(loss), do: %{acc | sum: add(acc.sum, loss)}, else: no_number(acc, loss, step)
    end)
  end

  # A sum with what is no number in it is none.
  defp add(sum, loss) when is_number(sum), do: sum + loss
  defp add(sum, _loss), do: sum

  defp no_number(acc, loss, step) do
    if not acc.warned?, do: warn(loss, step)
    %{acc | sum: :nan, warned?: true}
  end

  defp mean(%{sum: sum, count: count}) when is_number(sum), do: sum / count
  defp mean(%{sum: sum}), do: sum

  defp warn(loss, step) do
    IO.warn(
      "[train] the loss is #{loss} at step #{step}: try a lower learning rate, :clip, or look for numbers out of range in the data",
      []
    )
  end

  defp show(acc, number, options) do
    if options.progress and IO.ANSI.enabled?() do
      text =
        "epoch #{number}/#{options.epochs}  step #{acc.training.steps}  loss #{round4(mean(acc))}"

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
    better? = better?(value, elem(training.best, 0), options.mode)
    history = List.update_at(training.history, -1, &%{&1 | validation: value})

    best = if better?, do: {value, training.params}, else: training.best
    stale = if better? and is_number(value), do: 0, else: training.stale + 1
    %{training | history: history, best: best, stale: stale}
  end

  # What is no number is not better than anything; where there was none, the last parameters are the best.
  defp better?(_value, best, _mode) when not is_number(best), do: true
  defp better?(value, _best, _mode) when not is_number(value), do: false
  defp better?(value, best, :min), do: value < best
  defp better?(value, best, :max), do: value > best

  defp number(%Nx.Tensor{} = tensor), do: Nx.to_number(tensor)
  defp number(number) when is_number(number), do: number
  defp number(other), do: Argument.check!(false, "train", "a number of :validate", other)

  defp finished(training), do: %{training | params: elem(training.best, 1)}

  ## Checkpoints: parameters, the best ones, the optimizer's state, and what there was

  defp tensors(%__MODULE__{params: params, best: {_value, best}, state: state}) do
    for {prefix, container} <- [{"params", params}, {"best", best}, {"state", state}],
        {name, tensor} <- Parameters.flatten(container),
        do: {"#{prefix}.#{name}", tensor}
  end

  defp save!(%__MODULE__{best: {value, _best}} = training, path) do
    history = Enum.map_join(training.history, ";", &"#{&1.loss},#{&1.validation},#{&1.rate}")

    texts = %{
      "epochs" => "#{training.epochs}",
      "steps" => "#{training.steps}",
      "stale" => "#{training.stale}",
      "value" => "#{value}",
      "history" => history
    }

    Safetensors.write!(path, tensors(training), texts, "train")
  end

  defp resumed(training, %{checkpoint: path}) do
    if path && File.exists?(path), do: load!(training, path), else: training
  end

  defp load!(training, path) do
    file = Safetensors.open!(path, "train")
    texts = Safetensors.metadata(file)
    named = Safetensors.read(file)
    container = &container!(&1, &2, named, path)
    extra = Map.keys(named) -- Enum.map(tensors(training), &elem(&1, 0))
    if extra != [], do: other_model!(path, "it has #{hd(extra)}, which is not wanted")

    %{
      training
      | params: container.("params", training.params),
        best: {value(texts["value"]), container.("best", training.params)},
        state: container.("state", training.state),
        epochs: count!(texts["epochs"], path),
        steps: count!(texts["steps"], path),
        stale: count!(texts["stale"], path),
        history: history!(texts["history"], path)
    }
  end

  defp container!(prefix, like, named, path) do
    tensors =
      for {name, wanted} <- Parameters.flatten(like) do
        case named["#{prefix}.#{name}"] do
          nil ->
            other_model!(path, "it has no #{prefix}.#{name}")

          tensor ->
            flat = Nx.devectorize(wanted)

            if {tensor.type, tensor.shape} == {flat.type, flat.shape},
              do: %{wanted | data: tensor.data},
              else: misfit!(path, prefix, name, tensor, flat)
        end
      end

    Parameters.rebuild(like, tensors)
  end

  defp misfit!(path, prefix, name, tensor, wanted) do
    [got, wanted] = for t <- [tensor, wanted], do: Mlx.Program.text({"", {t.type, t.shape}})
    other_model!(path, "its #{prefix}.#{name} is #{got}, not #{wanted}")
  end

  defp other_model!(path, reason),
    do: refuse!(path, "is of another model or optimizer: #{reason}")

  defp refuse!(path, reason),
    do: raise(Mlx.FormatError, message: "[train] the checkpoint #{path} #{reason}")

  defp count!(text, path) do
    case Integer.parse(text || "") do
      {count, ""} when count >= 0 -> count
      _ -> refuse!(path, "does not tell how far the training had come")
    end
  end

  defp history!(text, path) do
    for entry <- String.split(text || "", ";", trim: true) do
      case String.split(entry, ",") do
        [loss, validation, rate] ->
          %{loss: value(loss), validation: value(validation), rate: count!(rate, path)}

        _ ->
          refuse!(path, "has a history that can't be read")
      end
    end
  end

  # As `save!/2` writes values: a number, a name of what is none, or nothing.
  defp value(text) do
    case Float.parse(text || "") do
      {number, ""} -> number
      _ when text in ["nan", "infinity", "neg_infinity"] -> String.to_existing_atom(text)
      _ -> nil
    end
  end
end
