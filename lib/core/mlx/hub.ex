defmodule Mlx.Hub do
  @moduledoc """
  Models of a hub: repositories that a Hugging Face compatible server publishes, downloaded into the cache that Python's
  `huggingface_hub` uses as well.

      path = Mlx.Hub.pull("mlx-community/SmolLM2-135M-Instruct")
      gguf = Mlx.Hub.pull_file("bartowski/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct-Q4_K_M.gguf")

  The environment is what that package reads: `HF_ENDPOINT` (the server), `HF_TOKEN` or the file `$HF_HOME/token`, `HF_HUB_CACHE`
  or `$HF_HOME/hub` (the cache), `HF_HUB_OFFLINE`; proxies are `https_proxy`, `no_proxy` and so on.
  It is that which the VM was started with: `System.put_env/2` changes it for Elixir only, and options do what the variables do.

  ## Options

  All functions take these, as far as they have a meaning there:

    * `:revision` - a branch, a tag or a commit; default: `"main"`
    * `:include` - patterns of a shell, whose `*` also crosses folders: files that match any are wanted; default: what a model
      needs, `default_patterns/0`
    * `:exclude` - but none that match these
    * `:token` - sent to the hub's own host only; default: the environment's; `""` for none
    * `:endpoint` - the hub's URL; default: the environment's, else `https://huggingface.co`
    * `:cache` - the cache's folder; default: the environment's
    * `:offline` - true: use what is in the cache, or raise; default: the environment's
    * `:force` - true: download what is in the cache, too
    * `:progress` - a function that the calling process calls some times a second with a `t:progress/0`
  """

  alias Mlx.{Argument, NIF}

  @typedoc "How far a download is. What the cache had already counts as done."
  @type progress :: %{
          file: String.t(),
          file_bytes: non_neg_integer(),
          file_size: non_neg_integer(),
          bytes: non_neg_integer(),
          size: non_neg_integer(),
          files_done: non_neg_integer(),
          files: non_neg_integer()
        }

  @options [
    revision: "main",
    include: [],
    exclude: [],
    token: nil,
    endpoint: "",
    cache: "",
    offline: nil,
    force: false,
    progress: nil
  ]

  @doc """
  Downloads the files of the repository `repo` that the cache lacks, and returns the folder of the snapshot.

  What breaks off is taken up again where it ended, by this call and by later ones. Each file is checked, its length and its checksum,
  before it gets its name. A commit that is complete in the cache costs no request. The caller waits, and no scheduler with it; when
  it is killed, the download ends.

  Raises `Mlx.HubError` when the hub can't be reached, has no such repository or revision, or does not give it to us, when nothing
  matches, and when offline and something is missing; `Mlx.FormatError` for an answer that is not what a hub says, names that lead out
  of the folder, wrong lengths and checksums; `ArgumentError` for names and options that are none, and when the cache can't be
  written; `Mlx.UnsupportedError` where the library was built without libcurl, or it is missing.
  """
  @spec pull(String.t(), keyword()) :: Path.t()
  def pull(repo, options \\ []), do: download(repo, nil, options, "pull")

  @doc """
  Downloads a single file of `repo`, if the cache lacks it, and returns its path. Patterns have no say. Raises as `pull/2`.
  """
  @spec pull_file(String.t(), String.t(), keyword()) :: Path.t()
  def pull_file(repo, file, options \\ []) do
    Argument.check!(is_binary(file), "pull_file", "the name of a file", file)
    download(repo, file, options, "pull_file")
  end

  @doc """
  The folder of a snapshot whose files are all in the cache, or nil; asks no server.

  Where no list of the files is kept in the cache (older clients keep none) a snapshot counts as complete with the weights that
  match, all those that their index names.

  ## Examples

      iex> Mlx.Hub.find("owner/name", cache: "/no/such/folder")
      nil
  """
  @spec find(String.t(), keyword()) :: Path.t() | nil
  def find(repo, options \\ []), do: look_up(repo, nil, options, "find")

  @doc """
  The path of a single file in the cache, or nil; asks no server.

  ## Examples

      iex> Mlx.Hub.find_file("owner/name", "config.json", cache: "/no/such/folder")
      nil
  """
  @spec find_file(String.t(), String.t(), keyword()) :: Path.t() | nil
  def find_file(repo, file, options \\ []) do
    Argument.check!(is_binary(file), "find_file", "the name of a file", file)
    look_up(repo, file, options, "find_file")
  end

  @doc """
  What a model needs: weights, configuration, tokenizer, templates; no code.

  ## Examples

      iex> "*.json" in Mlx.Hub.default_patterns()
      true
  """
  @spec default_patterns() :: [String.t()]
  def default_patterns, do: NIF.hub_default_patterns()

  defp look_up(repo, file, options, name),
    do: NIF.hub_find(repo!(repo, name), file, native(options!(options, name)))

  defp download(repo, file, options, name) do
    repo = repo!(repo, name)
    options = options!(options, name)
    # Made here, so that waiting below skips the messages that were in the mailbox before.
    ref = make_ref()
    fun = options[:progress]
    wait(ref, NIF.hub_pull(ref, repo, file, native(options), fun != nil), fun)
  end

  defp wait(ref, download, fun) do
    receive do
      {^ref, :progress, progress} -> tell(ref, download, fun, progress)
      {^ref, :done, path} -> path
      {^ref, :failed, exception} -> raise exception
    end
  end

  defp tell(ref, download, fun, progress) do
    try do
      fun.(progress_map(progress))
    catch
      kind, reason ->
        NIF.hub_stop(download)
        finish(ref)
        :erlang.raise(kind, reason, __STACKTRACE__)
    end

    wait(ref, download, fun)
  end

  # Takes the download's last messages, which nobody is to find in the mailbox.
  defp finish(ref) do
    receive do
      {^ref, :progress, _} -> finish(ref)
      {^ref, _, _} -> :ok
    end
  end

  defp progress_map({file, file_bytes, file_size, bytes, size, files_done, files}) do
    %{
      file: file,
      file_bytes: file_bytes,
      file_size: file_size,
      bytes: bytes,
      size: size,
      files_done: files_done,
      files: files
    }
  end

  defp repo!(repo, name) do
    Argument.check!(is_binary(repo), name, "the name of a repository, as owner/name", repo)
    repo
  end

  defp options!(options, name) do
    Argument.check!(Keyword.keyword?(options), name, "a list of options", safe(options))
    known = Keyword.keys(@options)
    unknown = Keyword.keys(options) -- known
    Argument.check!(unknown == [], name, "no option but #{inspect(known)}", unknown)
    options = Keyword.merge(@options, options)
    for {key, value} <- options, do: check_option!(key, value, name)
    options
  end

  # Whatever it is, it may hold a token.
  defp safe(options) when is_list(options), do: :a_list
  defp safe(options), do: options

  defp check_option!(key, value, name) when key in [:revision, :endpoint, :cache],
    do: Argument.check!(is_binary(value), name, "#{inspect(key)} to be a text", value)

  defp check_option!(key, value, name) when key in [:include, :exclude] do
    fits? = Argument.list_of?(value, &is_binary/1)
    Argument.check!(fits?, name, "#{inspect(key)} to be a list of patterns", value)
  end

  # The value may be a token all the same, and is not shown.
  defp check_option!(:token, value, name),
    do: Argument.check!(is_nil(value) or is_binary(value), name, ":token to be a text", :"…")

  defp check_option!(:offline, value, name),
    do: Argument.check!(value in [nil, true, false], name, ":offline to be true or false", value)

  defp check_option!(:force, value, name),
    do: Argument.check!(is_boolean(value), name, ":force to be true or false", value)

  defp check_option!(:progress, value, name) do
    fits? = is_nil(value) or is_function(value, 1)
    Argument.check!(fits?, name, ":progress to be a function of one argument", value)
  end

  defp native(options) do
    {options[:revision], options[:include], options[:exclude], options[:token],
     options[:endpoint], options[:cache], options[:offline], options[:force]}
  end
end
