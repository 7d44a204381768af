defmodule Mlx.IO do
  @moduledoc """
  Files of tensors of any format, told by their suffix.

  | suffix | `load/2` | `save/3` |
  |---|---|---|
  | `.safetensors` | a map of tensors | a map, and texts for the header |
  | `.gguf` | a map of tensors; blocks become f32 | not written |

  `Mlx.Safetensors` and `Mlx.GGUF` do more with one format.
  """

  alias Mlx.{Argument, Files}

  @doc """
  The tensors in the file `path`.

  ## Options

    * `:only` - of files with names: which tensors, as for `Mlx.Safetensors.read!/2`; default: all

  Raises `Mlx.FormatError` for a file that is none of its suffix, `Mlx.UnsupportedError` for types that MLX lacks, `File.Error` when it
  can't be read, `ArgumentError` for other suffixes. mlx: `load`.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "load_\#{System.unique_integer([:positive])}.safetensors")
      iex> Mlx.IO.save(path, %{"a" => Mlx.Tensor.from_binary(<<1, 2>>, {:u, 8}, {2})})
      iex> %{"a" => a} = Mlx.IO.load(path)
      iex> File.rm!(path)
      iex> Mlx.Tensor.to_binary(a)
      <<1, 2>>
  """
  @spec load(Path.t(), keyword()) :: Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}
  def load(path, options \\ []) do
    Argument.check_path!(path, "load")
    Files.options!(options, [:only], "load")

    case suffix(path) do
      "." <> format when format in ["safetensors", "gguf"] ->
        Files.read("load", Files.open_as("load", format, path), options)

      _other ->
        unknown!(path, "load", ".safetensors or .gguf")
    end
  end

  @doc """
  Writes tensors, by their names, to the file `path`, whole or not at all. Evaluates.

  `metadata` are texts for the header of a `.safetensors` file.

  Raises `File.Error` when the file can't be written, `ArgumentError` for other suffixes and what are no tensors.
  """
  @spec save(Path.t(), term(), %{String.t() => String.t()}) :: :ok
  def save(path, tensors, metadata \\ %{}) do
    Argument.check_path!(path, "save")

    case suffix(path) do
      ".safetensors" -> Mlx.Safetensors.write!(path, tensors, metadata, "save")
      _other -> unknown!(path, "save", ".safetensors")
    end
  end

  defp suffix(path), do: path |> Path.extname() |> String.downcase()

  defp unknown!(path, owner, suffixes),
    do: Argument.check!(false, owner, "a path that ends in #{suffixes}", path)
end
