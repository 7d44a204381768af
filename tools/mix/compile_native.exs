defmodule Mix.Tasks.Compile.Mlxnx do
  @moduledoc """
  Puts the native library into the application's `priv` folder: built with `make nif`, or out of an archive where
  `MLXNX_PREBUILT` names one, a folder that has it, or a URL below which it is.

  The build folder is `build/` in the package's own folder, or what `MLXNX_BUILD` names. `CMAKE_FLAGS` is passed on; of an
  archive it says only whether it is one for CUDA (`-DMLXNX_CUDA=12`).
  """

  use Mix.Task.Compiler

  @recursive true

  @interrupted 130
  @farewell "elixir_mlx: interrupted; what was built is kept, and `mix compile` goes on from there"

  # The VM's children are no part of the terminal's group, and outlive it: the end of standard input tells that it is gone.
  @guard """
  exec 3<&0 4>&2 2>/dev/null
  farewell=$1
  shift
  trap 'exit #{@interrupted}' INT TERM HUP
  "$@" </dev/null 3<&- 4>&- 2>&1 & make=$!
  (
    cat <&3 >/dev/null
    trap '' INT TERM HUP
    kill -TERM 0
    echo "$farewell" >&4
  ) >/dev/null & guard=$!
  wait $make
  status=$?
  kill -KILL $guard
  exit $status
  """

  @impl true
  def run(_args) do
    priv = Path.join(Mix.Project.app_path(), "priv")

    case System.get_env("MLXNX_PREBUILT", "") do
      "" -> alone(fn -> build(priv) end)
      source -> alone(fn -> take(source, priv) end)
    end
  end

  # A relative path is seen from where Mix was started: a dependency is compiled in its own folder.
  defp take(source, priv) do
    # Mix leaves what a project does not name out of the code path.
    for application <- [:crypto, :inets, :ssl], do: Mix.ensure_application!(application)
    Code.ensure_loaded?(Mlx.Prebuilt) || Code.require_file("prebuilt.exs", __DIR__)

    if System.get_env("MLX_ROOT", "") != "",
      do:
        Mix.shell().info("elixir_mlx: MLX_ROOT means nothing to a library that is not built here")

    source =
      if source =~ "://",
        do: source,
        else: Path.expand(source, System.get_env("PWD", File.cwd!()))

    # Called by name: it is there only now.
    status =
      apply(Mlx.Prebuilt, :install, [
        source,
        priv,
        [version: Mix.Project.config()[:version], checksums: apply(Mlx.Prebuilt, :checksums, [])]
      ])

    {status, []}
  end

  defp build(priv) do
    make = System.find_executable("gmake") || System.find_executable("make")

    make ||
      Mix.raise("elixir_mlx needs make, CMake and a C++20 compiler to build its native library")

    arguments = [
      "--no-print-directory",
      "nif",
      "BUILD=#{System.get_env("MLXNX_BUILD", "build")}",
      "PRIV=#{priv}"
    ]

    case make |> start(arguments) |> follow(%{lines: [], part: "", tenths: 0}) do
      {0, _lines} -> {:ok, []}
      {@interrupted, _lines} -> Mix.raise(@farewell)
      {status, lines} -> Mix.raise("make nif ended with #{status}:\n" <> Enum.join(lines, "\n"))
    end
  end

  @impl true
  def clean do
    priv = Path.join(Mix.Project.app_path(), "priv")
    for folder <- [priv, priv <> ".partial", priv <> ".old"], do: File.rm_rf!(folder)
    :ok
  end

  # An editor's language server compiles too, and into another _build, so that Mix's own lock does not keep it off.
  defp alone(fun) do
    if Code.ensure_loaded?(Mix.Sync.Lock) and function_exported?(Mix.Sync.Lock, :with_lock, 2) do
      apply(Mix.Sync.Lock, :with_lock, ["elixir_mlx:" <> File.cwd!(), fun])
    else
      fun.()
    end
  end

  defp start(make, arguments) do
    options = [
      :binary,
      :exit_status,
      line: 4096,
      args: ["-c", @guard, "guard", @farewell, make | arguments]
    ]

    Port.open({:spawn_executable, System.find_executable("sh")}, options)
  end

  # A line per tenth of the build. Everything else is told only if make fails.
  defp follow(port, state) do
    receive do
      {^port, {:data, {:noeol, part}}} ->
        follow(port, %{state | part: state.part <> part})

      {^port, {:data, {:eol, part}}} ->
        line = state.part <> part
        tenths = tell(line, state.tenths)
        follow(port, %{lines: Enum.take([line | state.lines], 60), part: "", tenths: tenths})

      {^port, {:exit_status, status}} ->
        {status, Enum.reverse(state.lines)}
    end
  end

  defp tell(line, tenths) do
    case Regex.run(~r"^\[(\d+)/(\d+)\]", line) do
      [_, done, all] ->
        tell_progress(String.to_integer(done), String.to_integer(all), tenths)

      nil ->
        if String.starts_with?(line, "== "), do: Mix.shell().info(line)
        tenths
    end
  end

  defp tell_progress(done, all, tenths) do
    now = div(10 * done, all)

    if tenths == 0 do
      Mix.shell().info(
        "Building the native part of elixir_mlx, #{all} steps; the first time this takes minutes"
      )
    end

    if now > tenths and all >= 20, do: Mix.shell().info("  #{now * 10} % built")
    max(now, 1)
  end
end
