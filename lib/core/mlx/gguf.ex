defmodule Mlx.GGUF do
  @moduledoc """
  Files in the [GGUF](https://github.com/ggml-org/ggml/blob/master/docs/gguf.md) format, versions 2 and 3.

  Tensors of floats and integers stay in the file's pages, as `Mlx.Safetensors` has it. Blocks of few bits become f32, or an
  `Mlx.Quantized` of the same numbers where MLX has such a form: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, MXFP4 and NVFP4.

      file = Mlx.GGUF.open!("SmolLM2-135M-Instruct.Q4_1.gguf")
      Mlx.GGUF.metadata(file, "general.architecture")   # "llama"
      Mlx.GGUF.read(file, "blk.0.attn_norm.weight")
      Mlx.GGUF.read_quantized(file, "blk.0.attn_q.weight")

  Names and settings are the file's own; `Mlx.Checkpoint` has those of Hugging Face for the architectures that it knows.
  """

  alias Mlx.{Argument, Files, NIF, Quantized}

  @enforce_keys [:source, :path]
  defstruct [:source, :path]

  @typedoc "An open file. It is closed when nobody holds it or a tensor of it any more."
  @type t :: %__MODULE__{source: Files.source(), path: Path.t()}

  @typedoc "See `info/1`."
  @type info :: Files.info()

  @typedoc "A value of the metadata: floats that are no numbers are `:nan`, `:infinity` and `:neg_infinity`."
  @type value :: String.t() | number() | boolean() | atom() | [value]

  @doc """
  Opens a file, of which only keys and tensors' names, types and shapes are read.

  Raises `Mlx.FormatError` for anything but such a file, `Mlx.UnsupportedError` for other versions and for types of blocks that are not
  known, `File.Error` when it can't be read.
  """
  @spec open!(Path.t()) :: t
  def open!(path),
    do: %__MODULE__{source: Files.open_as("open", "gguf", path), path: path}

  @doc "The names of the tensors, in the order of the file."
  @spec names(t) :: [String.t()]
  def names(file), do: file |> source!("names") |> Files.names()

  @doc """
  What the file says of each tensor: `:type` and `:shape` of what `read/2` answers, how it is `:stored` (`"f16"`, `"Q4_K"`), and the
  `:bytes` that it takes in the file.
  """
  @spec info(t) :: %{String.t() => info}
  def info(file), do: file |> source!("info") |> Files.info()

  @doc """
  All that the file says beside its tensors, by its keys. The words of a tokenizer are among it, and may be many: `metadata/2` answers
  the value of one key.
  """
  @spec metadata(t) :: %{String.t() => value}
  def metadata(file) do
    source = source!(file, "metadata")
    Files.named("metadata", fn -> NIF.gguf_metadata(source) end) |> Map.new()
  end

  @doc "The value of a key, or nil where there is none."
  @spec metadata(t, String.t()) :: value | nil
  def metadata(file, key) do
    source = source!(file, "metadata")
    Argument.check!(Files.text?(key), "metadata", "a key", key)

    case Files.named("metadata", fn -> NIF.gguf_value(source, key) end) do
      [value] -> value
      [] -> nil
    end
  end

  @doc """
  The tensor of a name, or a map of those that the options mean, which are those of `Mlx.Safetensors.read!/2`. Blocks become f32.

  Raises `ArgumentError` for names that there are not, with the nearest one.
  """
  @spec read(t, String.t() | keyword()) ::
          Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}
  def read(file, name_or_options \\ []),
    do: Files.read("read", source!(file, "read"), name_or_options)

  @doc """
  The same, with an `Mlx.Quantized` for each matrix whose blocks MLX has a form for. Takes the option `:only`.

  Raises as `read/2`, and `Mlx.UnsupportedError` for blocks with a scale that MLX's form can't hold.
  """
  @spec read_quantized(t, String.t() | keyword()) ::
          Mlx.Tensor.like() | Quantized.t() | %{String.t() => Mlx.Tensor.like() | Quantized.t()}
  def read_quantized(file, name_or_options \\ [])

  def read_quantized(file, name) when is_binary(name),
    do: file |> source!("read_quantized") |> quantized([name]) |> hd()

  def read_quantized(file, options) do
    source = source!(file, "read_quantized")
    Argument.check_options!(options, [:only], "read_quantized")
    names = Files.chosen("read_quantized", Files.names(source), options[:only])
    names |> Enum.zip(quantized(source, names)) |> Map.new()
  end

  defp quantized(source, names) do
    answers =
      Files.named("read_quantized", fn ->
        source
        |> NIF.gguf_read_quantized(names, Mlx.Stream.where())
        |> Mlx.Memory.collected()
      end)

    others = for {name, nil} <- Enum.zip(names, answers), do: name
    read = others |> Enum.zip(Files.read_names("read_quantized", source, others)) |> Map.new()

    for {name, answer} <- Enum.zip(names, answers) do
      if answer, do: matrix(answer), else: read[name]
    end
  end

  defp matrix({{mode, bits, group_size}, parts}) do
    # Words, scales, biases.
    Quantized.names()
    |> Enum.zip(Mlx.Tensor.wrap_all(parts))
    |> Map.new()
    |> Quantized.from_parameters(mode: mode, bits: bits, group_size: group_size)
  end

  defp source!(%__MODULE__{source: source}, _owner) when is_reference(source), do: source

  defp source!(other, owner),
    do: Argument.check!(false, owner, "a file of Mlx.GGUF.open!/1", other)
end
