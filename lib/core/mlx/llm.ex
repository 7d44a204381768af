defmodule Mlx.LLM do
  @moduledoc """
  Language models: from a folder, a file or a hub to text.

      model = Mlx.LLM.load!("mlx-community/SmolLM2-135M-Instruct")
      Mlx.LLM.chat(model, [%{role: "user", content: "What is MLX?"}]).text

      model
      |> Mlx.LLM.stream("The capital of France is", max_tokens: 20)
      |> Enum.each(fn
        {:text, text} -> IO.write(text)
        _other -> :ok
      end)

  A model has no state: any number of processes may use one at once. What a text takes is freed when it ends, when its stream is halted,
  and when the process that asked is killed; the work then ends after the token, or the part of the prompt, that is under way.

  The library has to be built with cargo for it; `available?/0` tells.

  ## Options of texts

  They have mlx-lm's names and defaults. `nil` stands for the default.

    * `:max_tokens` - of the answer; default 256, -1 for any number
    * `:temp` - the temperature; default 0, which takes the most probable token each time
    * `:top_p`, `:min_p`, `:min_tokens_to_keep`, `:top_k`, `:xtc_probability`, `:xtc_threshold`, `:xtc_special_tokens` - which tokens may
      be drawn; default: all
    * `:seed` - of what is drawn; default: another one each time
    * `:logit_bias` - a map of tokens to numbers that are added to their logits
    * `:repetition_penalty`, `:presence_penalty`, `:frequency_penalty` - against tokens that occur among the last ones;
      `:repetition_context_size`, `:presence_context_size`, `:frequency_context_size`: among how many, default 20
    * `:stop` - a text, or a list of texts, before which the answer ends
    * `:extra_eos_tokens` - tokens that end the answer beside the model's own, as the vocabulary writes them
    * `:skip_special_tokens` - whether tokens that are no text are left out of it; default false
    * `:json_schema` - the answer is JSON by this schema: a map, or a JSON text. Keyword lists are objects whose keys keep their order,
      `[type: :object, properties: [name: …, age: …]]`, and so does the answer
    * `:grammar`, `:regex` - the answer is of this grammar in Lark's notation, or what this regular expression matches as a whole
    * `:thinking_budget` - tokens between `<think>` and `</think>` at most
    * `:top_logprobs` - tells of each token how probable it was, and so many of the most probable ones
    * `:prompt_cache` - a file of `cache_prompt!/4`, with which the prompt goes on. In chats, whose prompt is always whole, what of it the
      file holds is not read again
    * `:cache` - a cache of `new_cache/1`, which keeps what a conversation has come to: what the prompt, given whole, has in common with
      the last one and its answer is not read again
    * `:max_kv_size` - tokens that attention remembers, the first four among them; default: all
    * `:kv_bits`, `:kv_group_size`, `:quantized_kv_start` - bits of what it remembers, numbers that share a scale (64), and from
      how many tokens on (0)
    * `:prefill_step_size` - tokens of the prompt at a time; default 2048
    * `:draft_model`, `:num_draft_tokens` - a smaller model of the same vocabulary that guesses so many tokens, 3 by default, which
      the model then looks at at once; the text stays the same
    * `:ngram` - guesses what followed the last so many tokens when they occurred before

  ## Options of chats

    * `:tools` - a list of functions for the template, as it wants them
    * `:template_variables` - a map of what else the template reads: `%{enable_thinking: false}`
    * `:chat_template` - a template in place of the model's own
    * `:continue_final_message` - whether the answer goes on with the last message; default false
    * `:add_generation_prompt` - whether the prompt ends with what begins an answer; default true

  Messages, tools, variables and schemas are maps with texts or atoms as keys, lists, texts, numbers, booleans, nil and atoms, which count
  as texts.
  """

  alias Mlx.{Argument, Files, NIF, Telemetry}
  alias Mlx.LLM.{Cache, Embedder}

  @enforce_keys [:ref, :path]
  defstruct [:ref, :path]

  @type t :: %__MODULE__{ref: reference(), path: Path.t()}

  @typedoc "A number of the vocabulary."
  @type token :: non_neg_integer()

  @typedoc "A text, or its tokens."
  @type prompt :: String.t() | [token]

  @typedoc ~s(`%{role: "user", content: "Hello!"}`, with texts or atoms as keys, and whatever else the template reads.)
  @type message :: %{optional(atom() | String.t()) => term()}

  @typedoc "A natural logarithm; `:neg_infinity` for what is impossible."
  @type logprob :: float() | :neg_infinity

  @typedoc "With `:top_logprobs`: a token, how probable it was, and the most probable ones, the first of them first."
  @type token_event :: {:token, token, logprob, [{token, float()}]}

  @typedoc """
  What came of it. `:finish_reason` is `:length` where `:max_tokens` ended the text, else `:stop`; `:tokens` holds the one that did. `:token_events`
  are there with `:top_logprobs`, `:message`, for the next call, after `chat/3`.
  """
  @type result :: %{
          required(:text) => String.t(),
          required(:tokens) => [token],
          required(:finish_reason) => :stop | :length,
          required(:stats) => stats,
          optional(:token_events) => [token_event],
          optional(:message) => message
        }

  @typedoc "Tokens, the seconds they took and how many that is in a second, tokens of the prompt that were known by a cache, tokens that were guessed, and the most bytes that tensors took meanwhile."
  @type stats :: %{
          prompt_tokens: non_neg_integer(),
          cached_tokens: non_neg_integer(),
          generation_tokens: non_neg_integer(),
          prompt_seconds: float(),
          generation_seconds: float(),
          prompt_tps: float(),
          generation_tps: float(),
          accepted_drafts: non_neg_integer(),
          peak_memory: non_neg_integer()
        }

  @typedoc "What a stream tells: how much of the prompt is done, pieces of the text, and at last what came of it."
  @type event ::
          {:prompt, non_neg_integer(), pos_integer()}
          | {:text, String.t()}
          | token_event
          | {:done, result}

  @doc """
  Whether this build has what language models need beside tensors: tokenizers, templates and grammars.

  ## Examples

      iex> Mlx.LLM.available?()
      true
  """
  @spec available?() :: boolean()
  def available?, do: NIF.llm_available()

  @doc """
  Loads the model at `path`: a folder in the layout of Hugging Face or mlx-lm, a `.gguf` file, or, where there is no such folder, the
  name of a hub's repository, `"owner/name"`, which `Mlx.Hub` downloads first.

  ## Options

    * `:adapter` - a folder with a change of low rank that mlx-lm has trained
    * `:requantize` - as for `Mlx.Checkpoint.open!/2`
    * `:hub` - options of `Mlx.Hub.pull/2`: `[revision: "main", offline: true]`

  Raises `Mlx.UnsupportedError` for models of an unknown `model_type`, with the nearest ones, and where the build has no tokenizers;
  `Mlx.FormatError` and `ArgumentError` where settings and weights contradict each other, `File.Error` where nothing can be read, and
  what `Mlx.Hub.pull/2` raises. mlx-lm: `load`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> {model.path, Mlx.LLM.family(model)}
      {"tiny-llama", "llama"}
  """
  @spec load!(Path.t(), keyword()) :: t
  def load!(path, options \\ []) do
    {path, ref} = loaded!(path, options, &NIF.llm_load/4, "load")
    %__MODULE__{ref: ref, path: path}
  end

  defp loaded!(path, options, native, owner) do
    Argument.check_options!(options, [:adapter, :requantize, :hub], owner)
    Argument.check_path!(path, owner)
    {adapter, requantize?} = {options[:adapter], Keyword.get(options, :requantize, false)}
    if adapter, do: Argument.check_path!(adapter, owner)
    fits? = is_boolean(requantize?)
    Argument.check!(fits?, owner, ":requantize to be true or false", requantize?)

    path =
      if NIF.hub_is_repository(path),
        do: Mlx.Hub.pull(path, Keyword.get(options, :hub, [])),
        else: path

    load = fn -> native.(path, adapter, requantize?, Mlx.Stream.where()) end
    {path, owner |> Files.named(load) |> Mlx.Memory.collected()}
  end

  @doc """
  The model's settings, as `Mlx.Checkpoint.config/1`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> Mlx.LLM.config(model)["num_hidden_layers"]
      2
  """
  @spec config(t) :: %{String.t() => term()}
  def config(model), do: model |> ref!("config") |> NIF.llm_config()

  @doc ~s(The name of the model's family: `"llama"`, also for a `model_type` of `"mistral"`.)
  @spec family(t) :: String.t()
  def family(model), do: model |> ref!("family") |> NIF.llm_info() |> elem(0)

  @doc "The tokens that end a text."
  @spec eos_tokens(t) :: [token]
  def eos_tokens(model), do: model |> ref!("eos_tokens") |> NIF.llm_info() |> elem(1)

  @doc """
  The tokens of a text.

  ## Options

    * `:add_special_tokens` - whether with those that the tokenizer puts before a text, once; default true

  Raises `ArgumentError` for what is no UTF-8.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> tokens = Mlx.LLM.encode(model, "Hi!")
      iex> {length(tokens), Mlx.LLM.decode(model, tokens)}
      {3, "Hi!"}
  """
  @spec encode(t, String.t(), keyword()) :: [token]
  def encode(model, text, options \\ []) do
    ref = ref!(model, "encode")
    Argument.check!(is_binary(text), "encode", "a text", text)
    special? = flag!(options, :add_special_tokens, true, "encode")
    Files.named("encode", fn -> NIF.llm_encode(ref, text, special?) end)
  end

  @doc """
  The text of tokens; numbers without a token have none.

  ## Options

    * `:skip_special_tokens` - whether tokens that are no text are left out; default false
  """
  @spec decode(t, [token], keyword()) :: String.t()
  def decode(model, tokens, options \\ []) do
    ref = ref!(model, "decode")
    skip? = flag!(options, :skip_special_tokens, false, "decode")
    Files.named("decode", fn -> NIF.llm_decode(ref, tokens, skip?) end)
  end

  @doc """
  The prompt that messages come to by the model's template.

  ## Options

  Those of chats, and:

    * `:tokenize` - whether to answer tokens, as `chat/3` gives them to the model, in place of the text; default false

  Raises `ArgumentError` where there is no template, and with the template's own error. transformers: `apply_chat_template`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> Mlx.LLM.chat_prompt(model, [%{role: "user", content: "Hi"}])
      "<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n"
  """
  @spec chat_prompt(t, [message], keyword()) :: String.t() | [token]
  def chat_prompt(model, messages, options \\ []) do
    ref = ref!(model, "chat_prompt")
    Argument.check!(Keyword.keyword?(options), "chat_prompt", "a list of options", options)
    {tokenize, options} = Keyword.split(options, [:tokenize])
    tokenize? = flag!(tokenize, :tokenize, false, "chat_prompt")

    Files.named("chat_prompt", fn -> NIF.llm_chat_prompt(ref, messages, options, tokenize?) end)
  end

  @doc """
  The text with which the model goes on after `prompt`, a text or tokens.

  The options are those of texts. Raises `ArgumentError` for options that there are not, with the nearest one, for an empty prompt, and
  for tokens outside of the vocabulary; `Mlx.FormatError` for a file that is no prompt cache. mlx-lm: `generate`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> answer = Mlx.LLM.generate(model, "Once upon", max_tokens: 4)
      iex> {length(answer.tokens), answer.finish_reason, answer.stats.prompt_tokens}
      {4, :length, 9}
  """
  @spec generate(t, prompt, keyword()) :: result
  def generate(model, prompt, options \\ []) do
    model |> request!(prompt!(prompt, "generate"), options, "generate") |> last()
  end

  @doc """
  The same as an enumerable of `t:event/0`s, the last of which is `{:done, result}`.

  Nothing is computed before it is enumerated, and no more than what is asked for: who halts, as `Enum.take/2` does, ends the work. Each
  enumeration is a text of its own. Raises as `generate/3`: for options that are none at once, for what the model refuses of them, and for
  what happens later, when it is enumerated. mlx-lm: `stream_generate`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> events = Mlx.LLM.stream(model, "Once upon", max_tokens: 4)
      iex> Enum.take(events, 1)
      [{:prompt, 8, 9}]
      iex> {:done, result} = Enum.at(events, -1)
      iex> result.text == for({:text, text} <- events, into: "", do: text)
      true
  """
  @spec stream(t, prompt, keyword()) :: Enumerable.t(event)
  def stream(model, prompt, options \\ []) do
    model |> request!(prompt!(prompt, "stream"), options, "stream") |> events()
  end

  @doc """
  The model's answer to a list of messages.

  The options are those of texts and of chats. What it answers has the answer as a `:message` as well, for the next call. Raises as
  `generate/3` and `chat_prompt/3`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> answer = Mlx.LLM.chat(model, [%{role: "user", content: "Hi"}], max_tokens: 4)
      iex> answer.message == %{role: "assistant", content: answer.text}
      true
  """
  @spec chat(t, [message], keyword()) :: result
  def chat(model, messages, options \\ []) do
    result = model |> request!({:chat, messages}, options, "chat") |> last()
    Map.put(result, :message, %{role: "assistant", content: result.text})
  end

  @doc "The same as an enumerable, as `stream/3`."
  @spec chat_stream(t, [message], keyword()) :: Enumerable.t(event)
  def chat_stream(model, messages, options \\ []) do
    model |> request!({:chat, messages}, options, "chat_stream") |> events()
  end

  @doc """
  Writes what the model remembers of `prompt`, a text or tokens, into the file `path`, for `:prompt_cache`: what is asked more than once
  of a long text need not read it again. Returns the number of tokens.

  The options are those of texts about prompts and memory. The file has mlx-lm's layout. Raises as `generate/3`, and `ArgumentError` when
  the file can't be written. mlx-lm: `cache_prompt`.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> Mlx.LLM.cache_prompt!(model, "A long text", "text.safetensors")
      11
      iex> answer = Mlx.LLM.generate(model, " to ask of", prompt_cache: "text.safetensors", max_tokens: 4)
      iex> answer.text == Mlx.LLM.generate(model, "A long text to ask of", max_tokens: 4).text
      true
  """
  @spec cache_prompt!(t, prompt, Path.t(), keyword()) :: pos_integer()
  def cache_prompt!(model, prompt, path, options \\ []) do
    ref = ref!(model, "cache_prompt")
    Argument.check_path!(path, "cache_prompt")
    prompt = prompt!(prompt, "cache_prompt")
    options = options!(options, "cache_prompt")

    Files.named("cache_prompt", fn ->
      NIF.llm_cache_prompt(ref, prompt, options, path, Mlx.Stream.where())
    end)
  end

  @doc """
  Loads a model of embeddings: BERT, RoBERTa, XLM-RoBERTa or CamemBERT, or any model that `load!/2` loads, of which the rows before the
  head are taken.

  `path`, options and errors are those of `load!/2`; encoders take no `:adapter`, and come from folders only. How texts become vectors is
  what the folder's files for sentence-transformers say: see `Mlx.LLM.Embedder`. Raises `Mlx.UnsupportedError` for steps in these
  that are not known.

  ## Examples

      iex> Mlx.LLM.load_embedder!("tiny-bert")
      #Mlx.LLM.Embedder<path: "tiny-bert", pooling: :mean, normalize: true, max_length: 16, ...>
  """
  @spec load_embedder!(Path.t(), keyword()) :: Embedder.t()
  def load_embedder!(path, options \\ []) do
    {path, {ref, {pooling, normalize, max_length}}} =
      loaded!(path, options, &NIF.llm_embedder_load/4, "load_embedder")

    %Embedder{
      ref: ref,
      path: path,
      pooling: pooling,
      normalize: normalize,
      max_length: max_length
    }
  end

  @doc """
  A vector for each of the `texts`, in their order: a tensor of f32 and the shape `{number of texts, size}`, a lazy one of `Mlx.Backend`
  where Nx is there, else an `Mlx.Tensor`.

  Texts of alike length are computed together. A text without any token, which is empty and gets none from its tokenizer, has zeros.

  ## Options

  `nil` stands for the default, which is the embedder's.

    * `:pooling` - what of the rows of a text's tokens becomes its vector: `:mean`, `:cls`, which is the first, or `:last`
    * `:normalize` - whether vectors are brought to the length 1; their products are then cosines
    * `:max_length` - tokens at which texts are cut, those that the tokenizer puts around them included
    * `:batch_size` - texts at a time, at most; default 32. Who is killed meanwhile is heard of between two batches

  Raises `ArgumentError` for no text, for what is no text in UTF-8, and for a `:max_length` beyond the positions that an
  encoder has learned.

  ## Examples

      iex> embedder = Mlx.LLM.load_embedder!("tiny-bert")
      iex> vectors = Mlx.LLM.embed(embedder, ["The cat sleeps.", "Dogs run."])
      iex> vectors.shape
      {2, 8}
  """
  @spec embed(Embedder.t(), [String.t()], keyword()) :: Mlx.Tensor.like()
  def embed(embedder, texts, options \\ []) do
    ref =
      case embedder do
        %Embedder{ref: ref} when is_reference(ref) -> ref
        other -> Argument.check!(false, "embed", "a model of Mlx.LLM.load_embedder!/2", other)
      end

    Argument.check!(is_list(texts), "embed", "a list of texts", texts)
    Argument.check!(Keyword.keyword?(options), "embed", "a list of options", options)

    Files.named("embed", fn ->
      ref
      |> NIF.llm_embed(texts, options, Mlx.Stream.where())
      |> Mlx.Memory.collected()
      |> Mlx.Tensor.wrap()
    end)
  end

  @doc """
  A cache for one conversation with `model`, empty: the option `:cache` of what `generate/3`, `chat/3` and their streams are asked, one
  after the other.

  Answers are what they are without it; only what is known of the prompt need not be read again. A prompt that goes on otherwise than the
  last one costs what follows the first difference; models with recurrent layers or full windows, from which no token can be taken back,
  go on from the end of one of the last four answers, or begin anew.

  A text that is halted, or whose process is killed, leaves what it knew; one that fails leaves nothing. Texts that use a cache at the
  same time begin with what it holds, if none of them has it in hand, and the last one to end leaves what it knows. The memory is freed
  with the cache, by the garbage collector; `cache_info/1` tells how much it is.

  ## Examples

      iex> model = Mlx.LLM.load!("tiny-llama")
      iex> cache = Mlx.LLM.new_cache(model)
      iex> messages = [%{role: "user", content: "Hi"}]
      iex> answer = Mlx.LLM.chat(model, messages, cache: cache, max_tokens: 4)
      iex> messages = messages ++ [answer.message, %{role: "user", content: "Go on"}]
      iex> stats = Mlx.LLM.chat(model, messages, cache: cache, max_tokens: 4).stats
      iex> stats.prompt_tokens > stats.cached_tokens and stats.cached_tokens > 20
      true
  """
  @spec new_cache(t) :: Cache.t()
  def new_cache(model), do: %Cache{ref: model |> ref!("new_cache") |> NIF.llm_new_cache()}

  @doc """
  What a cache of `new_cache/1` holds: the number of `:tokens`, and the `:bytes` of memory that they take.

  ## Examples

      iex> "tiny-llama" |> Mlx.LLM.load!() |> Mlx.LLM.new_cache() |> Mlx.LLM.cache_info()
      %{tokens: 0, bytes: 0}
  """
  @spec cache_info(Cache.t()) :: %{tokens: non_neg_integer(), bytes: non_neg_integer()}
  def cache_info(cache) do
    {tokens, bytes} = cache |> cache_ref!("cache_info") |> NIF.llm_cache_info()
    %{tokens: tokens, bytes: bytes}
  end

  # What is asked, checked: where it runs stays as it is now.
  defp request!(model, prompt, options, owner) do
    ref = ref!(model, owner)
    options = options!(options, owner)
    chat? = match?({:chat, _}, prompt)
    where = Mlx.Stream.where()

    request =
      Files.named(owner, fn -> NIF.llm_request(ref, prompt, options, chat?, where) end)

    %{request: request, where: where, owner: owner, family: family(model), milliseconds: 0}
  end

  defp options!(options, owner) do
    Argument.check!(Keyword.keyword?(options), owner, "a list of options", options)
    Argument.check_once!(options, owner)

    Enum.map(options, fn
      {:draft_model, model} when model != nil -> {:draft_model, ref!(model, owner)}
      {:cache, cache} when cache != nil -> {:cache, cache_ref!(cache, owner)}
      option -> option
    end)
  end

  defp cache_ref!(%Cache{ref: ref}, _owner) when is_reference(ref), do: ref

  defp cache_ref!(other, owner),
    do: Argument.check!(false, owner, "a cache of Mlx.LLM.new_cache/1", other)

  defp prompt!(prompt, _owner) when is_binary(prompt), do: {:text, prompt}
  defp prompt!(prompt, _owner) when is_list(prompt), do: {:tokens, prompt}
  defp prompt!(other, owner), do: Argument.check!(false, owner, "a text or tokens", other)

  defp flag!(options, key, default, owner) do
    Argument.check_options!(options, [key], owner)
    value = Keyword.get(options, key, default)
    Argument.check!(is_boolean(value), owner, "#{inspect(key)} to be true or false", value)
    value
  end

  # Nobody sees the steps of these, so that several may be taken at a time.
  @together_ms 50

  defp last(request) do
    request
    |> Map.put(:milliseconds, @together_ms)
    |> events()
    |> Enum.reduce(nil, fn event, _ -> event end)
    |> elem(1)
  end

  defp events(request) do
    Stream.resource(fn -> start(request) end, &next/1, &close/1)
  end

  defp start(request) do
    span = Telemetry.start([:llm, :generate], %{family: request.family})

    generation =
      in_span(span, request.owner, fn -> NIF.llm_start(request.request, request.where) end)

    %{
      generation: generation,
      owner: request.owner,
      milliseconds: request.milliseconds,
      span: span,
      finish_reason: nil,
      texts: [],
      tokens: [],
      token_events: []
    }
  end

  defp next(%{finish_reason: nil} = state) do
    state.span
    |> in_span(state.owner, fn -> NIF.llm_next(state.generation, state.milliseconds) end)
    |> Enum.flat_map_reduce(state, &told/2)
  end

  defp next(state), do: {:halt, state}

  # What is raised is told of, and ends the span.
  defp in_span(span, owner, fun) do
    Files.named(owner, fun)
  rescue
    error ->
      Telemetry.exception(span, :error, error, __STACKTRACE__)
      reraise error, __STACKTRACE__
  end

  defp told({:prompt, _done, _total} = event, state), do: {[event], state}

  defp told({:piece, token, text, reason, logprob, top}, state) do
    told = if logprob, do: [{:token, token, logprob, top}], else: []
    texts = if text == "", do: [], else: [{:text, text}]
    tokens = if token, do: [token | state.tokens], else: state.tokens

    state = %{
      state
      | texts: [state.texts | text],
        tokens: tokens,
        token_events: told ++ state.token_events,
        finish_reason: reason
    }

    done = if reason, do: [{:done, result(state)}], else: []
    {told ++ texts ++ done, state}
  end

  defp result(state) do
    result = %{
      text: IO.iodata_to_binary(state.texts),
      tokens: Enum.reverse(state.tokens),
      finish_reason: state.finish_reason,
      stats: NIF.llm_stats(state.generation)
    }

    case state.token_events do
      [] -> result
      events -> Map.put(result, :token_events, Enum.reverse(events))
    end
  end

  defp close(state) do
    # None of a text that has failed, which was told.
    if stats = NIF.llm_stats(state.generation) do
      measured = Map.drop(stats, [:prompt_tps, :generation_tps, :accepted_drafts, :cached_tokens])
      finish_reason = state.finish_reason || :halted
      Telemetry.stop(state.span, measured, %{finish_reason: finish_reason})
    end

    NIF.llm_close(state.generation)
  end

  defp ref!(%__MODULE__{ref: ref}, _owner) when is_reference(ref), do: ref

  defp ref!(other, owner),
    do: Argument.check!(false, owner, "a language model of Mlx.LLM.load!/2", other)
end
