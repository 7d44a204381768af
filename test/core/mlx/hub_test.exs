defmodule Mlx.HubTest do
  # Against a hub on this machine. Some tests set the environment, and count threads.
  use ExUnit.Case, async: false

  import Mlx.Handles, only: [eventually: 1]
  alias Mlx.{Hub, VM}

  doctest Mlx.Hub

  @server Path.expand("../../../native/tests/io/hub_server.py", __DIR__)
  @commit String.duplicate("a", 40)

  setup_all do
    python = System.find_executable("python3")
    port = Port.open({:spawn_executable, python}, [:binary, line: 100, args: [@server]])
    assert_receive {^port, {:data, {:eol, line}}}
    [hub, _other] = String.split(line)
    for name <- ["no_proxy", "NO_PROXY"], do: System.put_env(name, "127.0.0.1")
    System.put_env("HF_HOME", "/nonexistent")
    for name <- ["HF_TOKEN", "HF_HUB_OFFLINE"], do: System.delete_env(name)
    %{endpoint: "http://127.0.0.1:#{hub}"}
  end

  setup %{endpoint: endpoint} do
    cache = Path.join(System.tmp_dir!(), "mlx_hub_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(cache) end)
    %{cache: cache, options: [endpoint: endpoint, cache: cache, token: ""]}
  end

  defp snapshot(cache, kind),
    do: Path.join([cache, "models--acme--#{kind}", "snapshots", @commit])

  test "pull/2 downloads what a model needs, and find/2 finds it", context do
    assert Hub.find("acme/plain", context.options) == nil
    path = Hub.pull("acme/plain", context.options)
    assert path == snapshot(context.cache, "plain")
    assert File.read!(Path.join(path, "config.json")) =~ "model_type"
    assert File.stat!(Path.join(path, "model.safetensors")).size == 3_000_000
    refute File.exists?(Path.join(path, "modeling.py"))
    assert Hub.find("acme/plain", context.options) == path
    assert Hub.pull("acme/plain", [offline: true] ++ context.options) == path
  end

  test "pull_file/3 downloads one file", context do
    path = Hub.pull_file("acme/plain", "model.Q8_0.gguf", context.options)
    assert path == Path.join(snapshot(context.cache, "plain"), "model.Q8_0.gguf")
    assert Hub.find_file("acme/plain", "model.Q8_0.gguf", context.options) == path
    assert Hub.find_file("acme/plain", "config.json", context.options) == nil
    assert Hub.find("acme/plain", context.options) == nil

    assert Hub.find("acme/plain", [include: ["*.gguf"]] ++ context.options) ==
             path |> Path.dirname()
  end

  test "progress is told in the calling process", context do
    test = self()

    tell = fn progress ->
      assert self() == test
      send(test, progress)
    end

    Hub.pull("acme/plain", [progress: tell, exclude: ["*.txt"]] ++ context.options)

    assert_received %{
      file: "config.json",
      file_bytes: 0,
      file_size: 23,
      files: 4,
      size: 3_000_030
    }

    assert_received %{file: "model.safetensors", files_done: 4, bytes: 3_000_030}
  end

  test "what the function raises ends the download and is raised", context do
    stop = fn progress -> if progress.bytes > 0, do: throw({:enough, progress.file}) end
    options = [progress: stop, include: ["*.safetensors"]] ++ context.options
    assert catch_throw(Hub.pull("acme/slow", options)) == {:enough, "model.safetensors"}
    refute_received _
    refute File.exists?(Path.join(snapshot(context.cache, "slow"), "model.safetensors"))
    assert Hub.pull("acme/slow", context.options) == snapshot(context.cache, "slow")
  end

  test "a download ends with the process that asked for it", context do
    before = VM.threads()
    pid = spawn(fn -> Hub.pull("acme/stalling", context.options) end)
    blobs = Path.join([context.cache, "models--acme--stalling", "blobs", "*.incomplete"])
    assert eventually(fn -> Enum.any?(Path.wildcard(blobs), &(File.stat!(&1).size > 0)) end)
    Process.exit(pid, :kill)
    if before, do: assert(eventually(fn -> VM.threads() <= before end))
  end

  test "several processes download once", context do
    pull = fn -> Hub.pull("acme/slow", context.options) end
    paths = 1..3 |> Enum.map(fn _ -> Task.async(pull) end) |> Task.await_many(30_000)
    assert Enum.uniq(paths) == [snapshot(context.cache, "slow")]
  end

  test "errors say what to do, and no token", context do
    options = Keyword.put(context.options, :token, "hf_wrong")
    error = assert_raise Mlx.HubError, fn -> Hub.pull("acme/private", options) end
    assert error.message =~ "[hub] acme/private does not exist, or is private or gated (401)"
    refute error.message =~ "hf_wrong"

    raises(Mlx.HubError, ~r/not in the cache/, fn ->
      Hub.pull("acme/plain", [offline: true] ++ context.options)
    end)

    raises(Mlx.HubError, ~r/has no other.gguf/, fn ->
      Hub.pull_file("acme/plain", "other.gguf", context.options)
    end)

    raises(Mlx.FormatError, ~r/leads to no file of a repository/, fn ->
      Hub.pull("acme/hostile-up", context.options)
    end)

    raises(ArgumentError, ~r/is no name of a repository/, fn -> Hub.pull("../x") end)
    raises(ArgumentError, ~r/is no file of a repository/, fn -> Hub.pull_file("a/b", "../x") end)
  end

  defp raises(exception, text, fun), do: assert_raise(exception, text, fun)

  test "options are checked, and tokens not shown" do
    raises(ArgumentError, ~r/^\[pull\] expected the name of a repository/, fn -> Hub.pull(:a) end)

    raises(ArgumentError, ~r/^\[pull\] expected no option but/, fn -> Hub.pull("a/b", some: 1) end)

    raises(ArgumentError, ~r/^\[find\] expected :force to be/, fn -> Hub.find("a/b", force: 1) end)

    raises(ArgumentError, ~r/:progress to be/, fn -> Hub.pull("a/b", progress: fn -> 1 end) end)
    raises(ArgumentError, ~r/:include to be a list/, fn -> Hub.pull("a/b", include: "*") end)
    raises(ArgumentError, ~r/name of a file/, fn -> Hub.pull_file("a/b", nil) end)

    for options <- [[token: ~c"hf_secret"], [{"token", "hf_secret"}], ["hf_secret"]] do
      error = assert_raise ArgumentError, fn -> Hub.pull("a/b", options) end
      refute inspect(error) =~ "hf_secret"
    end
  end

  test "the machine's end in the midst of a download is a clean one", context do
    code = """
    spawn(fn -> Mlx.Hub.pull("acme/stalling", endpoint: "#{context.endpoint}", cache: "#{context.cache}") end)
    Stream.repeatedly(fn -> Process.sleep(20) end)
    |> Enum.find(fn _ -> Path.wildcard("#{context.cache}/*/blobs/*.incomplete") != [] end)
    System.halt(3)
    """

    assert VM.run(code, [{"no_proxy", "127.0.0.1"}]) == {"", 3}
  end
end
