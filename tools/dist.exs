# Makes the archive that `mix compile` takes out of a folder that `make dist` has built, and lists checksums of archives.
# usage: elixir tools/dist.exs archive BUILD_FOLDER | checksums ARCHIVE...

Code.require_file("mix/prebuilt.exs", __DIR__)
Code.require_file("mix/archive.exs", __DIR__)
Mix.start()

case System.argv() do
  ["archive", build] -> Mlx.Archive.make(build)
  ["checksums" | [_ | _] = archives] -> Mlx.Archive.list(archives)
  _ -> Mix.raise("usage: make dist, or make checksums ARCHIVES=…")
end
