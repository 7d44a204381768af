defmodule Mlx.NN.Model do
  # First parameters of models, and calls on layers.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.NN.{Callable, Forms, Functions, Layer, Parameters}

  @doc "See `Mlx.NN.init/2`."
  @spec init(Mlx.NN.model(), Nx.Tensor.t() | integer()) :: Mlx.NN.parameters()
  def init(model, key), do: first(model, Functions.key!(key, "init"))

  defp first(%Layer{name: :sequential, options: [layers: layers]}, key) do
    case first(layers, key) do
      none when none == %{} -> %{}
      parameters -> %{"layers" => parameters}
    end
  end

  defp first(%Layer{name: name, options: options, forms: forms}, key) do
    {:layer_init, name, options, Forms.encode(forms)}
    |> Callable.call([key])
    |> Parameters.nest()
  end

  defp first(models, key) when is_tuple(models), do: first(Tuple.to_list(models), key)

  defp first(models, key) when is_list(models),
    do: models |> Enum.with_index(&{&2, &1}) |> first_each(key)

  defp first(%{} = models, key) when not is_struct(models),
    do: models |> Enum.sort() |> first_each(key)

  defp first(function, _key) when is_function(function), do: %{}
  defp first(other, _key), do: Argument.check!(false, "init", "a model", other)

  defp first_each([], _key), do: %{}

  defp first_each(named, key) do
    names = Enum.map(named, &to_string(elem(&1, 0)))
    Argument.check!(Enum.uniq(names) == names, "init", "models of different names", names)
    keys = Nx.Random.split(key, parts: length(named))

    for {{name, model}, i} <- Enum.with_index(named),
        parameters = first(model, keys[i]),
        parameters != %{},
        into: %{},
        do: {to_string(name), parameters}
  end

  @doc "See `Mlx.NN.call/4`."
  @spec call(Layer.t(), Mlx.NN.parameters(), Nx.Tensor.t() | tuple(), keyword()) :: term()
  def call(layer, parameters, operands, options) do
    Argument.check!(is_struct(layer, Layer), "call", "a layer", layer)
    Argument.check!(Keyword.keyword?(options), "call", "options as a keyword list", options)
    is_map = is_map(parameters) and not is_struct(parameters)
    Argument.check!(is_map, "#{layer.name}", "a map of parameters", parameters)

    # Any model is told whether it is in training, also one of layers to which that is the same.
    if layer.name == :sequential,
      do:
        Argument.check_options!(
          options,
          Enum.uniq([:key, :training | on_call(layer)]),
          "sequential"
        )

    answer(layer, parameters, operands, options)
  end

  # The options that some layer of a sequence takes.
  defp on_call(%Layer{name: :sequential, options: [layers: layers]}),
    do: Enum.flat_map(layers, &on_call/1)

  defp on_call(%Layer{name: name}) do
    row = Callable.row("layer", name) || %{on_call: []}
    Enum.map(row.on_call, &String.to_atom/1)
  end

  defp on_call(_function), do: []

  defp answer(%Layer{name: :sequential, options: [layers: layers]}, parameters, x, options) do
    below = Map.get(parameters, "layers", %{})
    known = for i <- 0..(length(layers) - 1)//1, do: "#{i}"
    extra = Map.keys(Map.delete(parameters, "layers")) ++ Map.keys(Map.drop(below, known))
    expected = "the parameters of #{length(layers)} layers, under \"layers\" by their numbers"
    Argument.check!(extra == [], "sequential", expected, extra)

    {answer, changed} =
      for {layer, i} <- Enum.with_index(layers), reduce: {x, %{}} do
        {x, changed} ->
          case call_one(layer, Map.get(below, "#{i}", %{}), x, of_layer(options, i)) do
            {answer, %{} = own} when not is_struct(own) -> {answer, Map.put(changed, "#{i}", own)}
            answer -> {answer, changed}
          end
      end

    if changed == %{},
      do: answer,
      else: {answer, Map.put(parameters, "layers", Map.merge(below, changed))}
  end

  defp answer(%Layer{name: name, options: layer_options} = layer, parameters, operands, options) do
    layer = Forms.with_those_of(layer, parameters)
    operands = if is_tuple(operands), do: Tuple.to_list(operands), else: [operands]
    {names, tensors} = parameters |> Parameters.flatten() |> Enum.unzip()
    given = Enum.map(operands, &(&1 != nil))
    forms = Forms.encode(layer.forms)
    callable = {:layer, name, layer_options, forms, names, given, Enum.sort(options)}

    {answers, changed} =
      callable
      |> Callable.call(tensors ++ Enum.reject(operands, &is_nil/1))
      |> Enum.split_with(fn {name, _} -> name == "" end)

    answer =
      case Enum.map(answers, &elem(&1, 1)) do
        [single] -> single
        several -> List.to_tuple(several)
      end

    if changed == [],
      do: answer,
      else: {answer, Parameters.merge(parameters, Parameters.nest(changed))}
  end

  # Each layer that draws numbers gets a key of its own.
  defp of_layer(options, i) do
    case options[:key] do
      nil ->
        options

      key ->
        Keyword.put(options, :key, key |> Functions.key!("sequential") |> Nx.Random.fold_in(i))
    end
  end

  defp call_one(function, _parameters, x, _options) when is_function(function), do: function.(x)

  defp call_one(%Layer{name: :sequential} = layer, parameters, x, options),
    do: answer(layer, parameters, x, options)

  # Options are for those layers that have them.
  defp call_one(%Layer{name: name} = layer, parameters, x, options) do
    row = Callable.row("layer", name) || %{operands: [], on_call: []}
    {key, options} = Keyword.pop(options, :key)
    operands = if key && "key" in row.operands, do: {x, key}, else: x
    options = Enum.filter(options, fn {option, _} -> "#{option}" in row.on_call end)
    answer(layer, parameters, operands, options)
  end
end
