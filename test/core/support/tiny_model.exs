defmodule Mlx.TinyModel do
  @moduledoc """
  A language model that the tests make: a Llama of two layers with random weights, always the same, whose tokens are bytes.
  """

  @hidden 32
  @intermediate 64
  @layers 2
  @head_dim 32
  @special ["<|im_start|>", "<|im_end|>"]

  @template """
  {% for message in messages %}{% if message.role == 'nobody' %}{{ raise_exception('nobody speaks') }}{% endif %}\
  <|im_start|>{{ message.role }}
  {{ message.content }}<|im_end|>
  {% endfor %}{% if tools %}{{ tools | tojson }}
  {% endif %}{% if mood %}{{ mood }}
  {% endif %}{% if add_generation_prompt %}<|im_start|>assistant
  {% endif %}\
  """

  @doc "Why models can't be tried here, or nil."
  def missing do
    unless Mlx.LLM.available?(),
      do: "this build has no tokenizers, templates and grammars: it was made without cargo"
  end

  @doc "Writes the model into `folder`; `changes` are settings by their names."
  def write!(folder, changes \\ %{}) do
    File.mkdir_p!(folder)
    File.write!(Path.join(folder, "config.json"), json(Map.merge(config(), changes)))
    File.write!(Path.join(folder, "tokenizer.json"), json(tokenizer()))

    settings = %{"eos_token" => "<|im_end|>", "chat_template" => @template}
    File.write!(Path.join(folder, "tokenizer_config.json"), json(settings))
    Mlx.Safetensors.write!(Path.join(folder, "model.safetensors"), tensors())
    folder
  end

  @doc "The token of a byte, and the number of tokens."
  def token(byte) when byte in 0..255, do: byte
  def vocabulary, do: 256 + length(@special)

  defp config do
    %{
      "model_type" => "llama",
      "hidden_size" => @hidden,
      "intermediate_size" => @intermediate,
      "num_hidden_layers" => @layers,
      "num_attention_heads" => 2,
      "num_key_value_heads" => 1,
      "head_dim" => @head_dim,
      "rms_norm_eps" => 1.0e-5,
      "rope_theta" => 10_000.0,
      "max_position_embeddings" => 100_000,
      "vocab_size" => vocabulary(),
      "eos_token_id" => 257,
      "tie_word_embeddings" => true
    }
  end

  defp tensors do
    layer = fn i ->
      %{
        "self_attn.q_proj" => {2 * @head_dim, @hidden},
        "self_attn.k_proj" => {@head_dim, @hidden},
        "self_attn.v_proj" => {@head_dim, @hidden},
        "self_attn.o_proj" => {@hidden, 2 * @head_dim},
        "mlp.gate_proj" => {@intermediate, @hidden},
        "mlp.up_proj" => {@intermediate, @hidden},
        "mlp.down_proj" => {@hidden, @intermediate},
        "input_layernorm" => {@hidden},
        "post_attention_layernorm" => {@hidden}
      }
      |> Enum.map(fn {name, shape} -> {"model.layers.#{i}.#{name}.weight", shape} end)
    end

    shapes =
      Enum.flat_map(0..(@layers - 1), layer) ++
        [
          {"model.embed_tokens.weight", {vocabulary(), @hidden}},
          {"model.norm.weight", {@hidden}}
        ]

    drawn(shapes)
  end

  @doc "Tensors of these names and shapes, always the same ones."
  def drawn(shapes) do
    {tensors, _seed} =
      Enum.map_reduce(Enum.sort(shapes), :rand.seed_s(:exsss, 7), fn {name, shape}, seed ->
        {numbers, seed} = Enum.map_reduce(1..Tuple.product(shape), seed, &number(&1, &2, shape))
        {{name, Mlx.Tensor.from_binary(IO.iodata_to_binary(numbers), {:f, 32}, shape)}, seed}
      end)

    Map.new(tensors)
  end

  # Norms near 1, matrices near 0.
  defp number(_index, seed, shape) do
    {number, seed} = :rand.normal_s(seed)
    number = if tuple_size(shape) == 1, do: 1 + 0.1 * number, else: 0.3 * number
    {<<number::float-32-native>>, seed}
  end

  # Each byte is a token, and no two are merged.
  defp tokenizer do
    bytes = for byte <- 0..255, into: %{}, do: {byte_char(byte), byte}

    added =
      for {content, id} <- Enum.with_index(@special, 256) do
        %{
          "id" => id,
          "content" => content,
          "single_word" => false,
          "lstrip" => false,
          "rstrip" => false,
          "normalized" => false,
          "special" => true
        }
      end

    byte_level = %{
      "type" => "ByteLevel",
      "add_prefix_space" => false,
      "trim_offsets" => true,
      "use_regex" => true
    }

    %{
      "version" => "1.0",
      "truncation" => nil,
      "padding" => nil,
      "added_tokens" => added,
      "normalizer" => nil,
      "pre_tokenizer" => byte_level,
      "post_processor" => nil,
      "decoder" => byte_level,
      "model" => %{"type" => "BPE", "vocab" => bytes, "merges" => []}
    }
  end

  # How byte-level vocabularies write a byte: itself where it can be seen, else one of the characters from 256 on, in their order.
  defp byte_char(byte) do
    seen? = &(&1 in 33..126 or &1 in 161..172 or &1 in 174..255)
    hidden = Enum.count(0..byte, &(not seen?.(&1))) - 1
    <<if(seen?.(byte), do: byte, else: 256 + hidden)::utf8>>
  end

  @doc "The JSON of a term."
  def json(map) when is_map(map),
    do: "{#{Enum.map_join(map, ",", fn {key, value} -> "#{json(key)}:#{json(value)}" end)}}"

  def json(list) when is_list(list), do: "[#{Enum.map_join(list, ",", &json/1)}]"
  def json(nil), do: "null"
  def json(text) when is_binary(text), do: "\"#{for <<char::utf8 <- text>>, do: escaped(char)}\""
  def json(other), do: to_string(other)

  defp escaped(char) when char in [?", ?\\], do: <<?\\, char>>
  defp escaped(char) when char < 32, do: :io_lib.format("\\u~4.16.0B", [char])
  defp escaped(char), do: <<char::utf8>>
end
