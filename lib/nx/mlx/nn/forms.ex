defmodule Mlx.NN.Forms do
  # What the matrices of a model's layers are: dense where a layer says nothing, else quantized, with a change of low rank beside
  # them, or both. A layer has this by the names of the layers within it that have a matrix, "" for itself:
  # `%{"layers.0.linear1" => %{quantization: [bits: 4], change: {:to_lora, [rank: 8]}}}`.
  @moduledoc false

  alias Mlx.Argument
  alias Mlx.NN.{Callable, Functions, Layer, Parameters}
  alias Mlx.{NIF, Quantized}

  @quantization [:bits, :group_size, :mode]

  @type t :: %{
          String.t() => %{
            optional(:quantization) => keyword(),
            optional(:change) => {:to_lora | :to_dora, keyword()}
          }
        }

  @doc "As native code takes them."
  @spec encode(t) :: [{String.t(), keyword() | nil, atom() | nil, keyword()}]
  def encode(forms) do
    for {name, form} <- Enum.sort(forms) do
      {change, options} = form[:change] || {nil, []}
      {name, form[:quantization], change, options}
    end
  end

  @doc """
  The layer with the forms of the matrices that `params` has as `Mlx.Quantized`.

  Raises `ArgumentError` where the layer says something else of one.
  """
  @spec with_those_of(Layer.t(), map()) :: Layer.t()
  def with_those_of(%Layer{} = layer, params) do
    params
    |> Parameters.quantized()
    |> Enum.reduce(layer, fn {name, matrix}, layer ->
      options = Quantized.options(matrix)
      said = said(layer, name)

      if said do
        fits? = Enum.sort(Quantized.form!(said, "model")) == Enum.sort(options)
        Argument.check!(fits?, "model", "a matrix quantized by #{inspect(said)}", options)
        layer
      else
        form = layer.forms |> Map.get(name, %{}) |> Map.put(:quantization, options)
        %{layer | forms: Map.put(layer.forms, name, form)}
      end
    end)
  end

  # What the layer says of how the matrix of that name is quantized, or nil.
  defp said(%Layer{name: name, options: options}, "")
       when name in [:quantized_linear, :quantized_embedding],
       do: Keyword.take(options, @quantization)

  defp said(layer, name), do: get_in(layer.forms, [name, :quantization])

  @doc "The model and its parameters with quantized matrices; see `Mlx.NN.quantize/3`."
  def quantize(model, params, options) do
    {only, options} = only!(options, "quantize")
    reform(model, params, only, fn form, _name -> Map.put_new(form, :quantization, options) end)
  end

  @doc "See `Mlx.NN.dequantize/3`."
  def dequantize(model, params, options) do
    {only, options} = only!(options, "dequantize")
    Argument.check!(options == [], "dequantize", "no options but :only", options)
    reform(model, params, only, fn form, _name -> Map.delete(form, :quantization) end)
  end

  @doc "See `Mlx.NN.to_lora/3` and `Mlx.NN.to_dora/3`."
  def adapt(kind, model, params, options) do
    {only, options} = only!(options, kind)
    {key, options} = Keyword.pop(options, :key, 0)

    change = fn form, name ->
      if form[:change] do
        raise ArgumentError,
              "[#{kind}] the layer #{if name == "", do: "itself", else: name} has a change of low rank already: fuse the model first"
      end

      Map.put(form, :change, {kind, options})
    end

    reform(model, params, only, change, Functions.key!(key, kind))
  end

  @doc "See `Mlx.NN.fuse/2`."
  def fuse(model, params),
    do: reform(model, params, fn _ -> true end, fn form, _name -> Map.delete(form, :change) end)

  defp only!(options, owner) do
    Argument.check!(Keyword.keyword?(options), owner, "options as a keyword list", options)
    {only, options} = Keyword.pop(options, :only, fn _name -> true end)
    expected = ":only to be a function of the dotted name of a layer"
    Argument.check!(is_function(only, 1), owner, expected, only)
    {only, Enum.sort(options)}
  end

  ## Through the model

  # What `change` makes of the forms of all layers with a matrix that `only` means by their names.
  defp reform(model, params, only, change, key \\ Nx.Random.key(0)) do
    Argument.check!(
      is_map(params) and not is_struct(params),
      "model",
      "a map of parameters",
      params
    )

    {model, params, _count} = walk(model, params, "", 0, {only, change, key})
    {model, params}
  end

  defp walk(
         %Layer{name: :sequential, options: [layers: layers]} = layer,
         params,
         path,
         count,
         how
       ) do
    below = Map.get(params, "layers", %{})
    {layers, below, count} = walk(layers, below, join(path, "layers"), count, how)
    {%{layer | options: [layers: layers]}, put(params, "layers", below), count}
  end

  defp walk(%Layer{} = layer, params, path, count, {only, change, key}) do
    layer = layer |> with_those_of(params) |> dense()

    names =
      for name <- NIF.nn_matrices(layer.name, layer.options), only.(join(path, name)), do: name

    next =
      for name <- names,
          old = Map.get(layer.forms, name, %{}),
          new = change.(old, join(path, name)),
          new != old,
          into: %{},
          do: {name, new}

    if next == %{} do
      {layer, params, count}
    else
      key = Nx.Random.fold_in(key, count)
      forms = layer.forms |> Map.merge(next) |> Map.reject(fn {_name, form} -> form == %{} end)
      {%{layer | forms: forms}, reformed(layer, next, params, path, key), count + 1}
    end
  end

  defp walk(models, params, path, count, how) when is_tuple(models) do
    {models, params, count} = walk(Tuple.to_list(models), params, path, count, how)
    {List.to_tuple(models), params, count}
  end

  defp walk(models, params, path, count, how) when is_list(models) do
    named = Enum.with_index(models, &{&2, &1})
    {named, params, count} = walk_each(named, params, path, count, how)
    {Enum.map(named, &elem(&1, 1)), params, count}
  end

  defp walk(%{} = models, params, path, count, how) when not is_struct(models) do
    {named, params, count} = models |> Enum.sort() |> walk_each(params, path, count, how)
    {Map.new(named), params, count}
  end

  defp walk(function, params, _path, count, _how) when is_function(function),
    do: {function, params, count}

  defp walk(other, _params, _path, _count, _how),
    do: Argument.check!(false, "model", "a model", other)

  defp walk_each(named, params, path, count, how) do
    {named, {params, count}} =
      Enum.map_reduce(named, {params, count}, fn {name, model}, {params, count} ->
        below = Map.get(params, "#{name}", %{})
        {model, below, count} = walk(model, below, join(path, name), count, how)
        {{name, model}, {put(params, "#{name}", below), count}}
      end)

    {named, params, count}
  end

  # A layer that is quantized from the start is one that has become so.
  defp dense(%Layer{name: name, options: options} = layer)
       when name in [:quantized_linear, :quantized_embedding] do
    {quantization, options} = Keyword.split(options, @quantization)
    "quantized_" <> name = "#{name}"
    form = layer.forms |> Map.get("", %{}) |> Map.put(:quantization, quantization)
    %{layer | name: String.to_existing_atom(name), options: options, forms: %{"" => form}}
  end

  defp dense(layer), do: layer

  defp reformed(layer, next, params, path, key) do
    {names, tensors} = params |> Parameters.flatten() |> Enum.unzip()

    {:layer_reform, layer.name, layer.options, encode(layer.forms), encode(next), path, names}
    |> Callable.call(tensors ++ [key])
    |> Parameters.nest()
  end

  defp put(params, _name, below) when below == %{}, do: params
  defp put(params, name, below), do: Map.put(params, name, below)

  defp join("", name), do: "#{name}"
  defp join(path, ""), do: path
  defp join(path, name), do: "#{path}.#{name}"
end
