defmodule Mlx.Archive do
  @moduledoc """
  Makes the archives that `Mlx.Prebuilt` takes, and lists their checksums.
  """

  alias Mlx.Prebuilt

  @mix_exs Path.expand("../../mix.exs", __DIR__)
  @shared ~r/\.(so|dylib)(\.|$)/

  # What every machine of a platform has: the C and C++ libraries, and macOS' own.
  @of_the_system [
    ~r/^(libc|libm|libpthread|libdl|librt|ld-linux[-\w]*|libgcc_s|libstdc\+\+)\.so\.\d+$/,
    ~r"^/(usr/lib|System)/"
  ]

  @doc "Makes the archive of `build/priv` in the folder `build`, with a file that tells its checksum, and says so."
  def make(build) do
    {:ok, terms} = :file.consult(Path.join(build, "build_facts.term"))

    facts =
      for {key, value} <- terms, do: {key, if(is_list(value), do: to_string(value), else: value)}

    facts[:version] == version() ||
      Mix.raise(
        "mix.exs is of version #{version()}, and native/CMakeLists.txt of #{facts[:version]}"
      )

    facts[:mlx_source] == "wheel" ||
      Mix.raise(
        "MLX is one of this machine, which the archive can't hold: unset MLX_ROOT, or remove it"
      )

    facts[:cuda] &&
      Mix.raise(
        "the libraries of a build for CUDA stay where they are, so that no archive can hold them"
      )

    priv = build |> Path.join("priv") |> Path.expand()
    files = files(priv)
    check(priv, files)

    platform =
      Prebuilt.platform(%{
        Prebuilt.host()
        | macos: facts[:macos] && String.to_integer(facts[:macos]),
          cuda: nil
      })

    name = Prebuilt.name(version(), platform)
    bytes = pack(files, manifest(platform, facts, needs(priv, files, facts)))
    File.write!(Path.join(build, name), bytes)
    File.write!(Path.join(build, name <> ".sha256"), "#{Prebuilt.sha256(bytes)}  #{name}\n")

    Mix.shell().info(
      "#{Path.join(build, name)}: #{Float.round(byte_size(bytes) / 1.0e6, 1)} MB, SHA-256 #{Prebuilt.sha256(bytes)}"
    )
  end

  @doc "Lists the checksums of these archives beside those of the same version."
  def list(archives, file \\ Prebuilt.list()) do
    added = Map.new(archives, &{Path.basename(&1), Prebuilt.sha256(File.read!(&1))})

    for name <- Map.keys(added), not current?(name) do
      Mix.raise("#{name} is no archive of version #{version()}")
    end

    kept = for {name, sum} <- Prebuilt.checksums(file), current?(name), into: %{}, do: {name, sum}

    [comment | _] = file |> File.read!() |> String.split("\n")

    lines =
      for {name, sum} <- Enum.sort(Map.merge(kept, added)),
          do: ~s(  "#{name}" =>\n    "#{sum}")

    File.write!(file, "#{comment}\n%{\n#{Enum.join(lines, ",\n")}\n}\n")

    Mix.shell().info(
      "#{Path.relative_to_cwd(file)} lists archives of #{version()}: #{length(lines)}"
    )
  end

  # Is that the name of an archive of this version?
  defp current?(name) do
    [start, ending] = String.split(Prebuilt.name(version(), "*"), "*")
    String.starts_with?(name, start) and String.ends_with?(name, ending)
  end

  @doc "An archive's bytes: of the same files always the same."
  def pack(files, manifest) do
    stated =
      for {file, bytes} <- Enum.sort(files), do: {file, byte_size(bytes), Prebuilt.sha256(bytes)}

    text = :io_lib.format("~tp.~n", [manifest ++ [files: stated]])
    all = [{Prebuilt.manifest_name(), IO.chardata_to_string(text)} | Enum.sort(files)]

    path =
      Path.join(
        System.tmp_dir!(),
        "elixir_mlx-#{System.pid()}-#{System.unique_integer([:positive])}.tar"
      )

    try do
      {:ok, tar} = :erl_tar.open(path, [:write])
      times = [atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0]
      for {file, bytes} <- all, do: :ok = :erl_tar.add(tar, bytes, to_charlist(file), times)
      :ok = :erl_tar.close(tar)
      path |> File.read!() |> :zlib.gzip()
    after
      File.rm(path)
    end
  end

  defp manifest(platform, facts, needs) do
    [
      version: version(),
      platform: platform,
      needs: needs,
      built: Keyword.drop(facts, [:version, :nif, :macos, :cuda])
    ]
  end

  # The files below a folder. A library's short name, which is a link, takes the place of the long one.
  defp files(priv) do
    paths = priv |> Path.join("**") |> Path.wildcard(match_dot: true) |> Enum.reject(&File.dir?/1)

    links =
      for path <- paths,
          {:ok, target} <- [File.read_link(path)],
          do: Path.expand(target, Path.dirname(path))

    for path <- paths, path not in links, do: {Path.relative_to(path, priv), File.read!(path)}
  end

  # Nothing may lead out of the archive: neither a library that it lacks nor a folder of this machine.
  defp check(priv, files) do
    names = for {file, _} <- files, do: Path.basename(file)

    for {file, bytes} <- libraries(files) do
      {needed, run_paths} = linked(Path.join(priv, file))

      for library <- needed, Path.basename(library) not in names, not of_the_system?(library) do
        Mix.raise(
          "#{file} needs #{library}, which is neither in the archive nor on every machine"
        )
      end

      for path <- run_paths, not (path =~ ~r"^(\$ORIGIN|@loader_path)(/|$)") do
        Mix.raise("#{file} looks for libraries in #{path}, which other machines lack")
      end

      for folder <- [Path.dirname(@mix_exs), Path.join(System.user_home!(), ".cargo")],
          :binary.match(bytes, folder <> "/") != :nomatch do
        Mix.raise("#{file} names #{folder}, a folder of this machine")
      end
    end
  end

  defp of_the_system?(library), do: Enum.any?(@of_the_system, &(library =~ &1))

  defp libraries(files),
    do: Enum.filter(files, fn {file, _} -> Path.basename(file) =~ @shared end)

  # What a library names: others, and folders to look for them in.
  defp linked(path) do
    if macos?() do
      text = said("otool", ["-l", path])

      {all(~r/cmd LC_LOAD_DYLIB\n.*\n +name (\S+)/, text),
       all(~r/cmd LC_RPATH\n.*\n +path (\S+)/, text)}
    else
      text = said("readelf", ["-d", "-W", path])
      paths = for list <- all(~r/R(?:UN)?PATH\).*\[(.*)\]/, text), do: String.split(list, ":")
      {all(~r/NEEDED\).*\[(.*)\]/, text), List.flatten(paths)}
    end
  end

  # The oldest versions of what the system brings that all of the libraries run with.
  defp needs(priv, files, facts) do
    texts = for {file, _} <- libraries(files), do: versions(Path.join(priv, file))

    system =
      if macos?(),
        do: [macos: newest(~r/minos ([\d.]+)/, texts) |> no_newer_than(facts[:macos])],
        else: [
          glibc: newest(~r/GLIBC_([\d.]+)/, texts),
          libstdcxx: newest(~r/GLIBCXX_([\d.]+)/, texts)
        ]

    [nif: facts[:nif]] ++ system
  end

  defp no_newer_than(needed, macos) do
    Prebuilt.numbers(needed) <= [String.to_integer(macos), 0] ||
      Mix.raise("a library needs macOS #{needed}, and the archive is for #{macos}")

    needed
  end

  defp versions(path) do
    if macos?(), do: said("otool", ["-l", path]), else: said("readelf", ["-V", "-W", path])
  end

  defp newest(regex, texts) do
    texts |> Enum.flat_map(&all(regex, &1)) |> Enum.max_by(&Prebuilt.numbers/1)
  end

  defp all(regex, text), do: for([_, found] <- Regex.scan(regex, text), do: found)

  defp macos?, do: :os.type() == {:unix, :darwin}

  defp said(program, arguments) do
    {text, 0} = System.cmd(program, arguments)
    text
  end

  defp version do
    [_, version] = Regex.run(~r/@version "(.*)"/, File.read!(@mix_exs))
    version
  end
end
