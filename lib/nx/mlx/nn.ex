defmodule Mlx.NN do
  @moduledoc """
  Layers, activation functions and losses: an equivalent of `mlx.nn`, from the definitions of the C++ library.

  The functions take tensors of any backend, inside of `defn` and outside. Outside they are compiled by MLX at the first call for
  each type and shape; inside they become part of the function around, whatever its compiler, and `Nx.Defn.grad` and `Mlx.grad`
  differentiate through them. Options have MLX's names and defaults. Names of axes stay where the shape does; vectorized axes are
  mapped over.

  Activation functions keep the type of float tensors; integers are computed in f32, but for functions that only choose among
  their values (`relu/1`, `relu2/1`, `hard_shrink/2`). At infinities they answer the limit, and NaN stays NaN.
  """

  import Mlx.NN.Activations
  import Mlx.NN.Functions

  alias Mlx.Argument
  alias Mlx.NIF
  alias Mlx.NN.{Callable, Forms, Layer, Model, Parameters, Training}

  @typedoc "A layer, or a map, list or tuple of models."
  @type model :: Layer.t() | %{(atom() | String.t()) => model} | [model] | tuple()

  @typedoc "Parameters by the parts of their names: `%{\"layers\" => %{\"0\" => %{\"weight\" => …}}}`."
  @type parameters :: %{String.t() => Nx.Tensor.t() | parameters}

  ## Layers

  @doc """
  The layer `name` of `mlx.nn`, in snake case, with MLX's options; `layers/0` lists all.

  Raises `ArgumentError` when its parameters are drawn or taken, for options that it does not have.

  ## Examples

      iex> Mlx.NN.layer(:linear, input_dims: 3, output_dims: 5)
      #Mlx.NN.Layer<linear [input_dims: 3, output_dims: 5]>
  """
  @doc type: :layer
  @spec layer(atom(), keyword()) :: Layer.t()
  def layer(name, options \\ []) do
    Argument.check!(is_atom(name), "layer", "the name of a layer", name)
    Callable.check_options!(options, name)
    %Layer{name: name, options: Enum.sort(options)}
  end

  @doc """
  The layers that there are, sorted: the operands and options of each, and the options of a call on it.

  ## Examples

      iex> Mlx.NN.layers()[:linear]
      %{operands: [:x], options: [:input_dims, :output_dims, :bias], on_call: []}
  """
  @doc type: :layer
  @spec layers() :: [{atom(), %{operands: [atom()], options: [atom()], on_call: [atom()]}}]
  def layers do
    for {name, row} <- Callable.rows("layer") do
      {String.to_atom(name),
       Map.new(row, fn {key, names} -> {key, Enum.map(names, &String.to_atom/1)} end)}
    end
  end

  @doc """
  Layers one after the other: what one answers the next takes. Functions of one tensor may stand among them.

  ## Examples

      iex> model = Mlx.NN.sequential([Mlx.NN.layer(:linear, input_dims: 2, output_dims: 4), &Mlx.NN.relu/1])
      iex> params = Mlx.NN.init(model, 0)
      iex> params["layers"]["0"]["weight"].shape
      {4, 2}
      iex> Mlx.NN.call(model, params, Nx.tensor([[1.0, 2.0]])).shape
      {1, 4}
  """
  @doc type: :layer
  @spec sequential([Layer.t() | (Nx.Tensor.t() -> Nx.Tensor.t())]) :: Layer.t()
  def sequential(layers) do
    fits? = Argument.list_of?(layers, &(is_struct(&1, Layer) or is_function(&1, 1)))
    Argument.check!(fits?, "sequential", "a list of layers and functions of one tensor", layers)
    %Layer{name: :sequential, options: [layers: layers]}
  end

  @doc """
  First parameters of a model, drawn by `key`: a key of `Nx.Random`, or an integer for `Nx.Random.key/1`. Maps of parameters have the
  names of MLX and Hugging Face when they are flattened: `"layers.0.weight"`.

  ## Examples

      iex> model = %{first: Mlx.NN.layer(:linear, input_dims: 2, output_dims: 4)}
      iex> %{"first" => %{"weight" => weight, "bias" => bias}} = Mlx.NN.init(model, 0)
      iex> {weight.shape, bias.shape}
      {{4, 2}, {4}}
  """
  @doc type: :layer
  @spec init(model, Nx.Tensor.t() | integer()) :: parameters
  def init(model, key), do: Model.init(model, key)

  @doc """
  What a layer answers for `operands`: a tensor, or a tuple of those that it takes, where nil stands for one that is left out.

  Answers a tensor, or a tuple where MLX does. A layer that may change its parameters (`batch_norm` that tracks statistics) answers
  `{answer, parameters}`. These layers, and those that drop values (`dropout`), are in training unless `training: false` is among the
  options, with which parameters stay as they were.

  Raises `ArgumentError` for parameters that are missing, superfluous or of other shapes, with their names, and for operands and
  options that the layer, or none within a sequence, takes.

  ## Examples

      iex> layer = Mlx.NN.layer(:linear, input_dims: 2, output_dims: 1)
      iex> params = %{"weight" => Nx.tensor([[1.0, 10.0]]), "bias" => Nx.tensor([0.5])}
      iex> Mlx.NN.call(layer, params, Nx.tensor([2.0, 3.0])) |> Nx.to_list()
      [32.5]
  """
  @doc type: :layer
  @spec call(Layer.t(), parameters, Nx.Tensor.t() | tuple(), keyword()) :: term()
  def call(layer, parameters, operands, options \\ []),
    do: Model.call(layer, parameters, operands, options)

  @doc """
  Writes parameters by their dotted names into a `.safetensors` file, which MLX, Hugging Face's libraries and C++ read. The file is
  there whole or not at all: one that was there stays until the new one is written. `metadata` are texts for its header.

  Quantized matrices are written as layers have them: `"weight"`, `"scales"`, `"biases"`. More in `Mlx.Safetensors.write!/3`.

  Raises `File.Error` when the file can't be written.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "mlx_nn_\#{System.unique_integer([:positive])}.safetensors")
      iex> Mlx.NN.save_weights(%{"layers" => %{"0" => %{"bias" => Nx.tensor([1.0])}}}, path)
      iex> %{"layers" => %{"0" => %{"bias" => bias}}} = Mlx.NN.load_weights(path)
      iex> File.rm!(path)
      iex> Nx.to_list(bias)
      [1.0]
  """
  @doc type: :layer
  @spec save_weights(parameters, Path.t(), %{String.t() => String.t()}) :: :ok
  def save_weights(parameters, path, metadata \\ %{}) do
    is_map = is_map(parameters) and not is_struct(parameters)
    Argument.check!(is_map, "save_weights", "a map of parameters", parameters)
    Mlx.Safetensors.write!(path, Parameters.named(parameters), metadata, "save_weights")
  end

  @doc """
  The parameters in a `.safetensors` file, nested by the parts of their names. They stay in the file's pages, as `Mlx.Safetensors` has it.

  Raises `Mlx.FormatError` for anything but such a file, `File.Error` when it can't be read.
  """
  @doc type: :layer
  @spec load_weights(Path.t()) :: parameters
  def load_weights(path) do
    path |> Mlx.Safetensors.open!("load_weights") |> Mlx.Safetensors.read() |> nested!(path)
  end

  defp nested!(named, path) do
    Parameters.nest(named)
  rescue
    error in ArgumentError ->
      reason = String.replace_prefix(error.message, "[nest] ", "")
      reraise Mlx.FormatError, [message: "[load_weights] #{path}: #{reason}"], __STACKTRACE__
  end

  @doc """
  Trains: `epochs` times through the batches in `data`, each a container of tensors, or through what the function `data` answers for
  the number of the epoch. Returns `Mlx.NN.Training`.

  `loss` answers the loss of a batch, a scalar, from the parameters and the batch; as a third argument it gets a key, another one for
  each step. Where layers change in training (`batch_norm`) it answers `{loss, parameters}`. Loss, gradient and the optimizer's step
  are compiled together. A loss that is no number is told once, with its step.

  ## Options

    * `:optimizer` - one of `Mlx.Optimizers`
    * `:epochs` - default 1
    * `:trainable` - a function of a parameter's dotted name, or of the name and the tensor, that answers whether it is trained, such as
      `&Mlx.NN.adapter?/1`; the others are frozen. Running statistics, integers and complex numbers never are; default: all else
    * `:clip` - the norm that gradients are clipped to; default: they are not
    * `:validate` - a function of the parameters, called after each epoch; the parameters for which its answer is best are returned
    * `:mode` - whether a `:min`, the default, or a `:max` of it is best
    * `:patience` - ends the training after so many epochs without a better answer
    * `:checkpoint` - a file that is written after each epoch, whole or not at all; if it is there, training goes on from it, with the
      learning rate that stands in it unless that is a schedule
    * `:key` - of `Nx.Random`, or a seed; default 0
    * `:progress` - whether to print a line for each epoch, and where it is on a terminal; default true
    * `:log_every` - steps between readings of the loss, default 20

  Raises `ArgumentError` for options that there are not and data without batches, `Mlx.FormatError` for a checkpoint whose parameters
  or state of the optimizer have other names, types or shapes.

  ## Examples

      iex> x = Nx.linspace(-1, 1, n: 32) |> Nx.new_axis(-1)
      iex> y = Nx.add(Nx.multiply(x, 3), 1)
      iex> model = Mlx.NN.layer(:linear, input_dims: 1, output_dims: 1)
      iex> loss = fn params, {x, y} -> Mlx.NN.Losses.mse_loss(Mlx.NN.call(model, params, x), y) end
      iex> training =
      ...>   Mlx.NN.train(Mlx.NN.init(model, 0), loss, [{x, y}],
      ...>     optimizer: Mlx.Optimizers.adam(learning_rate: 0.1), epochs: 200, progress: false)
      iex> training.params["bias"] |> Nx.squeeze() |> Nx.to_number() |> Float.round(2)
      1.0
  """
  @doc type: :training
  @spec train(
          Nx.Container.t(),
          function(),
          Enumerable.t() | (pos_integer() -> Enumerable.t()),
          keyword()
        ) ::
          Training.t()
  def train(params, loss, data, options), do: Training.run(params, loss, data, options)

  @doc """
  A table of parameters: name, type, shape, whether it is trained, bytes; and their sums. `:trainable` is that of `train/4`.

      name    type  shape   trainable  bytes
      bias    f32   {5}     yes           20
      weight  f32   {5, 3}  no            60
      total                 5 of 20       80

  ## Examples

      iex> params = Mlx.NN.init(Mlx.NN.layer(:linear, input_dims: 3, output_dims: 5), 0)
      iex> table = Mlx.NN.summary(params, trainable: &(&1 != "weight"))
      iex> table |> String.split() |> Enum.slice(10, 6)
      ["weight", "f32", "{5,", "3}", "no", "60"]
  """
  @doc type: :layer
  @spec summary(Nx.Container.t(), keyword()) :: String.t()
  def summary(params, options \\ []) do
    Argument.check_options!(options, [:trainable], "summary")
    which = Keyword.get(options, :trainable, fn _name -> true end)
    {names, tensors} = params |> Parameters.named() |> Enum.unzip()
    types = Enum.map(tensors, &{&1.type, Nx.devectorize(&1).shape})
    NIF.nn_summary(names, types, Parameters.trained(params, which, "summary"))
  end

  ## Quantized matrices, and changes of low rank

  @doc """
  `model` and its parameters with quantized matrices, of `linear` and `embedding` layers and of those that larger layers are made of.
  Those that are quantized already stay as they are. mlx: `nn.quantize`.

  ## Options

    * `:bits`, `:group_size`, `:mode` - as `Mlx.Fast.quantize/2` takes them; default: 4 bits in groups of 64
    * `:only` - a function of a layer's dotted name (`"layers.0.attention.query_proj"`) that answers whether it is meant; default: all

  Raises `ArgumentError` for a matrix whose columns are no multiple of the group size, with its layer's name.

  ## Examples

      iex> model = Mlx.NN.sequential([Mlx.NN.layer(:linear, input_dims: 64, output_dims: 8), &Mlx.NN.relu/1])
      iex> {model, params} = Mlx.NN.quantize(model, Mlx.NN.init(model, 0), bits: 4, group_size: 32)
      iex> params["layers"]["0"]["weight"].type
      {:u, 32}
      iex> Mlx.NN.call(model, params, Nx.iota({3, 64}, type: :f32)).shape
      {3, 8}
  """
  @doc type: :matrix
  @spec quantize(model, parameters, keyword()) :: {model, parameters}
  def quantize(model, params, options \\ []), do: Forms.quantize(model, params, options)

  @doc """
  The same with dense matrices in place of quantized ones. Takes `:only`, as `quantize/3`.

  ## Examples

      iex> model = Mlx.NN.layer(:quantized_linear, input_dims: 64, output_dims: 8)
      iex> {model, params} = Mlx.NN.dequantize(model, Mlx.NN.init(model, 0))
      iex> {model, params["weight"].type}
      {Mlx.NN.layer(:linear, input_dims: 64, output_dims: 8), {:f, 32}}
  """
  @doc type: :matrix
  @spec dequantize(model, parameters, keyword()) :: {model, parameters}
  def dequantize(model, params, options \\ []), do: Forms.dequantize(model, params, options)

  @doc """
  `model` and its parameters with changes of low rank beside the matrices, dense or quantized (LoRA, Hu and others, 2021). A new
  change is zero: its `"lora_a"` is drawn, its `"lora_b"` is 0. Train it alone by `trainable: &Mlx.NN.adapter?/1`.

  ## Options

    * `:rank` - default 8
    * `:scale` - what the change is multiplied by, default 20.0
    * `:key` - of `Nx.Random`, or a seed; default 0
    * `:only` - as in `quantize/3`

  Raises `ArgumentError` for a layer that has a change already.

  ## Examples

      iex> model = %{first: Mlx.NN.layer(:linear, input_dims: 4, output_dims: 2)}
      iex> {_model, params} = Mlx.NN.to_lora(model, Mlx.NN.init(model, 0), rank: 1)
      iex> {params["first"]["lora_a"].shape, Nx.to_list(params["first"]["lora_b"])}
      {{4, 1}, [[0.0, 0.0]]}
  """
  @doc type: :matrix
  @spec to_lora(model, parameters, keyword()) :: {model, parameters}
  def to_lora(model, params, options \\ []), do: Forms.adapt(:to_lora, model, params, options)

  @doc """
  The same with lengths of rows that are learnt beside their directions, `"m"` (DoRA, Liu and others, 2024).

  ## Examples

      iex> model = Mlx.NN.layer(:linear, input_dims: 4, output_dims: 2)
      iex> {_model, params} = Mlx.NN.to_dora(model, Mlx.NN.init(model, 0))
      iex> params |> Map.keys() |> Enum.filter(&Mlx.NN.adapter?/1)
      ["lora_a", "lora_b", "m"]
  """
  @doc type: :matrix
  @spec to_dora(model, parameters, keyword()) :: {model, parameters}
  def to_dora(model, params, options \\ []), do: Forms.adapt(:to_dora, model, params, options)

  @doc """
  `model` and its parameters with the changes of low rank made part of the matrices; quantized ones are quantized again.

  ## Examples

      iex> model = Mlx.NN.layer(:linear, input_dims: 4, output_dims: 2)
      iex> {changed, params} = Mlx.NN.to_lora(model, Mlx.NN.init(model, 0))
      iex> {fused, params} = Mlx.NN.fuse(changed, params)
      iex> {fused == model, Map.keys(params)}
      {true, ["bias", "weight"]}
  """
  @doc type: :matrix
  @spec fuse(model, parameters) :: {model, parameters}
  def fuse(model, params), do: Forms.fuse(model, params)

  @doc """
  Whether a parameter of that dotted name is part of a change of low rank: what is trained of a model of `to_lora/3`.

  ## Examples

      iex> {Mlx.NN.adapter?("layers.0.lora_a"), Mlx.NN.adapter?("layers.0.weight")}
      {true, false}
  """
  @doc type: :matrix
  @spec adapter?(String.t()) :: boolean()
  def adapter?(name) do
    Argument.check!(is_binary(name), "adapter?", "the name of a parameter", name)
    NIF.nn_roles([name]) == ["adapter"]
  end

  ## Activation functions

  defactivations()
end
