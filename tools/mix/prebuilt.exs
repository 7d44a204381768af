defmodule Mlx.Prebuilt do
  @moduledoc """
  Archives of the native library: their names, what they tell of themselves, and how they get into a `priv` folder.
  """

  @list Path.expand("../../checksums.exs", __DIR__)
  @manifest "manifest.term"
  # What tools/put_priv.sh writes for a library that was built here.
  @origin "origin"

  # The oldest macOS of each of MLX's wheels.
  @macos [26, 15, 14]

  @doc "What an archive for this machine must fit."
  def host do
    architecture = to_string(:erlang.system_info(:system_architecture))
    [arch | _] = String.split(architecture, "-")

    %{
      arch: Map.get(%{"arm64" => "aarch64", "arm" => "aarch64", "amd64" => "x86_64"}, arch, arch),
      system: system(architecture),
      macos: major(said_by("sw_vers", ["-productVersion"])),
      glibc: said_by("getconf", ["GNU_LIBC_VERSION"]) |> String.replace_prefix("glibc ", ""),
      nif: to_string(:erlang.system_info(:nif_version)),
      cuda: cuda(System.get_env("CMAKE_FLAGS", ""))
    }
  end

  @doc "The platforms whose archives run on `host`, the best first."
  def platforms(%{system: "macos"} = host) do
    for macos <- @macos, macos <= (host.macos || 0), do: platform(%{host | macos: macos})
  end

  def platforms(host), do: [platform(host)]

  @doc "A platform's name."
  def platform(%{system: "macos"} = host), do: "#{host.arch}-macos#{host.macos}"
  def platform(%{cuda: nil} = host), do: "#{host.arch}-#{host.system}"
  def platform(host), do: "#{host.arch}-#{host.system}-cuda#{host.cuda}"

  @doc "The name of the archive of that version for that platform."
  def name(version, platform), do: "elixir_mlx-#{version}-#{platform}.tar.gz"

  @doc "The file that lists the checksums of archives, and what it lists."
  def list, do: @list

  def checksums(file \\ @list) do
    {map, _} = Code.eval_file(file)
    map
  end

  def sha256(bytes), do: Base.encode16(:crypto.hash(:sha256, bytes), case: :lower)

  def manifest_name, do: @manifest
  def origin_name, do: @origin

  @doc """
  Puts the archive that `source` is, has (a folder) or serves (a URL) into the folder `priv`; `:noop` where it lies there.

  Options: `:version`, `:checksums` by names of archives, and `:host`.
  """
  def install(source, priv, options) do
    host = options[:host] || host()
    wish = %{host: host, version: options[:version], checksums: options[:checksums]}
    tidy(priv)
    {name, sum, read} = find(source, wish)
    if there?(priv, name, sum), do: :noop, else: put(read.(), name, priv, wish)
  rescue
    error in [File.Error, File.RenameError] ->
      File.rm_rf(partial(priv))
      refuse(Exception.message(error))
  end

  # The archive's name, its checksum, and how its bytes are got.
  defp find(source, wish) do
    cond do
      source =~ ~r"^https?://" ->
        {name, sum} = listed(wish)
        url = String.trim_trailing(source, "/") <> "/" <> name
        {name, sum, fn -> Mlx.Prebuilt.Download.get(url, name) end}

      File.dir?(source) ->
        {name, sum} = listed(wish)
        file = Path.join(source, name)
        File.regular?(file) || refuse("#{source} has no #{name}, which this machine takes")
        {name, sum, fn -> File.read!(file) end}

      File.regular?(source) ->
        bytes = File.read!(source)
        {Path.basename(source), sha256(bytes), fn -> bytes end}

      true ->
        refuse("MLXNX_PREBUILT is #{inspect(source)}, which is no file, no folder and no URL")
    end
  end

  # The archive that this machine takes, with its checksum.
  defp listed(wish) do
    names = for platform <- fitting(wish.host), do: name(wish.version, platform)

    Enum.find_value(names, &(wish.checksums[&1] && {&1, wish.checksums[&1]})) ||
      refuse("no checksum is listed of #{Enum.join(names, " or ")}", unlisted())
  end

  defp fitting(host) do
    with [] <- platforms(host), do: refuse("there are no archives for macOS #{host.macos}")
  end

  defp unlisted do
    "`make checksums ARCHIVES=FILES` in #{Path.dirname(@list)} lists an archive that you made yourself (make dist)."
  end

  defp there?(priv, name, sum) do
    with {:ok, text} <- File.read(Path.join(priv, @origin)),
         true <- text == origin(name, sum),
         {:ok, text} <- File.read(Path.join(priv, @manifest)),
         {:ok, manifest} <- term(text) do
      Enum.all?(manifest[:files], fn {file, size, _} ->
        match?({:ok, %{type: :regular, size: ^size}}, File.stat(Path.join(priv, file)))
      end)
    else
      _ -> false
    end
  end

  defp origin(name, sum), do: "archive #{name} #{sum}\n"

  defp put(bytes, name, priv, wish) do
    sum = sha256(bytes)
    verify(name, sum, wish)
    files = unpack(bytes, name)
    check(files, name, wish)

    for {file, content} <- [{@origin, origin(name, sum)} | files] do
      path = Path.join(partial(priv), file)
      File.mkdir_p!(Path.dirname(path))
      File.write!(path, content)
    end

    replace(priv)
    Mix.shell().info("elixir_mlx: the native library is #{name}'s")
    :ok
  end

  defp verify(name, sum, wish) do
    case wish.checksums do
      %{^name => ^sum} ->
        :ok

      %{^name => other} ->
        refuse(
          "the SHA-256 of #{name} is #{sum}, and #{other} is listed",
          "It is damaged or another build: get it anew."
        )

      _ ->
        refuse("no checksum is listed of #{name} (its SHA-256 is #{sum})", unlisted())
    end
  end

  # The files in an archive. None is written before all of it is known to be right.
  defp unpack(bytes, name) do
    entries = read(name, fn -> :erl_tar.table({:binary, bytes}, [:compressed, :verbose]) end)

    for entry <- entries do
      file = to_string(elem(entry, 0))

      elem(entry, 1) == :regular ||
        refuse("#{name} holds #{inspect(file)}, which is no file but a #{elem(entry, 1)}")

      Path.safe_relative(file) == {:ok, file} ||
        refuse("#{name} holds #{inspect(file)}, a name that leads out of the archive")
    end

    for {file, content} <-
          read(name, fn -> :erl_tar.extract({:binary, bytes}, [:compressed, :memory]) end),
        do: {to_string(file), content}
  end

  defp read(name, fun) do
    case fun.() do
      {:ok, result} -> result
      {:error, reason} -> refuse("#{name} is broken (#{:erl_tar.format_error(reason)})")
    end
  end

  defp check(files, name, wish) do
    contents = Map.new(files)

    manifest =
      with %{@manifest => text} <- contents, {:ok, term} <- term(text) do
        term
      else
        _ -> refuse("#{name} is broken (it has no #{@manifest} that can be read)")
      end

    manifest[:version] == wish.version ||
      refuse("#{name} is of version #{manifest[:version]}, and this is #{wish.version}")

    platforms = fitting(wish.host)

    manifest[:platform] in platforms ||
      refuse(
        "#{name} is for #{manifest[:platform]}, and this machine is #{Enum.join(platforms, " or ")}"
      )

    for {what, title} <- [glibc: "glibc", nif: "NIF version"],
        needed = manifest[:needs][what],
        older?(wish.host[what], needed) do
      refuse("#{name} needs #{title} #{needed}, and this machine has #{wish.host[what]}")
    end

    stated = for {file, size, sum} <- manifest[:files], do: {file, {size, sum}}

    actual =
      for {file, bytes} <- files, file != @manifest, do: {file, {byte_size(bytes), sha256(bytes)}}

    Enum.sort(stated) == Enum.sort(actual) ||
      refuse("#{name} is broken (its files are not those that its #{@manifest} names)")
  end

  @doc "A version's numbers, to compare it by."
  def numbers(version), do: version |> String.split(".") |> Enum.map(&String.to_integer/1)

  defp older?("", _), do: false
  defp older?(version, needed), do: numbers(version) < numbers(needed)

  # A term as Erlang's io:write and file:consult know it.
  defp term(text) do
    with {:ok, tokens, _} <- :erl_scan.string(String.to_charlist(text)),
         {:ok, term} <- :erl_parse.parse_term(tokens) do
      {:ok, term}
    else
      _ -> :error
    end
  end

  # An interrupt between the two renames leaves the old folder, which the next run takes back.
  defp replace(priv) do
    if File.exists?(priv), do: File.rename!(priv, old(priv))
    File.rename!(partial(priv), priv)
    File.rm_rf!(old(priv))
  end

  # Ends what an interrupted run began.
  defp tidy(priv) do
    if File.exists?(old(priv)) and not File.exists?(priv), do: File.rename!(old(priv), priv)
    for folder <- [partial(priv), old(priv)], do: File.rm_rf!(folder)
  end

  defp partial(priv), do: priv <> ".partial"
  defp old(priv), do: priv <> ".old"

  defp system(architecture) do
    case Regex.run(~r/linux.*$/, architecture) do
      [linux] -> linux
      nil -> if architecture =~ "darwin", do: "macos", else: architecture
    end
  end

  defp said_by(program, arguments) do
    case System.find_executable(program) && System.cmd(program, arguments, stderr_to_stdout: true) do
      {text, 0} -> String.trim(text)
      _ -> ""
    end
  end

  defp major(""), do: nil
  defp major(version), do: version |> numbers() |> hd()

  # Who asks a build for CUDA never gets an archive without.
  defp cuda(flags) do
    case Regex.run(~r/MLXNX_CUDA=(\d+)/, flags) do
      [_, version] -> version
      nil -> nil
    end
  end

  @doc false
  def refuse(what, advice \\ nil) do
    Mix.raise(
      Enum.join(
        ["elixir_mlx: #{what}." | List.wrap(advice)] ++
          ["Without MLXNX_PREBUILT the native library is built from source."],
        "\n"
      )
    )
  end
