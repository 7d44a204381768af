if reason = Mlx.TinyModel.missing(), do: IO.puts("Mlx.LLMTest is skipped: #{reason}")

defmodule Mlx.LLMTest do
  # It counts bytes of the whole VM, and the examples of the documentation run in a folder of their own.
  use ExUnit.Case, async: false

  import Mlx.Handles, only: [eventually: 1, kill_in: 1, settled_memory: 0]
  alias Mlx.{LLM, NIF, TinyBert, TinyModel, VM}

  if reason = TinyModel.missing() do
    @moduletag skip: reason
  end

  # Long enough to be killed in: hundreds of parts.
  @long_prompt List.duplicate(65, 8000)
  @hello [%{role: "user", content: "Hello"}]

  setup_all do
    folder = Path.join(System.tmp_dir!(), "mlx_llm_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(folder) end)
    model = folder |> Path.join("tiny-llama") |> TinyModel.write!() |> LLM.load!()
    folder |> Path.join("tiny-bert") |> TinyBert.write!()
    # What is kept of weights once they were used is not what a text takes.
    long = Enum.take(@long_prompt, 4000)
    for size <- [50, 2000], do: LLM.generate(model, long, prefill_step_size: size, max_tokens: 2)

    %{folder: folder, model: model}
  end

  # Examples name files of the folder.
  setup %{folder: folder, test_type: type} do
    before = File.cwd!()
    if type == :doctest, do: File.cd!(folder)
    on_exit(fn -> File.cd!(before) end)
  end

  doctest Mlx.LLM

  defp texts(events), do: for({:text, text} <- events, into: "", do: text)

  describe "a model" do
    test "tells what it is", %{model: model} do
      assert LLM.config(model)["hidden_size"] == 32
      assert LLM.family(model) == "llama"
      assert LLM.eos_tokens(model) == [257]
    end

    test "turns texts into tokens and back", %{model: model} do
      assert LLM.encode(model, "ä<|im_end|>") == [0xC3, 0xA4, 257]
      assert LLM.encode(model, "a", add_special_tokens: false) == [?a]
      assert LLM.decode(model, [?a, 257]) == "a<|im_end|>"
      assert LLM.decode(model, [?a, 257], skip_special_tokens: true) == "a"
      assert LLM.decode(model, []) == ""
      assert_raise ArgumentError, ~r/\[encode\].*UTF-8/, fn -> LLM.encode(model, <<255>>) end
      assert_raise ArgumentError, ~r/\[encode\] expected a text/, fn -> LLM.encode(model, 1) end
      assert_raise ArgumentError, ~r/\[decode\].*32 bits/, fn -> LLM.decode(model, [-1]) end
      assert_raise ArgumentError, ~r/\[decode\] expected a lang/, fn -> LLM.decode(nil, []) end
    end

    test "is loaded with an adapter", %{folder: folder, model: model} do
      adapter = Path.join(folder, "adapter")
      File.mkdir_p!(adapter)
      rank = ~s({"rank": 1, "scale": 50.0, "dropout": 0.0, "keys": ["self_attn.q_proj"]})
      config = ~s({"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": #{rank}})
      File.write!(Path.join(adapter, "adapter_config.json"), config)
      one = <<1.0::float-32-native>>
      ones = &Mlx.Tensor.from_binary(:binary.copy(one, Tuple.product(&1)), {:f, 32}, &1)
      at = &"model.layers.#{&1}.self_attn.q_proj.lora_#{&2}"
      parts = for i <- 0..1, part <- [a: {32, 1}, b: {1, 64}], do: {i, part}
      tensors = Map.new(parts, fn {i, {part, shape}} -> {at.(i, part), ones.(shape)} end)
      Mlx.Safetensors.write!(Path.join(adapter, "adapters.safetensors"), tensors)
      tuned = LLM.load!(model.path, adapter: adapter)
      assert LLM.generate(tuned, "Hello").text != LLM.generate(model, "Hello").text
      assert_raise File.Error, fn -> LLM.load!(model.path, adapter: "/none") end
    end

    test "of an unknown kind is refused with the nearest ones", %{folder: folder} do
      path = TinyModel.write!(Path.join(folder, "unknown"), %{"model_type" => "llamma"})
      assert_raise Mlx.UnsupportedError, ~r/\[load\].*llamma.*llama/, fn -> LLM.load!(path) end
    end

    test "that contradicts itself is refused", %{folder: folder} do
      path = TinyModel.write!(Path.join(folder, "wrong"), %{"hidden_size" => 48})
      error = catch_error(LLM.load!(path))
      assert error.__struct__ in [Mlx.FormatError, ArgumentError]
      assert error.message =~ ~r/^\[load\].*32/
    end

    test "of a hub is found in the cache or downloaded", %{folder: folder} do
      offline = [hub: [offline: true, cache: Path.join(folder, "cache")]]

      assert_raise Mlx.HubError, ~r/acme\/none.*offline/s, fn ->
        LLM.load!("acme/none", offline)
      end

      assert_raise File.Error, fn -> LLM.load!("./acme/none", offline) end
    end

    test "is loaded by options that there are" do
      assert_raise ArgumentError, ~r/\[load\] expected no options but/, fn ->
        LLM.load!("x", adaptor: "y")
      end

      assert_raise ArgumentError, ~r/:requantize/, fn -> LLM.load!("x", requantize: 1) end
      assert_raise ArgumentError, ~r/\[load\] expected the path/, fn -> LLM.load!(nil) end
      assert_raise ArgumentError, ~r/\[load\] expected the path/, fn -> LLM.load!("") end
    end
  end

  test "the README's examples run as written", %{folder: folder} do
    TinyModel.write!(Path.join(folder, "mlx-community/SmolLM2-135M-Instruct"))
    TinyBert.write!(Path.join(folder, "sentence-transformers/all-MiniLM-L6-v2"))
    readme = File.read!("README.md")
    [section] = Regex.run(~r/^## Language models\n.*?^## /ms, readme)
    [texts, more] = Regex.scan(~r/^```elixir\n(.*?)^```$/ms, section, capture: :all_but_first)
    run = fn -> File.cd!(folder, fn -> Code.eval_string(hd(texts)) end) end
    {{text, bindings}, output} = ExUnit.CaptureIO.with_io(run)
    assert text =~ "{" and output != ""
    assert length(bindings[:messages]) == 4
    {shape, bindings} = File.cd!(folder, fn -> Code.eval_string(hd(more), bindings) end)
    assert shape == {3, 8}
    assert length(bindings[:messages]) == 6
  end

  describe "generate/3" do
    test "is repeatable", %{model: model} do
      answer = LLM.generate(model, "Hello", max_tokens: 20)
      assert answer == %{LLM.generate(model, ~c"Hello", max_tokens: 20) | stats: answer.stats}
      assert LLM.decode(model, answer.tokens) == answer.text
      assert length(answer.tokens) == 20
      assert %{prompt_tokens: 5, generation_tokens: 20, accepted_drafts: 0} = answer.stats
      assert answer.stats.prompt_seconds > 0 and answer.stats.generation_tps > 0
      assert answer.stats.peak_memory > 0

      # Loaded once more, in another process.
      other = fn -> model.path |> LLM.load!() |> LLM.generate("Hello", max_tokens: 20) end
      assert Task.await(Task.async(other)).tokens == answer.tokens
    end

    test "draws by its seed", %{model: model} do
      draw = &LLM.generate(model, "Hello", max_tokens: 20, temp: 1.0, seed: &1).tokens
      assert draw.(1) == draw.(1)
      assert draw.(1) != draw.(2)

      assert LLM.generate(model, "Hello", temp: 1, top_k: 1, max_tokens: 5).tokens ==
               LLM.generate(model, "Hello", max_tokens: 5).tokens
    end

    test "ends at texts, at tokens, and when it is long enough", %{model: model} do
      whole = LLM.generate(model, "Hello", max_tokens: 12)
      assert whole.finish_reason == :length
      # ASCII, of which a token is a character.
      stop = String.at(whole.text, 5)
      before = whole.text |> String.split(stop) |> hd()

      for stops <- [stop, [stop], ["none", stop]] do
        answer = LLM.generate(model, "Hello", max_tokens: 12, stop: stops)
        assert {answer.text, answer.finish_reason} == {before, :stop}
      end

      ended = LLM.generate(model, "Hello", logit_bias: %{?a => 1000}, extra_eos_tokens: "a")
      assert {ended.text, ended.finish_reason, ended.tokens} == {"", :stop, ~c"a"}
      biased = LLM.generate(model, "Hello", logit_bias: %{257 => 1000})
      assert {biased.tokens, biased.text, biased.finish_reason} == {[257], "", :stop}
      none = LLM.generate(model, "Hello", max_tokens: 0)
      assert {none.tokens, none.text, none.finish_reason} == {[], "", :length}

      assert_raise ArgumentError, ~r/\[generate\].*"nothing"/, fn ->
        LLM.generate(model, "Hello", extra_eos_tokens: "nothing")
      end
    end

    test "writes JSON by a schema", %{model: model} do
      schema = [
        type: :object,
        properties: [zeal: %{type: "boolean"}, age: %{"enum" => [1, 2.5, nil, "x"]}],
        required: [:zeal, :age],
        additionalProperties: false
      ]

      # A small model likes spaces.
      options = [max_tokens: 80, logit_bias: Map.new(~c" \n\r\t", &{&1, -1000.0})]
      answer = LLM.generate(model, "Hello", [json_schema: schema] ++ options)
      assert answer.text =~ ~r/^{"zeal":(true|false),"age":(1|2.5|null|"x")}$/
      assert answer.finish_reason == :stop
      assert LLM.chat(model, @hello, [json_schema: schema] ++ options).text =~ ~r/^{"zeal":/
      text = LLM.generate(model, "Hello", [json_schema: ~s({"type": "boolean"})] ++ options).text
      assert text in ["true", "false"]
      assert LLM.generate(model, "Hello", regex: "[ab]{3}").text =~ ~r/^[ab]{3}$/
      assert LLM.generate(model, "Hello", grammar: ~s(start: "yes" | "no")).text in ["yes", "no"]
    end

    test "tells how probable tokens were", %{model: model} do
      answer = LLM.generate(model, "Hello", max_tokens: 3, top_logprobs: 2)
      assert length(answer.token_events) == 3

      for {{:token, id, logprob, top}, token} <- Enum.zip(answer.token_events, answer.tokens) do
        assert [{^id, ^logprob}, {_other, less}] = top
        assert id == token and logprob <= 0 and less <= logprob
      end

      [{:token, _id, _logprob, top}] =
        LLM.generate(model, "Hello", max_tokens: 1, top_logprobs: 1000).token_events

      assert length(top) == TinyModel.vocabulary()
      assert_in_delta Enum.sum(for {_, logprob} <- top, do: :math.exp(logprob)), 1, 1.0e-3

      # What a grammar forbids is not among them.
      [{:token, _id, _logprob, top} | _] =
        LLM.generate(model, "Hello", regex: "[ab]", top_logprobs: 10).token_events

      assert top |> Enum.map(&elem(&1, 0)) |> Enum.sort() == ~c"ab"
    end

    test "guesses without changing the text", %{model: model} do
      plain = LLM.generate(model, "Hello", max_tokens: 30)
      drafted = LLM.generate(model, "Hello", max_tokens: 30, draft_model: model)
      assert drafted.text == plain.text
      assert drafted.stats.accepted_drafts > 0
      assert LLM.generate(model, "Hello", max_tokens: 30, ngram: 2).text == plain.text
    end

    test "keeps less of what it has seen", %{model: model} do
      for options <- [[max_kv_size: 8], [kv_bits: 8, kv_group_size: 32, quantized_kv_start: 2]] do
        answer = LLM.generate(model, "A longer text, to begin with", [max_tokens: 5] ++ options)
        assert length(answer.tokens) == 5
      end

      assert_raise ArgumentError, ~r/can't be quantized/, fn ->
        LLM.generate(model, "Hello", max_kv_size: 8, kv_bits: 8)
      end
    end

    test "thinks within its budget", %{model: model} do
      options = [max_tokens: 30, thinking_budget: 4]
      answer = LLM.generate(model, "Hello<think>", options)
      assert LLM.decode(model, Enum.slice(answer.tokens, 4, 8)) == "</think>"
    end

    test "goes on with what was kept of a prompt", %{folder: folder, model: model} do
      path = Path.join(folder, "kept.safetensors")
      assert LLM.cache_prompt!(model, "Once upon a time", path, prefill_step_size: 3) == 16
      assert {:ok, _} = File.stat(path)
      whole = LLM.generate(model, "Once upon a time, long ago", max_tokens: 10)
      rest = LLM.generate(model, ", long ago", max_tokens: 10, prompt_cache: path)
      assert rest.text == whole.text
      assert rest.stats.prompt_tokens == 10

      File.write!(path, "nothing")

      assert_raise Mlx.FormatError, ~r/\[generate\].*kept.safetensors/, fn ->
        LLM.generate(model, "x", prompt_cache: path)
      end

      assert_raise ArgumentError, ~r/\[cache_prompt\].*is empty/, fn ->
        LLM.cache_prompt!(model, "", path <> ".none")
      end

      notes = Path.join(Path.dirname(path), "notes.txt")
      File.write!(notes, "mine")

      assert_raise ArgumentError, ~r/notes.txt can't be written: it is there, and is no/, fn ->
        LLM.cache_prompt!(model, "Once", notes)
      end

      assert File.read!(notes) == "mine"
    end

    test "refuses what would be passed over", %{folder: folder, model: model} do
      path = Path.join(folder, "sized.safetensors")
      assert LLM.cache_prompt!(model, "Once", path) == 4

      for {options, text} <- [
            {[seed: 1, seed: 2], "[generate] expected each option once"},
            {[prompt_cache: path, max_kv_size: 20], "give :max_kv_size to cache_prompt"},
            {[draft_model: model, num_draft_tokens: 1_000], "has to be from 1 to 256, got 1000"},
            {[logit_bias: %{1 => :nan}], "the bias of the token 1 has to be a number"}
          ] do
        error = assert_raise ArgumentError, fn -> LLM.generate(model, "x", options) end
        assert error.message =~ text
      end
    end

    test "goes on with what was kept of messages", %{folder: folder, model: model} do
      path = Path.join(folder, "messages.safetensors")
      begun = LLM.chat_prompt(model, @hello, tokenize: true, add_generation_prompt: false)
      assert LLM.cache_prompt!(model, begun, path) == length(begun)
      next = @hello ++ [%{role: "user", content: "More"}]

      for messages <- [@hello, next], options <- [[], [repetition_penalty: 2.0]] do
        whole = LLM.chat(model, messages, [max_tokens: 8] ++ options)
        known = LLM.chat(model, messages, [max_tokens: 8, prompt_cache: path] ++ options)
        assert known.tokens == whole.tokens
        assert known.stats.cached_tokens == length(begun)
        assert known.stats.prompt_tokens == whole.stats.prompt_tokens
      end

      other = LLM.chat(model, [%{role: "system", content: "x"}], prompt_cache: path)
      # As far as "<|im_start|>".
      assert other.stats.cached_tokens == 1

      # Files of mlx-lm say nothing of tokens.
      header = path |> Mlx.Safetensors.open!() |> Mlx.Safetensors.metadata()
      bare = Path.join(folder, "bare.safetensors")
      Mlx.Safetensors.write!(bare, Mlx.Safetensors.read!(path), Map.delete(header, "0.tokens"))
      assert LLM.generate(model, "More", prompt_cache: bare, max_tokens: 2).tokens != []

      assert_raise ArgumentError, ~r/\[chat\] :prompt_cache: the file does not tell/, fn ->
        LLM.chat(model, @hello, prompt_cache: bare)
      end
    end

    test "refuses prompts that are none", %{model: model} do
      for {prompt, text} <- [
            {"", "[generate] the prompt is empty"},
            {[], "[generate] the prompt is empty"},
            {[TinyModel.vocabulary()], "258"},
            {[-1], "[generate] expected a non-negative integer"},
            {[1.5], "[generate] expected a non-negative integer"},
            {<<255>>, "UTF-8"},
            {:hello, "[generate] expected a text or tokens, got: :hello"}
          ] do
        error = assert_raise ArgumentError, fn -> LLM.generate(model, prompt) end
        assert error.message =~ text
      end

      # What has failed in the midst of it stays so.
      long = @long_prompt ++ [TinyModel.vocabulary()]

      assert_raise ArgumentError, ~r/258/, fn ->
        LLM.generate(model, long, prefill_step_size: 4000)
      end
    end

    test "refuses options that are none", %{model: model} do
      for {options, text} <- [
            {[max_token: 1],
             "[generate] there is no option :max_token; the nearest is \"max_tokens\""},
            {[tools: []], "[generate] there is no option :tools"},
            {[temp: :hot], "[generate] :temp: expected a number, got hot"},
            {[temp: -1], "temp"},
            {[max_tokens: 1.5], ":max_tokens: expected an integer"},
            {[max_tokens: -2], "max_tokens is negative"},
            {[seed: -1], ":seed: expected a non-negative integer"},
            {[stop: 1], ":stop: expected a list"},
            {[logit_bias: [1]], ":logit_bias: expected a map of tokens to numbers"},
            {[logit_bias: %{a: 1}], ":logit_bias: expected a non-negative integer"},
            {[logit_bias: %{258 => 1.0}], "258"},
            {[top_logprobs: -1], ":top_logprobs: -1 is negative"},
            {[draft_model: "x"], "expected a language model of Mlx.LLM.load!/2"},
            {[draft_model: model, ngram: 3], "exclude each other"},
            {[cache: LLM.new_cache(model), prompt_cache: "x"], "exclude each other"},
            {[cache: model.ref], "[generate] expected a cache of Mlx.LLM.new_cache/1"},
            {[cache: :new], "[generate] expected a cache of Mlx.LLM.new_cache/1"},
            {[regex: "a", grammar: "b"], "exclude each other"},
            {[regex: ""], ":regex: expected a text"},
            {[regex: "("], "[generate]"},
            {[json_schema: %{type: "nothing"}], "nothing"},
            {[json_schema: %{type: {1, 2}}], ":json_schema: expected what JSON can tell"},
            {[json_schema: ""], ":json_schema: expected a text"},
            {[thinking_budget: -1], "the thinking budget is negative"},
            {[ngram: 0], "ngram"},
            {[kv_bits: 7], "7"},
            {[prefill_step_size: 0], "prefill_step_size is less than 1"},
            {%{temp: 1}, "expected a list of options"},
            {[1], "expected a list of options"}
          ] do
        case catch_error(LLM.generate(model, "Hello", options)) do
          %ArgumentError{message: message} -> assert message =~ text
          other -> flunk("#{inspect(options)}: #{inspect(other)}")
        end
      end

      assert LLM.generate(model, "Hi", max_tokens: 1, temp: nil, stop: nil).finish_reason ==
               :length
    end

    test "runs where the process's stream is", %{model: model} do
      answer = LLM.generate(model, "Hello", max_tokens: 5)

      Mlx.Stream.with_stream(Mlx.Stream.new(:cpu), fn ->
        assert LLM.generate(model, "Hello", max_tokens: 5).tokens == answer.tokens
      end)
    end
  end

  describe "stream/3" do
    test "tells of the prompt, the text and what came of it", %{model: model} do
      events = LLM.stream(model, "Hello you", max_tokens: 6, prefill_step_size: 3)
      all = Enum.to_list(events)
      assert [{:prompt, 3, 9}, {:prompt, 6, 9}, {:prompt, 8, 9} | rest] = all
      {rest, [{:done, result}]} = Enum.split(rest, -1)
      assert Enum.all?(rest, &match?({:text, text} when text != "", &1))
      assert texts(rest) == result.text

      assert result.tokens ==
               LLM.generate(model, "Hello you", max_tokens: 6).tokens

      told = LLM.stream(model, "Hi", max_tokens: 2, top_logprobs: 0)
      assert [{_, _, _}, {:token, id, _, []}, _text, {:token, _, _, []} | _] = Enum.to_list(told)
      assert id in 0..257
    end

    test "is enumerated as often as one likes, and as far", %{model: model} do
      events = LLM.stream(model, "Hello", max_tokens: 6)
      assert texts(events) == texts(events)
      assert Enum.take(events, 0) == []
      assert [{:prompt, 4, 5}, {:text, _}] = Enum.take(events, 2)
      assert events |> Stream.take(3) |> Enum.count() == 3
      assert events |> Stream.filter(&match?({:text, _}, &1)) |> Enum.take(1) |> length() == 1

      # Two at once, each a step at a time.
      for {one, other} <- Enum.zip(events, events),
          elem(one, 0) != :done,
          do: assert(one == other)

      assert [{1, {:prompt, 4, 5}}, {2, _}] = Enum.zip(1..2, events)
      drawn = LLM.stream(model, "Hello", max_tokens: 20, temp: 1.0)
      assert texts(drawn) != texts(drawn)
    end

    test "computes nothing before, and refuses options at once", %{model: model} do
      before = settled_memory()
      events = LLM.stream(model, @long_prompt, max_tokens: 1)
      # The model has been told nothing of the prompt, whose tokens are no tensors yet.
      assert settled_memory() == before
      assert_raise ArgumentError, ~r/\[stream\]/, fn -> LLM.stream(model, "x", tempp: 1) end
      empty = LLM.stream(model, "")

      assert_raise ArgumentError, ~r/\[stream\] the prompt is empty/, fn ->
        Enum.to_list(empty)
      end

      assert [{:prompt, _, _} | _] = Enum.take(events, 1)
    end

    test "ends the work where it is halted", %{model: model} do
      before = settled_memory()
      # At once, not when garbage is collected.
      assert [_] = model |> LLM.stream(@long_prompt, prefill_step_size: 2000) |> Enum.take(1)
      assert Mlx.Memory.active() == before
      parts = LLM.stream(model, @long_prompt, prefill_step_size: 16)
      {whole, _} = :timer.tc(fn -> parts |> Enum.take(60) |> length() end)
      {some, [{:prompt, 16, 8000}]} = :timer.tc(fn -> Enum.take(parts, 1) end)
      assert some < whole
      endless = LLM.stream(model, "Hello", max_tokens: -1, logit_bias: %{257 => -1.0e9})
      assert endless |> Stream.take(100) |> Enum.count() == 100
      assert_raise RuntimeError, fn -> Enum.each(endless, fn _ -> raise "enough" end) end
      assert catch_throw(Enum.each(endless, fn _ -> throw(:enough) end)) == :enough
      assert settled_memory() == before
    end
  end

  describe "chat/3" do
    test "answers messages of any kind of keys", %{model: model} do
      answer = LLM.chat(model, @hello, max_tokens: 8)
      assert answer.message == %{role: "assistant", content: answer.text}
      texts = [%{"role" => "user", "content" => "Hello"}]
      assert LLM.chat(model, texts, max_tokens: 8).tokens == answer.tokens
      prompt = LLM.chat_prompt(model, @hello, tokenize: true)
      assert prompt == LLM.encode(model, LLM.chat_prompt(model, @hello))
      assert LLM.generate(model, prompt, max_tokens: 8).tokens == answer.tokens
      events = LLM.chat_stream(model, @hello, max_tokens: 8)
      assert texts(events) == answer.text
      next = @hello ++ [answer.message, %{role: :user, content: "More"}]
      assert LLM.chat(model, next, max_tokens: 8).finish_reason == :length
    end

    test "gives the template what it reads", %{model: model} do
      prompt = &LLM.chat_prompt(model, @hello, &1)
      begun = "<|im_start|>user\nHello<|im_end|>\n"
      assert prompt.([]) == begun <> "<|im_start|>assistant\n"
      assert prompt.(add_generation_prompt: false) == begun
      tools = [%{name: :f, n: 1, big: 18_446_744_073_709_551_615, x: [1.5, nil, true]}]
      assert prompt.(tools: tools) =~ ~r/"name": "f"/
      assert prompt.(tools: tools) =~ ~r/"big": 18446744073709551615/
      assert prompt.(tools: tools) =~ ~r/\[1.5, null, true\]/
      assert prompt.(template_variables: %{mood: "ä"}) =~ "\nä\n"
      assert prompt.(chat_template: "{{ messages | length }}") == "1"
      begin = @hello ++ [%{role: "assistant", content: "Well"}]
      assert LLM.chat_prompt(model, begin, continue_final_message: true) =~ ~r/assistant\nWell$/
      options = [max_tokens: 5, continue_final_message: true]
      assert LLM.chat(model, begin, options).message.role == "assistant"
    end

    test "says what is wrong with messages and templates", %{model: model} do
      for {messages, options, text} <- [
            {[%{role: "nobody", content: ""}], [], ~r/\[chat\].*nobody speaks/},
            {@hello, [chat_template: "{% if %}"], ~r/\[chat\]/},
            {@hello, [chat_template: "{% for i in range(100000000) %}{% endfor %}"],
             ~r/\[chat\]/},
            {@hello, [chat_template: 1], ~r/:chat_template: expected a text/},
            {@hello, [tokenize: true], ~r/no option :tokenize/},
            {@hello, [tools: %{}], ~r/tools is no JSON list/},
            {@hello, [template_variables: []], ~r/variables is no JSON object/},
            {"Hello", [], ~r/messages is no JSON list/},
            {[role: "user"], [], ~r/messages is no JSON list/},
            {[%{role: <<255>>}], [], ~r/expected a text in UTF-8, got <<255>>/},
            {[%{1 => 2}], [], ~r/as the key of an object, got 1/},
            {[%{role: self()}], [], ~r/expected what JSON can tell.*got <0/},
            {[1..2], [], ~r/a struct/},
            {[2 ** 64], [], ~r/got 18446744073709551616/},
            {[%{:a => 1, "a" => 2}], [], ~r/the key a twice/},
            {[[{:a, 1}, 2]], [], ~r/keyword list/},
            {[1 | 2], [], ~r/expected a list/},
            {Enum.reduce(1..65, 1, fn _, inner -> [inner] end), [], ~r/at most 64 lists/}
          ] do
        assert_raise ArgumentError, text, fn -> LLM.chat(model, messages, options) end
      end
    end

    test "needs a template", %{folder: folder} do
      path = TinyModel.write!(Path.join(folder, "plain"))
      File.rm!(Path.join(path, "tokenizer_config.json"))
      model = LLM.load!(path)

      assert_raise ArgumentError, ~r/\[chat\].*no chat template/, fn ->
        LLM.chat(model, @hello)
      end

      assert LLM.chat(model, @hello, chat_template: "Hi", max_tokens: 1).stats.prompt_tokens == 2
    end
  end

  describe "what a text takes" do
    test "is freed when a process is killed in the midst of a prompt", %{model: model} do
      before = settled_memory()

      kill_in(fn tell ->
        model |> LLM.stream(@long_prompt, prefill_step_size: 16) |> Enum.each(tell)
      end)

      assert eventually(fn -> settled_memory() == before end),
             "#{settled_memory()} of #{before} bytes"
    end

    test "is freed when a process is killed in the midst of an answer", %{model: model} do
      before = settled_memory()
      options = [max_tokens: -1, logit_bias: %{257 => -1.0e9}, prefill_step_size: 2000]

      kill_in(fn tell ->
        for {:text, text} <- LLM.stream(model, Enum.take(@long_prompt, 500), options),
            do: tell.(text)
      end)

      assert eventually(fn -> settled_memory() == before end),
             "#{settled_memory()} of #{before} bytes"
    end

    test "is freed every time", %{model: model} do
      generate = fn -> LLM.generate(model, "Hello", max_tokens: 3) end
      for _ <- 1..20, do: generate.()
      {before, resident} = {settled_memory(), VM.resident_bytes()}
      for _ <- 1..200, do: generate.()
      assert settled_memory() == before
      if resident, do: assert(VM.resident_bytes() - resident < 20_000_000)
    end

    test "is shared by processes that take turns", %{model: model} do
      prompt = {:text, "Hello"}
      request = NIF.llm_request(model.ref, prompt, [max_tokens: 40], false, nil)
      generation = NIF.llm_start(request, nil)

      next = fn ->
        fn -> NIF.llm_next(generation, 0) end
        |> Stream.repeatedly()
        |> Enum.take_while(&(&1 != []))
      end

      pieces = for pieces <- Task.await_many(for(_ <- 1..4, do: Task.async(next))), do: pieces
      tokens = for {:piece, token, _, _, _, _} <- List.flatten(pieces), do: token
      assert Enum.sort(tokens) == Enum.sort(LLM.generate(model, "Hello", max_tokens: 40).tokens)
      assert NIF.llm_close(generation) == :ok
      assert_raise ArgumentError, ~r/has ended/, fn -> NIF.llm_next(generation, 0) end
    end

    test "is many processes' at once", %{model: model} do
      ask = fn i -> LLM.generate(model, "Hello #{rem(i, 3)}", max_tokens: 20).tokens end
      alone = for i <- 0..2, do: ask.(i)

      all =
        0..11 |> Task.async_stream(ask, max_concurrency: 12, timeout: 60_000) |> Enum.to_list()

      for {{:ok, tokens}, i} <- Enum.with_index(all),
          do: assert(tokens == Enum.at(alone, rem(i, 3)))
    end
  end
end
