defmodule Mlx.Checkpoint do
  @moduledoc """
  The weights and settings of a model on disk: a folder in the layout of Hugging Face or mlx-lm, a `.gguf` file, or a
  `.safetensors` file.

  Opening reads headers only. Weights are read by their names when they are asked for, and stay in the file's pages where that is how
  they lie.

      checkpoint = Mlx.Checkpoint.open!("Qwen3-4B-4bit")
      Mlx.Checkpoint.config(checkpoint)["hidden_size"]
      Mlx.Checkpoint.read(checkpoint, "model.norm.weight")
      Mlx.Checkpoint.read(checkpoint, only: ~r/layers\\.0\\./, quantized: true)

  Quantized matrices of AWQ, GPTQ and compressed-tensors, and blocks of GGUF files, are read as what mlx-lm writes: for a layer
  `p` the tensors `p.weight` (u32), `p.scales` and, for the mode `affine`, `p.biases`. FP8 with scales becomes bf16.
  """

  alias Mlx.{Argument, Files, NIF, Quantized}

  @enforce_keys [:source, :path]
  defstruct [:source, :path]

  @type t :: %__MODULE__{source: Files.source(), path: Path.t()}

  @typedoc "See `info/1`."
  @type info :: Files.info()

  @doc """
  Opens the model at `path`, a folder or a file.

  ## Options

    * `:requantize` - whether blocks of GGUF files that MLX has no form for are packed into 8 bits, which is not exact, in place of
      f32, which takes four bytes for each weight; default false

  Raises `Mlx.FormatError` where what is there contradicts itself, `Mlx.UnsupportedError` for weights in a form that is not known,
  `File.Error` and `ArgumentError` where nothing can be read.
  """
  @spec open!(Path.t(), keyword()) :: t
  def open!(path, options \\ []) do
    Argument.check_options!(options, [:requantize], "open")
    requantize? = Keyword.get(options, :requantize, false)

    Argument.check!(
      is_boolean(requantize?),
      "open",
      ":requantize to be true or false",
      requantize?
    )

    %__MODULE__{
      source: Files.open("open", &NIF.checkpoint_open(&1, requantize?), path),
      path: path
    }
  end

  @doc ~s(What it is: `"folder"`, `"gguf"` or `"safetensors"`.)
  @spec format(t) :: String.t()
  def format(checkpoint), do: checkpoint |> source!("format") |> NIF.file_format()

  @doc """
  The settings, as maps, lists, texts and numbers: `config.json`, with `"eos_token_id"` of `generation_config.json` if that has one, and
  under `"quantization"` what mlx-lm would write there; of a GGUF file, the same keys from its metadata.
  """
  @spec config(t) :: %{String.t() => term()}
  def config(checkpoint), do: checkpoint |> source!("config") |> NIF.checkpoint_config()

  @doc "The names of the tensors, sorted."
  @spec names(t) :: [String.t()]
  def names(checkpoint), do: checkpoint |> source!("names") |> Files.names()

  @doc """
  What is known of each tensor: `:type` and `:shape` of what reading answers, how it is `:stored` (`"bf16"`, `"Q4_K"`, `"awq"`), and the
  `:bytes` that it takes in the file.
  """
  @spec info(t) :: %{String.t() => info}
  def info(checkpoint), do: checkpoint |> source!("info") |> Files.info()

  @doc """
  The tensor of a name, or a map of those that the options mean.

  ## Options

    * `:only` - which ones: a list of names, a regular expression, or a function of a name; default: all
    * `:lazy` - as for `Mlx.Safetensors.read!/2`
    * `:quantized` - whether a quantized matrix is answered whole, as the `Mlx.Quantized` under the name of its `"weight"`, without
      `"scales"` and `"biases"` beside it; default false

  Raises `ArgumentError` for names that there are not, with the nearest one, and `Mlx.FormatError` where settings and shapes of a
  quantized layer contradict each other.
  """
  @spec read(t, String.t() | keyword()) ::
          Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like() | Quantized.t()}
  def read(checkpoint, name_or_options \\ []) do
    source = source!(checkpoint, "read")

    case is_list(name_or_options) and List.keytake(name_or_options, :quantized, 0) do
      {{:quantized, true}, options} ->
        Argument.check!(options[:lazy] != true, "read", "one of :lazy and :quantized", options)
        whole(source, options)

      {{:quantized, false}, options} ->
        Files.read("read", source, options)

      {{:quantized, other}, _options} ->
        Argument.check!(false, "read", ":quantized to be true or false", other)

      _none ->
        Files.read("read", source, name_or_options)
    end
  end

  # The layers whose matrices are meant and quantized, and what is left of the names.
  defp whole(source, options) do
    Argument.check_options!(options, [:only, :lazy], "read")
    all = Files.names(source)
    there = MapSet.new(all)
    names = Files.chosen("read", all, options[:only])

    layers =
      for name <- names,
          String.ends_with?(name, ".weight"),
          layer = String.replace_suffix(name, ".weight", ""),
          form = form(source, layer, "read"),
          do: {name, form, Enum.filter(parts(layer), fn {_part, name} -> name in there end)}

    packed = for {_name, _form, parts} <- layers, {_part, name} <- parts, do: name
    dense = names -- packed
    tensors = dense ++ packed
    read = "read" |> Files.read_names(source, tensors) |> then(&Map.new(Enum.zip(tensors, &1)))

    for {name, form, parts} <- layers, into: Map.take(read, dense) do
      {name,
       parts
       |> Map.new(fn {part, name} -> {part, read[name]} end)
       |> Quantized.from_parameters(form)}
    end
  end

  defp parts(layer), do: for(part <- Quantized.names(), do: {part, "#{layer}.#{part}"})

  @doc """
  How the layer of that name is quantized, as `Mlx.Fast.quantize/2` takes it, or nil: what the settings say of it, else what the
  shapes of its tensors tell.

  Raises `Mlx.FormatError` where they contradict each other.
  """
  @spec quantization(t, String.t()) :: keyword() | nil
  def quantization(checkpoint, layer) do
    source = source!(checkpoint, "quantization")
    Argument.check!(Files.text?(layer), "quantization", "the name of a layer", layer)
    form(source, layer, "quantization")
  end

  defp form(source, layer, owner) do
    case Files.named(owner, fn -> NIF.checkpoint_quantization(source, layer) end) do
      nil ->
        nil

      {mode, bits, group_size} ->
        Quantized.form!([mode: mode, bits: bits, group_size: group_size], owner)
    end
  end

  @doc """
  The template of chats, of `chat_template.jinja`, `tokenizer_config.json` or the GGUF metadata; nil where there is none.

  Raises `Mlx.FormatError` where `tokenizer_config.json` is no JSON.
  """
  @spec chat_template(t) :: String.t() | nil
  def chat_template(checkpoint) do
    source = source!(checkpoint, "chat_template")
    Files.named("chat_template", fn -> NIF.checkpoint_chat_template(source) end)
  end

  @doc """
  A change of a model's weights in a folder of its own, as mlx-lm writes it: `:kind` (`:lora`, `:dora` or `:full`), its `:config`, the
  `:scale` of the change, and its `:tensors` by their names: `"model.layers.0.self_attn.q_proj.lora_a"`, or whole weights.

  Raises `Mlx.FormatError` for anything but an adapter, `File.Error` when it can't be read.
  """
  @spec read_adapter!(Path.t()) :: %{
          kind: :lora | :dora | :full,
          config: %{String.t() => term()},
          scale: float(),
          tensors: %{String.t() => Mlx.Tensor.like()}
        }
  def read_adapter!(folder) do
    Argument.check_path!(folder, "read_adapter")

    {kind, config, scale, named} =
      Files.named("read_adapter", fn -> NIF.adapter_read(folder, Mlx.Stream.where()) end)

    {names, answers} = Enum.unzip(named)
    tensors = names |> Enum.zip(Mlx.Tensor.wrap_all(answers)) |> Map.new()
    %{kind: kind, config: config, scale: scale, tensors: tensors}
  end

  defp source!(%__MODULE__{source: source}, _owner) when is_reference(source), do: source

  defp source!(other, owner),
    do: Argument.check!(false, owner, "a checkpoint of Mlx.Checkpoint.open!/2", other)
end