end

defmodule Mlx.Prebuilt.Download do
  @moduledoc false

  alias Mlx.Prebuilt

  @profile :elixir_mlx
  @redirects 5
  @largest 1_000_000_000
  @silence 60_000

  # The bytes of the archive `name`, which `url` answers with.
  def get(url, name) do
    {:ok, _} = Application.ensure_all_started([:inets, :ssl])
    {:ok, client} = :inets.start(:httpc, profile: @profile)

    try do
      :ok = :httpc.set_options(proxy(), @profile)
      get(url, name, @redirects)
    after
      :inets.stop(:httpc, client)
    end
  end

  defp get(url, name, redirects) do
    uri = URI.parse(url)

    (uri.scheme == "https" or uri.host in ["localhost", "127.0.0.1"]) ||
      Prebuilt.refuse("#{shown(url)} is not https")

    http = [autoredirect: false, connect_timeout: 15_000, timeout: :infinity] ++ ssl(uri.scheme)
    headers = [{~c"user-agent", ~c"elixir_mlx"}]
    options = [sync: false, stream: :self, body_format: :binary]

    case :httpc.request(:get, {String.to_charlist(url), headers}, http, options, @profile) do
      {:ok, request} -> follow(%{request: request, url: url, name: name, redirects: redirects})
      {:error, reason} -> failed(url, "can't be reached", reason)
    end
  end

  defp follow(state) do
    case answer(state, "can't be reached") do
      {:stream_start, headers} ->
        size = size(headers)
        megabytes = if size > 0, do: ", #{div(size, 1_000_000)} MB", else: ""
        Mix.shell().info("Fetching #{state.name}#{megabytes}")
        receive_parts(state, size, [], 0)

      {{_, status, _}, headers, _} when status in [301, 302, 303, 307, 308] ->
        target = :proplists.get_value(~c"location", headers, nil)

        if target == nil or state.redirects == 0,
          do: Prebuilt.refuse("#{shown(state.url)} leads nowhere")

        state.url
        |> URI.merge(to_string(target))
        |> to_string()
        |> get(state.name, state.redirects - 1)

      {{_, status, _}, _, _} ->
        Prebuilt.refuse("#{shown(state.url)} answers with #{status}")
    end
  end

  defp receive_parts(state, size, parts, got) do
    case answer(state, "broke off") do
      {:stream, part} ->
        now = got + byte_size(part)
        now <= @largest || Prebuilt.refuse("#{shown(state.url)} answers with too much")
        tenths = if size > 0, do: div(10 * now, size), else: 0

        if tenths > 0 and tenths > div(10 * got, size),
          do: Mix.shell().info("  #{tenths * 10} % fetched")

        receive_parts(state, size, [part | parts], now)

      {:stream_end, _} ->
        parts |> Enum.reverse() |> IO.iodata_to_binary()
    end
  end

  defp answer(%{request: request, url: url}, fault) do
    receive do
      {:http, {^request, {:error, reason}}} -> failed(url, fault, reason)
      {:http, {^request, answer}} -> answer
      {:http, {^request, kind, content}} -> {kind, content}
    after
      @silence -> failed(url, fault, :timeout)
    end
  end

  defp failed(url, fault, reason) do
    Prebuilt.refuse(
      "#{shown(url)} #{fault} (#{brief(reason)})",
      "Where there is no network, MLXNX_PREBUILT can name a file or a folder that has the archive."
    )
  end

  # httpc tells the address too, which the URL has told.
  defp brief({:failed_connect, reasons}) do
    case List.last(reasons) do
      {_, _, reason} -> brief(reason)
      reason -> brief(reason)
    end
  end

  defp brief({:shutdown, reason}), do: brief(reason)
  defp brief({:tls_alert, {alert, _}}), do: "TLS: #{alert}"
  defp brief(reason) when is_atom(reason), do: to_string(reason)
  defp brief(reason), do: inspect(reason)

  defp size(headers) do
    headers
    |> Enum.find_value(~c"0", fn {key, value} -> key == ~c"content-length" && value end)
    |> List.to_integer()
  end

  # What a server leads to may carry a signature, which is long and nobody's business.
  defp shown(url), do: url |> String.split("?") |> hd()

  defp ssl("https"),
    do: [ssl: [log_level: :none] ++ certificates(System.get_env("SSL_CERT_FILE", ""))]

  defp ssl(_), do: []

  defp certificates("") do
    :httpc.ssl_verify_host_options(true)
  rescue
    _ ->
      Prebuilt.refuse(
        "this machine's certificates can't be found: SSL_CERT_FILE can name a file of them"
      )
  end

  defp certificates(file) do
    [
      verify: :verify_peer,
      cacertfile: file,
      customize_hostname_check: [match_fun: :public_key.pkix_verify_hostname_match_fun(:https)]
    ]
  end

  defp proxy do
    case System.get_env("HTTPS_PROXY") || System.get_env("https_proxy") do
      proxy when proxy in [nil, ""] ->
        []

      proxy ->
        uri = URI.parse(if proxy =~ "://", do: proxy, else: "http://" <> proxy)

        direct =
          String.split(System.get_env("NO_PROXY") || System.get_env("no_proxy") || "", ",",
            trim: true
          )

        hosts = Enum.map(["localhost", "127.0.0.1" | direct], &to_charlist(String.trim(&1)))
        [https_proxy: {{to_charlist(uri.host || ""), uri.port || 8080}, hosts}]
    end
  end
end
