# Records the functions of test/nx/support/programs with Nx's answers into native/tests/golden_programs, which
# `make test` replays without Elixir. Run by `make record-programs`.

root = Path.expand("..", __DIR__)

support = Path.join(root, "test/nx/support")

for file <- [
      Path.join(support, "programs.exs") | Path.wildcard(Path.join(support, "programs/*.exs"))
    ],
    do: Code.require_file(file)

folder = Path.join(root, "native/tests/golden_programs")

{count, _} =
  Mlx.Recorder.record(folder, fn ->
    for {name, fun, arguments} <- Mlx.Programs.all() do
      Mlx.Recorder.named(name, fn ->
        apply(Nx.Defn.jit(fun, compiler: Mlx.Compiler), arguments)
      end)
    end
  end)

bytes =
  for file <- File.ls!(folder),
      reduce: 0,
      do: (sum -> sum + File.stat!(Path.join(folder, file)).size)

IO.puts("#{count} programs in native/tests/golden_programs, #{div(bytes, 1024)} KiB")
