if reason = Mlx.TinyModel.missing(), do: IO.puts("Mlx.LLMCacheTest is skipped: #{reason}")

defmodule Mlx.LLMCacheTest do
  # It counts bytes of the whole VM.
  use ExUnit.Case, async: false

  import Mlx.Handles, only: [eventually: 1, kill_in: 1, settled_memory: 0]
  alias Mlx.{LLM, TinyModel}

  if reason = TinyModel.missing() do
    @moduletag skip: reason
  end

  setup_all do
    folder = Path.join(System.tmp_dir!(), "mlx_llm_cache_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(folder) end)
    model = folder |> TinyModel.write!() |> LLM.load!()
    # What is kept of weights once they were used is not what a text takes.
    LLM.generate(model, List.duplicate(65, 1000), max_tokens: 2)
    %{model: model}
  end

  # The answers of turns that go on from each other, and what was known of each prompt.
  defp converse(model, turns, options) do
    {_messages, told} =
      Enum.reduce(1..turns, {[], []}, fn turn, {messages, told} ->
        messages = messages ++ [%{role: "user", content: "Question #{turn}"}]
        answer = LLM.chat(model, messages, options)
        {messages ++ [answer.message], [answer | told]}
      end)

    Enum.reverse(told)
  end

  test "changes nothing but what is read", %{model: model} do
    for options <- [
          [],
          [temp: 1.0, seed: 3],
          [repetition_penalty: 1.5, repetition_context_size: 100],
          [ngram: 2],
          [draft_model: model],
          [max_kv_size: 1000],
          # A model of bytes may write what is no text, which then is another one in the next prompt.
          [regex: "[a-z]{12}"]
        ] do
      options = [max_tokens: 12, logit_bias: %{257 => -1.0e9}] ++ options
      without = converse(model, 4, options)
      with_cache = converse(model, 4, [cache: LLM.new_cache(model)] ++ options)
      for {one, other} <- Enum.zip(without, with_cache), do: assert(one.tokens == other.tokens)
      assert Enum.all?(without, &(&1.stats.cached_tokens == 0))
      [first | later] = with_cache
      assert first.stats.cached_tokens == 0

      for {answer, before} <- Enum.zip(later, with_cache) do
        assert answer.stats.cached_tokens >= before.stats.prompt_tokens
        assert answer.stats.cached_tokens < answer.stats.prompt_tokens
      end
    end
  end

  test "holds what was told", %{model: model} do
    cache = LLM.new_cache(model)
    answer = LLM.generate(model, "Hello", cache: cache, max_tokens: 5)
    assert %{tokens: 9, bytes: bytes} = LLM.cache_info(cache)
    assert bytes > 0
    more = ~c"Hello" ++ answer.tokens ++ ~c"?"
    [{:prompt, 10, 11} | _] = events = Enum.to_list(LLM.stream(model, more, cache: cache))
    assert List.last(events) |> elem(1) |> get_in([:stats, :cached_tokens]) == 9
    # Another prompt, and the same one once more.
    assert LLM.generate(model, "Help", cache: cache, max_tokens: 1).stats.cached_tokens == 3
    assert LLM.generate(model, "Help", cache: cache, max_tokens: 1).stats.cached_tokens == 3
    # A cache of another form is none.
    options = [cache: cache, max_tokens: 1]

    assert LLM.generate(model, "Help", [kv_bits: 8, kv_group_size: 32] ++ options).stats.cached_tokens ==
             0

    assert LLM.generate(model, "Help", [kv_bits: 8, kv_group_size: 32] ++ options).stats.cached_tokens ==
             3

    assert LLM.generate(model, "Help", options).stats.cached_tokens == 0
    assert_raise ArgumentError, fn -> LLM.cache_info(model) end
  end

  test "is left by who halts or is killed, and alone by what is refused", %{model: model} do
    cache = LLM.new_cache(model)
    endless = [max_tokens: -1, logit_bias: %{257 => -1.0e9}, cache: cache]
    events = LLM.stream(model, "Hello", endless)
    assert events |> Enum.take(4) |> length() == 4
    assert LLM.cache_info(cache).tokens in 5..12

    kill_in(fn tell ->
      for {:text, text} <- LLM.stream(model, "Help", endless), do: tell.(text)
    end)

    assert eventually(fn -> LLM.cache_info(cache).tokens >= 4 end)
    wrong = ~c"Hel" ++ [258, 1]
    before = LLM.cache_info(cache)

    assert_raise ArgumentError, ~r/no token 258/, fn ->
      LLM.generate(model, wrong, cache: cache)
    end

    assert LLM.cache_info(cache) == before
    LLM.generate(model, "Hello", cache: cache, max_tokens: 2)
    held = LLM.cache_info(cache)
    assert_raise ArgumentError, fn -> LLM.generate(model, "", cache: cache) end
    assert LLM.cache_info(cache) == held
  end

  test "belongs to its model", %{model: model} do
    cache = LLM.new_cache(model)
    other = LLM.load!(model.path)

    assert_raise ArgumentError, ~r/\[generate\] the cache is that of another model/, fn ->
      LLM.generate(other, "Hello", cache: cache)
    end

    assert_raise ArgumentError, ~r/\[cache_prompt\] :cache/, fn ->
      LLM.cache_prompt!(model, "Hello", "none.safetensors", cache: cache)
    end
  end

  test "is many processes' at once, each with its own answer", %{model: model} do
    cache = LLM.new_cache(model)
    ask = &LLM.generate(model, "Hello #{rem(&1, 3)}", [max_tokens: 20] ++ &2).tokens
    alone = for i <- 0..2, do: ask.(i, [])
    together = &ask.(&1, cache: cache)
    all = Task.async_stream(0..29, together, max_concurrency: 8, timeout: 60_000)

    for {{:ok, tokens}, i} <- Enum.with_index(all),
        do: assert(tokens == Enum.at(alone, rem(i, 3)))

    assert LLM.cache_info(cache).tokens == 26
  end

  test "is freed with its term", %{model: model} do
    before = settled_memory()
    chat = fn -> converse(model, 3, cache: LLM.new_cache(model), max_tokens: 200) end
    Task.await(Task.async(fn -> chat.() && :ok end), 60_000)
    assert eventually(fn -> settled_memory() == before end)
  end
end
