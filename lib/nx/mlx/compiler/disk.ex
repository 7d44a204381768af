defmodule Mlx.Compiler.Disk do
  # Programs in a file, for warm starts: what they were built from, and what is needed to run them.
  @moduledoc false

  require Logger
  alias Mlx.NIF
  alias Nx.Defn.Composite
  alias Nx.Tensor, as: T

  @magic "MLXNX.CACHE"
  # Programs that one file keeps, the newest first.
  @most 16

  @doc """
  The program that the file `path` keeps for the function with this stable key and for `signature`, or what `build` makes of it,
  kept from now on.

  A file that can't be used is told of in the log, and replaced.
  """
  def fetch(path, key, signature, build) do
    wanted = {versions(), fingerprint(key), signature}
    entries = read(path)

    case List.keytake(entries, wanted, 0) do
      nil ->
        keep(build.(), path, wanted, entries)

      {entry, others} ->
        case load(entry) do
          {:ok, program} ->
            program

          {:error, reason} ->
            Logger.warning("[Mlx.Compiler] #{path} holds a damaged program: #{reason}")
            keep(build.(), path, wanted, others)
        end
    end
  end

  defp keep(program, path, wanted, others) do
    if Enum.all?(program.callbacks, &match?({_, {:hook, {:named, _}, _}}, &1)) do
      kept = program |> Map.from_struct() |> Map.update!(:handle, &NIF.program_serialize/1)
      write(path, Enum.take([{wanted, kept, digest(wanted, kept)} | others], @most))
    else
      Logger.debug(
        "[Mlx.Compiler] not cached in #{path}: the function has hooks or runtime calls whose code no file holds"
      )
    end

    program
  end

  # What was kept has to be what was written for this function, and fit it: running it must not fail.
  defp load({{_, _, {vars, hooks}} = wanted, kept, digest}) do
    program = struct!(Mlx.Compiler, Map.update!(kept, :handle, &NIF.program_deserialize/1))
    {inputs, outputs} = NIF.program_signature(program.handle)
    arguments = vars |> List.to_tuple() |> types() |> List.to_tuple()

    cond do
      digest != digest(wanted, kept) ->
        {:error, "it is not what was written"}

      Enum.map(program.params, &elem(arguments, &1)) != Enum.map(inputs, &elem(&1, 1)) ->
        {:error, "its inputs are not the function's"}

      types(program.result) != outputs ->
        {:error, "its results are not the program's"}

      not callbacks_fit?(program, hooks) ->
        {:error, "its hooks are not the program's"}

      true ->
        {:ok, program}
    end
  rescue
    # Which may quote the file.
    error -> {:error, error |> Exception.message() |> String.replace_invalid()}
  end

  defp callbacks_fit?(program, hooks) do
    told = Map.new(NIF.program_callbacks(program.handle))

    Enum.sort(Map.keys(told)) == Enum.sort(Map.keys(program.callbacks)) and
      Enum.all?(program.callbacks, fn {name, {:hook, {:named, hook}, container}} ->
        hook in hooks and types(container) == told[name]
      end)
  end

  # The types and shapes of a container of templates.
  defp types(container) do
    for template <- Composite.flatten_list([container]) do
      %T{type: type, shape: shape, names: names} = Nx.devectorize(template)
      true = length(names) == tuple_size(shape) and Enum.all?(names, &is_atom/1)
      {type, shape}
    end
  end

  # Large programs are not copied for it.
  defp digest(wanted, kept) do
    kept = Map.update!(kept, :handle, &:crypto.hash(:sha256, &1))
    :crypto.hash(:sha256, :erlang.term_to_binary({wanted, kept}, [:deterministic]))
  end

  # Programs of other versions may mean something else.
  defp versions do
    {Application.spec(:elixir_mlx, :vsn), Application.spec(:nx, :vsn), NIF.mlx_version()}
  end

  defp fingerprint(key), do: key |> :erlang.term_to_binary([:deterministic]) |> :erlang.md5()

  ## Files

  defp read(path) do
    with {:ok, <<@magic, blob::binary>>} <- File.read(path),
         {:ok, entries} <- decode(blob) do
      entries
    else
      {:error, :enoent} ->
        []

      _ ->
        Logger.warning("[Mlx.Compiler] #{path} is no cache of programs; it will be replaced")
        []
    end
  end

  # A file is not trusted to make atoms. Those of a program's own are there once its function is loaded.
  defp decode(blob) do
    {:ok, [_ | _] = entries} = {:ok, :erlang.binary_to_term(blob, [:safe])}
    if Enum.all?(entries, &match?({_, %{handle: _}, _}, &1)), do: {:ok, entries}, else: :error
  rescue
    _ -> :error
  end

  # Under another name first: a VM that starts meanwhile sees the old file or the new one.
  defp write(path, entries) do
    partial = "#{path}.#{System.unique_integer([:positive])}.#{System.pid()}"

    with :ok <- File.mkdir_p(Path.dirname(path)),
         :ok <- File.write(partial, [@magic, :erlang.term_to_binary(entries)]),
         :ok <- File.rename(partial, path) do
      :ok
    else
      {:error, reason} ->
        File.rm(partial)
        Logger.warning("[Mlx.Compiler] can't write #{path}: #{:file.format_error(reason)}")
    end
  end
end
