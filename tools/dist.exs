# Makes the archive that `mix compile` takes out of a folder that `make dist` has built, and lists checksums of archives.
# usage: elixir tools/dist.exs archive BUILD_FOLDER | checksums ARCHIVE...

Code.require_file("mix/prebuilt.exs", __DIR__)
Code.require_file("mix/archive.exs", __DIR__)
Mix.start()

try do
  case System.argv() do
    ["archive", build] -> Mlx.Archive.make(build)
    ["checksums" | [_ | _] = archives] -> Mlx.Archive.list(archives)
    _ -> Mix.raise("usage: make dist, or make checksums ARCHIVES=FILES")
  end
rescue
  error in [Mix.Error, File.Error] ->
    Mix.shell().error(Exception.message(error))
    exit({:shutdown, 1})
end
