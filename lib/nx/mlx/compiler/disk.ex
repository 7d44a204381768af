defmodule Mlx.Compiler.Disk do
  # Programs in a file, for warm starts: what they were built from, and what is needed to run them.
  @moduledoc false

  require Logger
  alias Mlx.NIF

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

    case List.keyfind(entries, wanted, 0) do
      {_, entry} -> load(entry)
      nil -> keep(build.(), path, wanted, entries)
    end
  rescue
    error in Mlx.FormatError ->
      Logger.warning("[Mlx.Compiler] #{path} holds a damaged program: #{error.message}")
      keep(build.(), path, {versions(), fingerprint(key), signature}, [])
  end

  defp keep(program, path, wanted, others) do
    if Enum.all?(program.callbacks, &match?({_, {:hook, {:named, _}, _}}, &1)) do
      entry = program |> Map.from_struct() |> Map.update!(:handle, &NIF.program_serialize/1)
      write(path, Enum.take([{wanted, entry} | others], @most))
    else
      Logger.debug(
        "[Mlx.Compiler] not cached in #{path}: the function has hooks or runtime calls whose code no file holds"
      )
    end

    program
  end

  defp load(entry) do
    struct!(Mlx.Compiler, Map.update!(entry, :handle, &NIF.program_deserialize/1))
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
    if Enum.all?(entries, &match?({_, %{handle: _}}, &1)), do: {:ok, entries}, else: :error
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
