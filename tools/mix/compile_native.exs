defmodule Mix.Tasks.Compile.Mlxnx do
  @moduledoc """
  Builds the native library with `make nif`, which puts it into the application's `priv` folder.

  The build folder is `build/` in the package's own folder, or what `MLXNX_BUILD` names. `CMAKE_FLAGS` is passed on.
  """

  use Mix.Task.Compiler

  @recursive true

  @impl true
  def run(_args) do
    make = System.find_executable("gmake") || System.find_executable("make")

    make ||
      Mix.raise("elixir_mlx needs make, CMake and a C++20 compiler to build its native library")

    arguments = [
      "--no-print-directory",
      "nif",
      "BUILD=#{System.get_env("MLXNX_BUILD", "build")}",
      "PRIV=#{Path.join(Mix.Project.app_path(), "priv")}"
    ]

    case alone(fn -> make |> start(arguments) |> follow(%{lines: [], part: "", tenths: 0}) end) do
      {0, _lines} -> {:ok, []}
      {status, lines} -> Mix.raise("make nif ended with #{status}:\n" <> Enum.join(lines, "\n"))
    end
  end

  @impl true
  def clean do
    File.rm_rf!(Path.join(Mix.Project.app_path(), "priv"))
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
    options = [:binary, :exit_status, :stderr_to_stdout, line: 4096, args: arguments]
    Port.open({:spawn_executable, make}, options)
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
