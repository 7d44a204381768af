defmodule Mlx.Safetensors do
  @moduledoc """
  Files in the [safetensors](https://github.com/huggingface/safetensors) format.

  What is read stays in the file's pages, where the device can use them: reading costs little until somebody asks for elements, and
  nothing is copied. So the file may be replaced meanwhile, but not shortened; all writers here replace.

      Mlx.Safetensors.read!("model.safetensors", only: ~r/^layers\\.0\\./)

      file = Mlx.Safetensors.open!("model.safetensors")
      Mlx.Safetensors.read(file, "layers.0.weight")

  Tensors are `Mlx.Backend` tensors, or `Mlx.Tensor` where Nx is not there. 8-bit floats become bf16, which holds them all, and
  truth values u8.
  """

  alias Mlx.{Argument, Files, NIF}

  @enforce_keys [:source, :path]
  defstruct [:source, :path]

  @typedoc "An open file. It is closed when nobody holds it or a tensor of it any more."
  @type t :: %__MODULE__{source: Files.source(), path: Path.t()}

  @typedoc "See `info/1`."
  @type info :: Files.info()

  @doc """
  The tensors in the file `path`, by their names.

  ## Options

    * `:only` - which ones: a list of names, a regular expression, or a function of a name; default: all
    * `:lazy` - whether to answer containers that `Nx.to_tensor/1` and functions of `defn` read when they are given one; default false

  Raises `Mlx.FormatError` for anything but such a file, `Mlx.UnsupportedError` for types that MLX lacks, `File.Error` when it can't be
  read, and `ArgumentError` for names that there are not, with the nearest one. mlx: `load`.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "read_\#{System.unique_integer([:positive])}.safetensors")
      iex> Mlx.Safetensors.write!(path, %{"a" => Mlx.Tensor.from_binary(<<1, 2>>, {:u, 8}, {2})})
      iex> %{"a" => a} = Mlx.Safetensors.read!(path)
      iex> File.rm!(path)
      iex> Mlx.Tensor.to_binary(a)
      <<1, 2>>
  """
  @spec read!(Path.t(), keyword()) :: %{String.t() => Mlx.Tensor.like()}
  def read!(path, options \\ []) do
    Argument.check_options!(options, [:only, :lazy], "read")
    Files.read("read", open!(path, "read").source, options)
  end

  @doc """
  Opens a file, of which only the header is read.

  Raises as `read!/2`.
  """
  @spec open!(Path.t()) :: t
  def open!(path), do: open!(path, "open")

  @doc false
  def open!(path, owner),
    do: %__MODULE__{source: Files.open_as(owner, "safetensors", path), path: path}

  @doc """
  The tensor of a name, or a map of those that the options of `read!/2` mean.

  Raises as `read!/2`.
  """
  @spec read(t, String.t() | keyword()) ::
          Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}
  def read(file, name_or_options \\ []),
    do: Files.read("read", source!(file, "read"), name_or_options)

  @doc "The names of the tensors, in the order in which they lie in the file."
  @spec names(t) :: [String.t()]
  def names(file), do: file |> source!("names") |> Files.names()

  @doc """
  What the file says of each tensor: `:type` and `:shape` of what reading answers, how it is `:stored` (`"bf16"`, `"bool"`,
  `"f8_e4m3"`), and the `:bytes` that it takes in the file.
  """
  @spec info(t) :: %{String.t() => info}
  def info(file), do: file |> source!("info") |> Files.info()

  @doc "The texts of the header, by their keys."
  @spec metadata(t) :: %{String.t() => String.t()}
  def metadata(file), do: file |> source!("metadata") |> NIF.file_metadata() |> Map.new()

  @doc """
  Writes tensors by their names, a map or a list of pairs, into the file `path`; `metadata` are texts for its header.

  The file is there whole or not at all: one that was there stays until the new one is written. Evaluates.

  Raises `File.Error` when the file can't be written, `ArgumentError` for what are no tensors, and for names that are no texts or that
  two tensors have. mlx: `save_safetensors`.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "write_\#{System.unique_integer([:positive])}.safetensors")
      iex> tensor = Mlx.Tensor.from_binary(<<1, 2>>, {:u, 8}, {2, 1})
      iex> :ok = Mlx.Safetensors.write!(path, %{"a" => tensor}, %{"step" => "7"})
      iex> file = Mlx.Safetensors.open!(path)
      iex> File.rm!(path)
      iex> {Mlx.Safetensors.info(file), Mlx.Safetensors.metadata(file)}
      {%{"a" => %{type: {:u, 8}, shape: {2, 1}, stored: "u8", bytes: 2}}, %{"step" => "7"}}
  """
  @spec write!(
          Path.t(),
          %{String.t() => Mlx.Tensor.like()} | [{String.t(), Mlx.Tensor.like()}],
          %{String.t() => String.t()}
        ) :: :ok
  def write!(path, tensors, metadata \\ %{}), do: write!(path, tensors, metadata, "write")

  @doc false
  def write!(path, tensors, metadata, owner) do
    Argument.check_path!(path, owner)
    {names, refs} = Files.named_refs!(tensors, owner)

    texts? =
      is_map(metadata) and not is_struct(metadata) and
        Enum.all?(metadata, fn {key, value} -> Files.text?(key) and Files.text?(value) end)

    Argument.check!(texts?, owner, "metadata to be a map of texts to texts", metadata)
    texts = Enum.flat_map(metadata, fn {key, value} -> [key, value] end)
    Files.named(owner, fn -> NIF.safetensors_write(path, names, refs, texts) end)
  end

  @doc """
  What Bumblebee takes as its option `:safetensors_reader`: the tensors in the file `path`, each read when it is asked for, as
  `read!(path, lazy: true)`.

      Bumblebee.load_model({:hf, "google-bert/bert-base-uncased"},
        backend: Mlx.Backend,
        safetensors_reader: &Mlx.Safetensors.reader/1
      )
  """
  @spec reader(Path.t()) :: %{String.t() => term()}
  def reader(path), do: read!(path, lazy: true)

  defp source!(%__MODULE__{source: source}, _owner) when is_reference(source), do: source

  defp source!(other, owner),
    do: Argument.check!(false, owner, "a file of Mlx.Safetensors.open!/1", other)
end
