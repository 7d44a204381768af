defmodule Mlx.NN.Weights do
  # Named tensors in .safetensors files.
  @moduledoc false

  alias Mlx.NIF

  @doc "Writes `{name, tensor}` and texts for the header; the file takes its place once it is whole and on the disk."
  @spec write!(Path.t(), [{String.t(), Nx.Tensor.t()}], %{String.t() => String.t()}) :: :ok
  def write!(path, named, metadata) do
    where = Mlx.Stream.where()
    {names, tensors} = Enum.unzip(named)
    refs = Enum.map(tensors, &Mlx.Backend.to_ref(Nx.devectorize(&1), where))
    texts = Enum.flat_map(metadata, fn {key, value} -> [key, value] end)
    bytes = NIF.safetensors_encode(names, refs, texts)
    partial = "#{path}.#{System.pid()}-#{System.unique_integer([:positive])}.partial"

    try do
      File.open!(partial, [:write, :raw, :exclusive], fn file ->
        with :ok <- :file.write(file, bytes), :ok <- :file.sync(file) do
          :ok
        else
          {:error, reason} -> raise File.Error, reason: reason, action: "write to", path: path
        end
      end)

      File.rename!(partial, path)
    after
      File.rm(partial)
    end

    :ok
  end

  @doc "The `{name, tensor}` of a file, sorted by name, and the texts of its header."
  @spec read!(Path.t()) :: {[{String.t(), Nx.Tensor.t()}], %{String.t() => String.t()}}
  def read!(path) do
    {tensors, metadata} = path |> File.read!() |> decode(path)

    named =
      for {name, {type, shape}, ref} <- tensors,
          do: {name, %{Nx.template(shape, type) | data: %Mlx.Backend{ref: ref}}}

    {named, Map.new(metadata)}
  end

  defp decode(bytes, path) do
    NIF.safetensors_decode(bytes)
  rescue
    error in [Mlx.FormatError, Mlx.UnsupportedError] ->
      reason =
        error.message |> String.replace_invalid() |> String.replace_prefix("[program] ", "")

      reraise %{error | message: "[load_weights] #{path}: #{reason}"}, __STACKTRACE__
  end
end
