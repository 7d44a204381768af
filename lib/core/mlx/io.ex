defmodule Mlx.IO do
  @moduledoc """
  Files of tensors of any format, told by their suffix.

  | suffix | `load/2` | `save/3` |
  |---|---|---|
  | `.safetensors` | a map of tensors | a map, and the option `:metadata` |
  | `.npy` | a tensor | a tensor |
  | `.npz` | a map of tensors | a map, and the option `:compressed` |
  | `.gguf` | a map of tensors; blocks become f32 | not written |

  `Mlx.Safetensors` and `Mlx.GGUF` do more with one format. Archives of numpy (`.npz`) need a native library that was built with
  libzip.
  """

  alias Mlx.{Argument, Files, NIF}

  @doc """
  The tensors in the file `path`.

  ## Options

    * `:only` - of files with names: which tensors, as for `Mlx.Safetensors.read!/2`; default: all

  Raises `Mlx.FormatError` for a file that is none of its suffix, `Mlx.UnsupportedError` for types that MLX lacks, `File.Error` when it
  can't be read, `ArgumentError` for other suffixes. mlx: `load`.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "load_\#{System.unique_integer([:positive])}.npy")
      iex> Mlx.IO.save(path, Mlx.Tensor.from_binary(<<1, 2>>, {:u, 8}, {2}))
      iex> tensor = Mlx.IO.load(path)
      iex> File.rm!(path)
      iex> Mlx.Tensor.to_binary(tensor)
      <<1, 2>>
  """
  @spec load(Path.t(), keyword()) :: Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}
  def load(path, options \\ []) do
    Argument.check_path!(path, "load")
    format = format!(path, "load")
    Argument.check_options!(options, if(format == "npy", do: [], else: [:only]), "load")
    load(format, path, options)
  end

  defp load("npy", path, _options) do
    regular!(path)
    read(fn where -> NIF.npy_read(path, where) end) |> Mlx.Tensor.wrap()
  end

  defp load("npz", path, options) do
    regular!(path)
    named = Map.new(read(fn where -> NIF.npz_read(path, where) end))
    names = Files.chosen("load", Map.keys(named), options[:only])

    for name <- names, into: %{} do
      there? = is_map_key(named, name)
      Argument.check!(there?, "load", "names among #{inspect(Map.keys(named))}", name)
      {name, Mlx.Tensor.wrap(named[name])}
    end
  end

  defp load(format, path, options),
    do: Files.read("load", Files.open_as("load", format, path), options)

  defp read(native),
    do: Files.named("load", fn -> Mlx.Stream.where() |> native.() |> Mlx.Memory.collected() end)

  # The native reader takes pipes too, and would wait for whoever writes.
  defp regular!(path) do
    case File.stat(path) do
      {:ok, %{type: type}} when type not in [:regular, :directory] ->
        raise ArgumentError, "[load] #{path} can't be read: it is no regular file"

      _else ->
        :ok
    end
  end

  @doc """
  Writes a tensor (`.npy`), or tensors by their names, to the file `path`, whole or not at all. Evaluates.

  ## Options

    * `:metadata` - of `.safetensors`: a map of texts for the header
    * `:compressed` - of `.npz`: whether the elements are deflated; default false

  Raises `File.Error` when the file can't be written, `ArgumentError` for other suffixes and what are no tensors,
  `Mlx.UnsupportedError` for types that the format lacks, such as bf16 in numpy's. mlx: `save`, `savez`, `save_safetensors`.
  """
  @spec save(Path.t(), Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}, keyword()) :: :ok
  def save(path, tensors, options \\ []) do
    Argument.check_path!(path, "save")
    save(Path.extname(path) |> String.downcase(), path, tensors, options)
  end

  defp save(".safetensors", path, tensors, options) do
    Argument.check_options!(options, [:metadata], "save")
    Mlx.Safetensors.write!(path, tensors, Keyword.get(options, :metadata, %{}), "save")
  end

  defp save(".npy", path, tensor, options) do
    Argument.check_options!(options, [], "save")
    ref = Mlx.Tensor.ref!(tensor, "save")
    Files.named("save", fn -> NIF.npy_write(path, ref) end)
  end

  defp save(".npz", path, tensors, options) do
    Argument.check_options!(options, [:compressed], "save")
    compressed? = Keyword.get(options, :compressed, false)
    fits? = is_boolean(compressed?)
    Argument.check!(fits?, "save", ":compressed to be true or false", compressed?)
    {names, refs} = Files.named_refs!(tensors, "save")
    Files.named("save", fn -> NIF.npz_write(path, names, refs, compressed?) end)
  end

  defp save(_other, path, _tensors, _options),
    do: Argument.check!(false, "save", "a path that ends in .safetensors, .npy or .npz", path)

  defp format!(path, owner) do
    case path |> Path.extname() |> String.downcase() do
      "." <> format when format in ["safetensors", "npy", "npz", "gguf"] ->
        format

      _other ->
        expected = "a path that ends in .safetensors, .npy, .npz or .gguf"
        Argument.check!(false, owner, expected, path)
    end
  end
end
