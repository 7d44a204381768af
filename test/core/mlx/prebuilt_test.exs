for application <- [:inets, :ssl], do: Mix.ensure_application!(application)

for file <- ["prebuilt.exs", "archive.exs"] do
  Code.require_file(file, Path.expand("../../../tools/mix", __DIR__))
end

defmodule Mlx.PrebuiltTest do
  # Mix has one shell.
  use ExUnit.Case, async: false

  alias Mlx.{Archive, Prebuilt}

  @version "1.2.3"
  @host %{
    arch: "x86_64",
    system: "linux-gnu",
    macos: nil,
    glibc: "2.36",
    nif: "2.17",
    cuda: nil
  }
  @platform "x86_64-linux-gnu"
  @name "elixir_mlx-1.2.3-x86_64-linux-gnu.tar.gz"
  @files [{"mlxnx_nif.so", "nif"}, {"lib/libmlxnx.so.0", String.duplicate("library", 1000)}]
  @manifest [
    version: @version,
    platform: @platform,
    needs: [nif: "2.17", glibc: "2.35"],
    built: [mlx: "0.1"]
  ]

  setup do
    shell = Mix.shell()
    Mix.shell(Mix.Shell.Process)
    folder = Path.join(System.tmp_dir!(), "mlxnx-prebuilt-#{System.unique_integer([:positive])}")
    File.mkdir_p!(Path.join(folder, "priv"))
    File.write!(Path.join(folder, "priv/old"), "old")

    on_exit(fn ->
      Mix.shell(shell)
      File.rm_rf!(folder)
    end)

    %{folder: folder, priv: Path.join(folder, "priv")}
  end

  defp write(folder, bytes, name \\ @name) do
    path = Path.join(folder, name)
    File.write!(path, bytes)
    path
  end

  defp sums(bytes, name \\ @name), do: %{name => Prebuilt.sha256(bytes)}

  defp install(source, priv, checksums, host \\ @host) do
    Prebuilt.install(source, priv, version: @version, checksums: checksums, host: host)
  end

  defp assert_taken(priv) do
    for {file, bytes} <- @files, do: assert(File.read!(Path.join(priv, file)) == bytes)
    refute File.exists?(Path.join(priv, "old"))
    assert_tidy(priv)
  end

  defp assert_tidy(priv) do
    refute File.exists?(priv <> ".partial")
    refute File.exists?(priv <> ".old")
  end

  # Why an archive of these bytes is refused. What lies in priv stays.
  defp refusal(%{folder: folder, priv: priv}, bytes, checksums, host \\ @host) do
    path = write(folder, bytes)
    error = assert_raise Mix.Error, fn -> install(path, priv, checksums, host) end
    assert File.ls!(priv) == ["old"]
    assert_tidy(priv)
    error.message
  end

  # A tar archive of {name, bytes}, or {name, {:link, to}}, whatever the names.
  defp tar(folder, entries) do
    path = Path.join(folder, "any.tar.gz")
    {:ok, tar} = :erl_tar.open(path, [:write, :compressed])

    for {name, content} <- entries do
      case content do
        {:link, to} ->
          link = Path.join(folder, "link-#{System.unique_integer([:positive])}")
          File.ln_s!(to, link)
          :ok = :erl_tar.add(tar, to_charlist(link), to_charlist(name), [])

        bytes ->
          :ok = :erl_tar.add(tar, bytes, to_charlist(name), [])
      end
    end

    :ok = :erl_tar.close(tar)
    File.read!(path)
  end

  describe "an archive" do
    test "has the same bytes whenever it is made" do
      one = Archive.pack(@files, @manifest)
      Process.sleep(1100)
      assert Archive.pack(Enum.reverse(@files), @manifest) == one
    end

    test "is taken from a file once", %{folder: folder, priv: priv} do
      bytes = Archive.pack(@files, @manifest)
      path = write(folder, bytes)
      assert install(path, priv, sums(bytes)) == :ok
      assert_taken(priv)
      assert install(path, priv, sums(bytes)) == :noop
    end

    test "is taken from a folder once, and again where files of it are missing", context do
      %{folder: folder, priv: priv} = context
      bytes = Archive.pack(@files, @manifest)
      write(folder, bytes)
      assert install(folder, priv, sums(bytes)) == :ok
      assert_taken(priv)
      assert install(folder, priv, sums(bytes)) == :noop
      File.rm!(Path.join(priv, "mlxnx_nif.so"))
      assert install(folder, priv, sums(bytes)) == :ok
      assert_taken(priv)
    end

    test "takes the place of another", %{folder: folder, priv: priv} do
      first = Archive.pack([{"first", "1"}], @manifest)
      assert install(write(folder, first), priv, sums(first)) == :ok
      second = Archive.pack(@files, @manifest)
      assert install(write(folder, second), priv, sums(second)) == :ok
      assert_taken(priv)
      refute File.exists?(Path.join(priv, "first"))
    end

    test "is taken after an interrupt between the renames", %{folder: folder, priv: priv} do
      bytes = Archive.pack(@files, @manifest)
      path = write(folder, bytes)
      install(path, priv, sums(bytes))
      File.rename!(priv, priv <> ".old")
      File.mkdir_p!(priv <> ".partial")
      assert install(path, priv, sums(bytes)) == :noop
      assert_taken(priv)
    end
  end

  describe "refused is" do
    test "what has another checksum than the listed one", context do
      bytes = Archive.pack(@files, @manifest)
      other = String.duplicate("0", 64)
      message = refusal(context, bytes, %{@name => other})
      assert message =~ "#{Prebuilt.sha256(bytes)}, and #{other} is listed"
      assert message =~ "Without MLXNX_PREBUILT"
    end

    test "what is not listed", context do
      message = refusal(context, Archive.pack(@files, @manifest), %{})
      assert message =~ "no checksum is listed of #{@name}"
      assert message =~ "make checksums"
    end

    test "a folder where nothing is listed for the machine", %{folder: folder, priv: priv} do
      error = assert_raise Mix.Error, fn -> install(folder, priv, %{}) end
      assert error.message =~ "no checksum is listed of #{@name}"
    end

    test "a folder that lacks the archive", %{folder: folder, priv: priv} do
      error = assert_raise Mix.Error, fn -> install(folder, priv, sums("")) end
      assert error.message =~ "has no #{@name}"
    end

    test "what is neither a file nor a folder nor a URL", %{folder: folder, priv: priv} do
      missing = Path.join(folder, "missing")
      error = assert_raise Mix.Error, fn -> install(missing, priv, sums("")) end
      assert error.message =~ "no file, no folder and no URL"
    end

    test "another version's, and another platform's", context do
      bytes = Archive.pack(@files, Keyword.put(@manifest, :version, "1.2.2"))
      assert refusal(context, bytes, sums(bytes)) =~ "of version 1.2.2, and this is 1.2.3"
      bytes = Archive.pack(@files, Keyword.put(@manifest, :platform, "aarch64-macos14"))

      assert refusal(context, bytes, sums(bytes)) =~
               "for aarch64-macos14, and this machine is #{@platform}"
    end

    test "what needs a newer C library, or a newer VM", context do
      bytes = Archive.pack(@files, @manifest)

      assert refusal(context, bytes, sums(bytes), %{@host | glibc: "2.4"}) =~
               "needs glibc 2.35, and this machine has 2.4"

      assert refusal(context, bytes, sums(bytes), %{@host | nif: "2.16"}) =~
               "needs NIF version 2.17, and this machine has 2.16"
    end

    test "what is cut off, or no archive", context do
      bytes = Archive.pack(@files, @manifest)

      for broken <- [binary_part(bytes, 0, div(byte_size(bytes), 2)), "no archive", ""] do
        assert refusal(context, broken, sums(broken)) =~ "is broken"
      end
    end

    test "what can't be written, and nothing of it stays", %{folder: folder, priv: priv} do
      bytes = Archive.pack([{"lib", "no folder"}, {"lib/file", "1"}], @manifest)
      assert refusal(%{folder: folder, priv: priv}, bytes, sums(bytes)) =~ "could not"

      below_a_file = write(folder, "", "file") <> "/priv"
      bytes = Archive.pack(@files, @manifest)
      path = write(folder, bytes)
      error = assert_raise Mix.Error, fn -> install(path, below_a_file, sums(bytes)) end
      assert error.message =~ "elixir_mlx: could not"
    end

    test "names that lead out", %{folder: folder} = context do
      for name <- ["../evil", "lib/../../evil", "/tmp/evil"] do
        bytes = tar(folder, [{name, "evil"}])
        assert refusal(context, bytes, sums(bytes)) =~ "a name that leads out"
      end
    end

    test "links", %{folder: folder} = context do
      bytes = tar(folder, [{"lib", {:link, "/tmp"}}])
      assert refusal(context, bytes, sums(bytes)) =~ "no file but a symlink"
    end

    test "what its manifest does not name, or names otherwise", %{folder: folder} = context do
      bytes = tar(folder, @files)
      assert refusal(context, bytes, sums(bytes)) =~ "no manifest.term"

      stated =
        for {file, content} <- @files, do: {file, byte_size(content), Prebuilt.sha256(content)}

      text = "~tp.~n" |> :io_lib.format([@manifest ++ [files: stated]]) |> IO.chardata_to_string()
      changed = [{"mlxnx_nif.so", "NIF"} | tl(@files)]

      for files <- [[{"more", "1"} | @files], tl(@files), changed] do
        bytes = tar(folder, [{"manifest.term", text} | files])
        assert refusal(context, bytes, sums(bytes)) =~ "its files are not those"
      end
    end
  end

  describe "platforms" do
    test "of a Mac are those of the same and of older systems" do
      mac = %{@host | arch: "aarch64", system: "macos", macos: 27}
      assert Prebuilt.platforms(mac) == ["aarch64-macos26", "aarch64-macos15", "aarch64-macos14"]
      assert Prebuilt.platforms(%{mac | macos: 14}) == ["aarch64-macos14"]
    end

    test "of an older Mac are none", context do
      mac = %{@host | arch: "aarch64", system: "macos", macos: 13}
      assert Prebuilt.platforms(mac) == []
      bytes = Archive.pack(@files, @manifest)
      assert refusal(context, bytes, sums(bytes), mac) =~ "no archives for macOS 13"
      error = assert_raise Mix.Error, fn -> install(context.folder, context.priv, %{}, mac) end
      assert error.message =~ "no archives for macOS 13"
    end

    test "tell CUDA" do
      assert Prebuilt.platforms(%{@host | cuda: "12"}) == ["x86_64-linux-gnu-cuda12"]
    end

    test "of this machine are known" do
      assert [platform | _] = Prebuilt.platforms(Prebuilt.host())
      assert platform =~ ~r/^\w+-(linux-\w+|macos\d+)$/
    end

    test "of which the best listed one is taken", %{folder: folder, priv: priv} do
      mac = %{@host | arch: "aarch64", system: "macos", macos: 26, glibc: ""}

      bytes =
        Archive.pack(@files, Keyword.merge(@manifest, platform: "aarch64-macos14", needs: []))

      name = Prebuilt.name(@version, "aarch64-macos14")
      write(folder, bytes, name)
      assert install(folder, priv, sums(bytes, name), mac) == :ok
    end
  end

  describe "a server" do
    setup %{folder: folder} do
      bytes = Archive.pack([{"noise", :crypto.strong_rand_bytes(300_000)} | @files], @manifest)
      write(folder, bytes)

      {:ok, _} = Application.ensure_all_started(:inets)

      {:ok, server} =
        :inets.start(:httpd,
          port: 0,
          bind_address: {127, 0, 0, 1},
          server_name: ~c"test",
          server_root: to_charlist(folder),
          document_root: to_charlist(folder)
        )

      on_exit(fn -> :inets.stop(:httpd, server) end)
      %{bytes: bytes, server: server, port: :httpd.info(server)[:port]}
    end

    test "is asked once", %{bytes: bytes, server: server, port: port, priv: priv} do
      url = "http://127.0.0.1:#{port}/"
      assert install(url, priv, sums(bytes)) == :ok
      assert_taken(priv)
      assert_received {:mix_shell, :info, ["Fetching " <> @name <> _]}
      assert_received {:mix_shell, :info, ["  100 % fetched"]}
      :ok = :inets.stop(:httpd, server)
      assert install(url, priv, sums(bytes)) == :noop
    end

    test "that has another archive is refused", %{port: port, priv: priv} do
      error =
        assert_raise Mix.Error, fn ->
          install("http://127.0.0.1:#{port}", priv, sums("another"))
        end

      assert error.message =~ "is listed"
      assert File.ls!(priv) == ["old"]
    end

    test "that lacks the archive is told", %{bytes: bytes, port: port, priv: priv} do
      error =
        assert_raise Mix.Error, fn ->
          install("http://127.0.0.1:#{port}/v9", priv, sums(bytes))
        end

      assert error.message =~ "/v9/#{@name} answers with 404"
    end

    test "that is away is told", %{bytes: bytes, server: server, port: port, priv: priv} do
      :ok = :inets.stop(:httpd, server)

      error =
        assert_raise Mix.Error, fn -> install("http://127.0.0.1:#{port}", priv, sums(bytes)) end

      assert error.message =~ "can't be reached (econnrefused)"
      assert error.message =~ "no network"
    end

    test "of no certainty is not asked", %{bytes: bytes, port: port, priv: priv} do
      error = assert_raise Mix.Error, fn -> install("http://example.org", priv, sums(bytes)) end
      assert error.message =~ "is not https"

      answer = "HTTP/1.1 302 Found\r\nlocation: http://example.org/x\r\ncontent-length: 0\r\n\r\n"

      error =
        assert_raise Mix.Error, fn ->
          install("http://127.0.0.1:#{answering(answer)}", priv, sums(bytes))
        end

      assert error.message =~ "http://example.org/x is not https"

      answer =
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:#{port}/#{@name}\r\ncontent-length: 0\r\n\r\n"

      assert install("http://127.0.0.1:#{answering(answer)}", priv, sums(bytes)) == :ok
      assert_taken(priv)
    end

    test "that leads to a signed address keeps it to itself", context do
      %{bytes: bytes, port: port, priv: priv} = context

      leading = fn path ->
        target = "http://127.0.0.1:#{port}/#{path}?signature=secret"
        answering("HTTP/1.1 302 Found\r\nlocation: #{target}\r\ncontent-length: 0\r\n\r\n")
      end

      error =
        assert_raise Mix.Error, fn ->
          install("http://127.0.0.1:#{leading.("missing")}", priv, sums(bytes))
        end

      assert error.message =~ "/missing answers with 404"
      refute error.message =~ "secret"

      write(context.folder, bytes, "4711")
      assert install("http://127.0.0.1:#{leading.("4711")}", priv, sums(bytes)) == :ok
      assert_received {:mix_shell, :info, ["Fetching " <> @name <> ", 0 MB"]}
    end

    test "that stops half way is told", %{bytes: bytes, priv: priv} do
      half = binary_part(bytes, 0, div(byte_size(bytes), 2))
      answer = ["HTTP/1.1 200 OK\r\ncontent-length: #{byte_size(bytes)}\r\n\r\n", half]

      assert_raise Mix.Error, ~r/#{@name} broke off \(\w+\)\.$/m, fn ->
        install("http://127.0.0.1:#{answering(answer)}", priv, sums(bytes))
      end

      assert File.ls!(priv) == ["old"]
      assert_tidy(priv)
    end
  end

  test "a server whose certificate nobody vouches for is refused", %{folder: folder, priv: priv} do
    {:ok, _} = Application.ensure_all_started(:ssl)
    bytes = Archive.pack(@files, @manifest)
    answer = ["HTTP/1.1 200 OK\r\ncontent-length: #{byte_size(bytes)}\r\n\r\n", bytes]

    for {kind, name, is_taken} <- [
          {:iPAddress, <<127, 0, 0, 1>>, true},
          {:dNSName, ~c"example.org", false}
        ] do
      key = [digest: :sha256, key: {:namedCurve, :secp256r1}]
      peer = [extensions: [{:Extension, {2, 5, 29, 17}, false, [{kind, name}]}]] ++ key
      chain = %{root: key, intermediates: [], peer: peer}
      certificates = :public_key.pkix_test_data(%{server_chain: chain, client_chain: chain})
      authority = certificates.client_config[:cacerts]
      entries = for der <- authority, do: {:Certificate, der, :not_encrypted}
      file = write(folder, :public_key.pem_encode(entries), "#{kind}.pem")

      error =
        assert_raise Mix.Error, fn ->
          install("https://127.0.0.1:#{answering_tls(certificates, answer)}", priv, sums(bytes))
        end

      assert error.message =~ "TLS: unknown_ca"
      System.put_env("SSL_CERT_FILE", file)
      url = "https://127.0.0.1:#{answering_tls(certificates, answer)}"

      if is_taken do
        assert install(url, priv, sums(bytes)) == :ok
        assert_taken(priv)
        File.rm_rf!(priv)
      else
        assert_raise Mix.Error, ~r/TLS: (bad_certificate|handshake_failure)/, fn ->
          install(url, priv, sums(bytes))
        end
      end

      System.delete_env("SSL_CERT_FILE")
    end
  end

  defp answering_tls(certificates, answer) do
    {:ok, socket} =
      :ssl.listen(
        0,
        [:binary, active: false, ip: {127, 0, 0, 1}, log_level: :none] ++
          Keyword.take(certificates.server_config, [:cert, :key, :cacerts])
      )

    spawn_link(fn ->
      {:ok, caller} = :ssl.transport_accept(socket)

      with {:ok, caller} <- :ssl.handshake(caller), {:ok, _} <- :ssl.recv(caller, 0) do
        :ok = :ssl.send(caller, answer)
        :ssl.close(caller)
      end
    end)

    {:ok, {_, port}} = :ssl.sockname(socket)
    port
  end

  # The port of a server that gives every caller this answer.
  defp answering(answer) do
    {:ok, socket} = :gen_tcp.listen(0, [:binary, active: false, ip: {127, 0, 0, 1}])

    spawn_link(fn ->
      {:ok, caller} = :gen_tcp.accept(socket)
      {:ok, _} = :gen_tcp.recv(caller, 0)
      :ok = :gen_tcp.send(caller, answer)
      :gen_tcp.close(caller)
    end)

    {:ok, port} = :inet.port(socket)
    port
  end

  test "the list is written anew with what is added", %{folder: folder} do
    [_, version] = Regex.run(~r/@version "(.*)"/, File.read!("mix.exs"))
    file = Path.join(folder, "checksums.exs")
    File.write!(file, ~s(# What it is.\n%{"elixir_mlx-0.0.1-x86_64-linux-gnu.tar.gz" => "1"}\n))
    one = write(folder, "one", Prebuilt.name(version, "aarch64-macos14"))
    two = write(folder, "two", Prebuilt.name(version, "aarch64-macos26"))
    Archive.list([two], file)
    Archive.list([one], file)

    assert Prebuilt.checksums(file) == %{
             Path.basename(one) => Prebuilt.sha256("one"),
             Path.basename(two) => Prebuilt.sha256("two")
           }

    text = File.read!(file)
    assert text =~ "# What it is.\n"
    assert text == IO.iodata_to_binary([Code.format_string!(text), "\n"])

    assert_raise Mix.Error, ~r/no archive of version/, fn ->
      Archive.list([write(folder, "", @name)], file)
    end

    assert_raise Mix.Error, ~r/sha256 is no archive/, fn ->
      Archive.list([write(folder, "", Path.basename(one) <> ".sha256")], file)
    end
  end

  test "who makes archives is told of faults in a line", %{folder: folder} do
    for {arguments, message} <- [
          {[], "usage: make dist, or make checksums ARCHIVES=FILES\n"},
          {["checksums", write(folder, "", @name)], ~r/^\S+ is no archive of version [\d.]+\n$/},
          {["checksums", folder], ~r/^could not read file .*\n$/}
        ] do
      {text, status} =
        System.cmd("elixir", ["tools/dist.exs" | arguments], stderr_to_stdout: true)

      assert {status, text =~ message} == {1, true}, text
    end
  end

  test "the list that ships can be read" do
    for {name, sum} <- Prebuilt.checksums() do
      assert name =~ ~r/^elixir_mlx-[\d.]+-\w+-\w+/
      assert sum =~ ~r/^[0-9a-f]{64}$/
    end
  end
end
