defmodule Mlx.TinyBert do
  @moduledoc """
  A model of embeddings that the tests make: a BERT of two layers with random weights, always the same, and a tokenizer of a few words.
  """

  alias Mlx.TinyModel

  @dims 8
  @inner 20
  @positions 16
  @words ~w([PAD] [UNK] [CLS] [SEP] the cat dog sleep ##s run . un)

  @doc "Writes the model into `folder`; `modules` is what its `modules.json` has, if any."
  def write!(folder, modules \\ nil) do
    File.mkdir_p!(folder)
    write_json!(folder, "config.json", config())
    write_json!(folder, "tokenizer.json", tokenizer())
    if modules, do: write_json!(folder, "modules.json", modules)
    Mlx.Safetensors.write!(Path.join(folder, "model.safetensors"), TinyModel.drawn(shapes()))
    folder
  end

  defp write_json!(folder, name, term),
    do: File.write!(Path.join(folder, name), TinyModel.json(term))

  defp config do
    %{
      "model_type" => "bert",
      "hidden_size" => @dims,
      "num_attention_heads" => 2,
      "intermediate_size" => @inner,
      "num_hidden_layers" => 2,
      "vocab_size" => length(@words),
      "max_position_embeddings" => @positions,
      "type_vocab_size" => 2
    }
  end

  defp shapes do
    embeddings =
      [
        {"embeddings.word_embeddings.weight", {length(@words), @dims}},
        {"embeddings.position_embeddings.weight", {@positions, @dims}},
        {"embeddings.token_type_embeddings.weight", {2, @dims}}
      ] ++ norm("embeddings")

    embeddings ++ Enum.flat_map(0..1, &layer("encoder.layer.#{&1}"))
  end

  defp layer(at) do
    for(part <- ~w(query key value), do: linear("#{at}.attention.self.#{part}", @dims, @dims))
    |> Enum.concat(linear("#{at}.attention.output.dense", @dims, @dims))
    |> Enum.concat(norm("#{at}.attention.output"))
    |> Enum.concat(linear("#{at}.intermediate.dense", @dims, @inner))
    |> Enum.concat(linear("#{at}.output.dense", @inner, @dims))
    |> Enum.concat(norm("#{at}.output"))
    |> List.flatten()
  end

  defp linear(name, inputs, outputs),
    do: [{"#{name}.weight", {outputs, inputs}}, {"#{name}.bias", {outputs}}]

  defp norm(name), do: linear("#{name}.LayerNorm", 1, @dims) |> Enum.map(&vector/1)
  defp vector({name, _shape}), do: {name, {@dims}}

  # Pieces of words, and [CLS] and [SEP] around them.
  defp tokenizer do
    special = &%{"SpecialToken" => %{"id" => &1, "type_id" => 0}}
    sequence = &%{"Sequence" => %{"id" => &1, "type_id" => &2}}
    token = &%{"id" => &1, "ids" => [&2], "tokens" => [&1]}

    %{
      "version" => "1.0",
      "truncation" => nil,
      "padding" => nil,
      "added_tokens" => [],
      "normalizer" => %{
        "type" => "BertNormalizer",
        "clean_text" => true,
        "handle_chinese_chars" => true,
        "strip_accents" => nil,
        "lowercase" => true
      },
      "pre_tokenizer" => %{"type" => "BertPreTokenizer"},
      "post_processor" => %{
        "type" => "TemplateProcessing",
        "single" => [special.("[CLS]"), sequence.("A", 0), special.("[SEP]")],
        "pair" => [sequence.("A", 0), sequence.("B", 1)],
        "special_tokens" => %{"[CLS]" => token.("[CLS]", 2), "[SEP]" => token.("[SEP]", 3)}
      },
      "decoder" => %{"type" => "WordPiece", "prefix" => "##", "cleanup" => true},
      "model" => %{
        "type" => "WordPiece",
        "unk_token" => "[UNK]",
        "continuing_subword_prefix" => "##",
        "max_input_chars_per_word" => 100,
        "vocab" => @words |> Enum.with_index() |> Map.new()
      }
    }
  end
end
