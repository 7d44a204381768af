for file <- ["prebuilt.exs", "archive.exs"] do
  Code.require_file(file, Path.expand("../../../tools/mix", __DIR__))
end

defmodule Mlx.CompileNativeTest do
  # Each test compiles a project of its own, in a VM of its own, with a `make` of its own.
  use ExUnit.Case, async: true
  @moduletag timeout: 300_000

  alias Mlx.{Archive, Prebuilt}

  @tools Path.expand("../../../tools/mix", __DIR__)
  @project """
  defmodule Project.MixProject do
    use Mix.Project
    Code.require_file("tools/mix/compile_native.exs", __DIR__)
    def project, do: [app: :elixir_mlx, version: "1.2.3", compilers: [:mlxnx]]
  end
  """
  @resumes "elixir_mlx: interrupted; what was built is kept, and `mix compile` goes on from there\n"

  setup do
    folder = Path.join(System.tmp_dir!(), "mlxnx-compile-#{System.unique_integer([:positive])}")
    for name <- ["bin", "tools/mix"], do: File.mkdir_p!(Path.join(folder, name))

    for name <- ["compile_native.exs", "prebuilt.exs"],
        do: File.cp!(Path.join(@tools, name), Path.join([folder, "tools/mix", name]))

    File.write!(Path.join(folder, "mix.exs"), @project)
    File.write!(Path.join(folder, "checksums.exs"), "%{}\n")
    on_exit(fn -> File.rm_rf!(folder) end)
    %{folder: folder}
  end

  defp make(folder, script) do
    path = Path.join(folder, "bin/gmake")
    File.write!(path, "#!/bin/sh\n" <> script)
    File.chmod!(path, 0o755)
  end

  defp environment(folder) do
    [
      {"PATH", "#{folder}/bin:#{System.get_env("PATH")}"},
      {"PWD", folder},
      {"MIX_ENV", "dev"},
      {"MIX_BUILD_ROOT", nil},
      {"MIX_BUILD_PATH", nil},
      {"MLXNX_PREBUILT", nil},
      {"CMAKE_FLAGS", nil}
    ]
  end

  defp compile(folder, environment \\ []) do
    System.cmd("mix", ["compile"],
      cd: folder,
      env: environment(folder) ++ environment,
      stderr_to_stdout: true
    )
  end

  test "a build tells how far it is, and nothing else", %{folder: folder} do
    make(folder, ~S"""
    echo "== configuring"
    i=0
    while [ $i -lt 40 ]; do i=$((i + 1)); echo "[$i/40] Building thing $i"; done
    """)

    {text, 0} = compile(folder)
    assert text =~ "== configuring\nBuilding the native part of elixir_mlx, 40 steps"
    assert text =~ "  20 % built\n  30 % built\n"
    assert text =~ "  100 % built\n"
    refute text =~ "thing"
  end

  test "a build that fails tells why", %{folder: folder} do
    make(folder, "echo 'no such header' >&2\nexit 2\n")
    {text, 1} = compile(folder)
    assert text =~ "make nif ended with 2:\nno such header"
  end

  test "an interrupt ends the build with a line", %{folder: folder} do
    make(folder, ~S"""
    echo "== started"
    echo $$ > make.pid
    exec sleep 600
    """)

    # What is left of the VM's output comes after its end.
    port =
      Port.open({:spawn_executable, System.find_executable("sh")}, [
        :binary,
        :stderr_to_stdout,
        cd: folder,
        env:
          for(
            {name, value} <- environment(folder),
            do: {to_charlist(name), (value && to_charlist(value)) || false}
          ),
        args: ["-c", "mix compile </dev/null & echo $! > mix.pid; wait; cat"]
      ])

    assert gather(port, "", "== started")
    make = pid(folder, "make.pid")
    assert running?(make)
    System.cmd("kill", ["-KILL", pid(folder, "mix.pid")])
    assert gather(port, "", @resumes) =~ ~r/^(== started\n)?#{Regex.escape(@resumes)}$/
    refute running?(make)
    Port.close(port)
  end

  defp gather(port, text, wanted) do
    if text =~ wanted do
      text
    else
      receive do
        {^port, {:data, more}} -> gather(port, text <> more, wanted)
      after
        120_000 -> flunk("#{inspect(text)} instead of #{inspect(wanted)}")
      end
    end
  end

  defp pid(folder, name, tries \\ 100) do
    case File.read(Path.join(folder, name)) do
      {:ok, text} when text != "" -> String.trim(text)
      _ when tries > 0 -> Process.sleep(50) && pid(folder, name, tries - 1)
    end
  end

  # Who has ended may stay in the table, as a zombie.
  defp running?(pid) do
    {state, _} = System.cmd("ps", ["-o", "stat=", "-p", pid])
    state != "" and not String.starts_with?(state, "Z")
  end

  test "MLXNX_PREBUILT is taken in place of a build, seen from where Mix was started", context do
    %{folder: folder} = context
    make(folder, "exit 3\n")
    platform = hd(Prebuilt.platforms(Prebuilt.host()))
    name = Prebuilt.name("1.2.3", platform)

    bytes =
      Archive.pack([{"mlxnx_nif.so", "nif"}], version: "1.2.3", platform: platform, needs: [])

    File.mkdir_p!(Path.join(folder, "archives"))
    File.write!(Path.join([folder, "archives", name]), bytes)

    {text, 1} = compile(folder, [{"MLXNX_PREBUILT", "archives"}])
    assert text =~ "no checksum is listed of #{name}"

    File.write!(Path.join(folder, "checksums.exs"), inspect(%{name => Prebuilt.sha256(bytes)}))
    {text, 0} = compile(folder, [{"MLXNX_PREBUILT", "archives"}])
    assert text =~ "elixir_mlx: the native library is #{name}'s\n"
    assert File.read!(Path.join(folder, "_build/dev/lib/elixir_mlx/priv/mlxnx_nif.so")) == "nif"
    assert {"", 0} = compile(folder, [{"MLXNX_PREBUILT", "archives"}])
  end

  test "priv is replaced as a whole, and only by what is newer or another build's", %{
    folder: folder
  } do
    cmake = Path.join(folder, "bin/cmake")
    priv = Path.join(folder, "priv")

    install = fn build, script ->
      File.mkdir_p!(Path.join([folder, build, "lib"]))
      File.touch!(Path.join([folder, build, "build.ninja"]), 1_000_000_000)
      # cmake --install BUILD --component NAME --prefix FOLDER
      File.write!(cmake, "#!/bin/sh\nmkdir -p \"$6\"\n" <> script)
      File.chmod!(cmake, 0o755)
      put = Path.expand("../put_priv.sh", @tools)
      {_, status} = System.cmd(put, [build, priv], cd: folder, env: environment(folder))
      {status, priv |> File.ls!() |> Enum.sort()}
    end

    assert install.("one", ~S(echo 1 > "$6/$4")) == {0, ["nif", "origin", "runtime"]}
    assert install.("one", "exit 1") == {0, ["nif", "origin", "runtime"]}

    assert {status, ["nif", "origin", "runtime"]} =
             install.("two", ~S(echo 2 > "$6/half"; exit 1))

    assert status != 0
    refute File.exists?(priv <> ".partial")

    assert {status, ["nif", "origin", "runtime"]} =
             install.("two", ~S(echo 2 > "$6/half"; kill $PPID))

    assert status != 0
    assert File.exists?(priv <> ".partial")
    assert install.("one", "exit 1") == {0, ["nif", "origin", "runtime"]}
    refute File.exists?(priv <> ".partial")
    assert install.("two", ~S(echo 2 > "$6/new")) == {0, ["new", "origin"]}
    File.touch!(Path.join(folder, "two/lib/newer"), System.os_time(:second) + 10)
    assert install.("two", ~S(echo 2 > "$6/newer")) == {0, ["newer", "origin"]}
    refute File.exists?(priv <> ".old")
  end
end
