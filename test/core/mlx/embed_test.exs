if reason = Mlx.TinyModel.missing(), do: IO.puts("Mlx.EmbedTest is skipped: #{reason}")

defmodule Mlx.EmbedTest do
  # It counts bytes of the whole VM.
  use ExUnit.Case, async: false

  import Mlx.Handles, only: [eventually: 1, settled_memory: 0, values: 1]
  alias Mlx.{LLM, TinyBert, TinyModel}

  if reason = TinyModel.missing() do
    @moduletag skip: reason
  end

  @mlxnx Path.join(System.get_env("MLXNX_BUILD", "build"), "bin/mlxnx")
  @texts ["The cat sleeps.", "dogs run", "the dog runs, and the cat.", "dogs run"]

  setup_all do
    folder = Path.join(System.tmp_dir!(), "mlx_embed_#{System.unique_integer([:positive])}")
    on_exit(fn -> File.rm_rf!(folder) end)
    bert = folder |> Path.join("bert") |> TinyBert.write!() |> LLM.load_embedder!()
    llama = folder |> Path.join("llama") |> TinyModel.write!() |> LLM.load_embedder!()
    LLM.embed(bert, @texts, batch_size: 1)
    %{folder: folder, bert: bert, llama: llama}
  end

  defp rows(tensor) do
    {_count, size} = tensor.shape
    tensor |> Mlx.Tensor.ref!("test") |> values() |> Enum.chunk_every(size)
  end

  defp length_of(row), do: row |> Enum.map(&(&1 * &1)) |> Enum.sum() |> :math.sqrt()

  defp assert_near(some, others) do
    assert length(some) == length(others)

    for {one, other} <- Enum.zip(some, others), {a, b} <- Enum.zip(one, other) do
      assert_in_delta a, b, 1.0e-5
    end
  end

  test "models say how texts become vectors", %{folder: folder, bert: bert, llama: llama} do
    assert {bert.pooling, bert.normalize, bert.max_length} == {:mean, true, 16}
    assert {llama.pooling, llama.normalize, llama.max_length} == {:last, true, 100_000}
    pooling = %{"idx" => 1, "name" => "1", "path" => "1_Pooling", "type" => "x.Pooling"}
    path = TinyBert.write!(Path.join(folder, "cls"), [pooling])
    File.mkdir_p!(Path.join(path, "1_Pooling"))
    settings = TinyModel.json(%{"pooling_mode_cls_token" => true})
    File.write!(Path.join(path, "1_Pooling/config.json"), settings)
    cls = LLM.load_embedder!(path)
    assert {cls.pooling, cls.normalize} == {:cls, false}
    same = LLM.embed(bert, @texts, pooling: :cls, normalize: false)
    assert rows(LLM.embed(cls, @texts)) == rows(same)
  end

  test "a vector for each text, in their order", %{bert: bert, llama: llama} do
    for {model, size} <- [{bert, 8}, {llama, 32}] do
      vectors = LLM.embed(model, @texts)
      assert vectors.shape == {4, size}
      assert vectors.type == {:f, 32}
      rows = rows(vectors)
      assert_near([Enum.at(rows, 1)], [Enum.at(rows, 3)])
      for row <- rows, do: assert_in_delta(length_of(row), 1, 1.0e-5)
      assert_near(rows, rows(LLM.embed(model, @texts, batch_size: 1)))
      alone = for text <- @texts, do: hd(rows(LLM.embed(model, [text], pooling: nil)))
      assert_near(rows, alone)
    end
  end

  test "options change what is taken", %{bert: bert} do
    poolings = for kind <- [:mean, :cls, :last], do: rows(LLM.embed(bert, @texts, pooling: kind))
    assert length(Enum.uniq(poolings)) == 3
    raw = rows(LLM.embed(bert, @texts, normalize: false))
    assert Enum.any?(raw, &(abs(length_of(&1) - 1) > 0.01))
    scaled = for row <- raw, do: Enum.map(row, &(&1 / length_of(row)))
    assert_near(scaled, hd(poolings))
  end

  test "texts are cut where the model or the caller ends them", %{bert: bert} do
    long = ["the cat " |> List.duplicate(100) |> Enum.join()]
    # [CLS], 14 words, [SEP]
    cut = ["the cat " |> List.duplicate(7) |> Enum.join()]
    assert rows(LLM.embed(bert, long)) == rows(LLM.embed(bert, cut))
    two = rows(LLM.embed(bert, ["the cat"]))
    assert rows(LLM.embed(bert, long, max_length: 4)) == two

    assert_raise ArgumentError, ~r/\[embed\] max_length is 17, and the model has 16/, fn ->
      LLM.embed(bert, long, max_length: 17)
    end
  end

  test "texts without tokens are zeros", %{llama: llama, bert: bert} do
    assert [[zero | _] = zeros, other] = rows(LLM.embed(llama, ["", "a"]))
    assert zero == 0.0 and Enum.uniq(zeros) == [0.0]
    assert_in_delta length_of(other), 1, 1.0e-5
    # [CLS] and [SEP] are there.
    assert [row] = rows(LLM.embed(bert, [""]))
    assert_in_delta length_of(row), 1, 1.0e-5
  end

  if not File.exists?(@mlxnx), do: @tag(skip: "there is no #{@mlxnx}")

  test "vectors are those of mlxnx embed", %{folder: folder, bert: bert, llama: llama} do
    file = Path.join(folder, "vectors.safetensors")

    for {model, options, flags} <- [
          {bert, [], []},
          {bert, [pooling: :last, normalize: false, max_length: 5, batch_size: 2],
           ~w(--pooling last --no-normalize --max-length 5 --batch-size 2)},
          {llama, [pooling: :mean], ~w(--pooling mean)}
        ] do
      arguments = ["embed", model.path, "-o", file] ++ flags ++ @texts
      {_, 0} = System.cmd(@mlxnx, arguments, stderr_to_stdout: true)
      wanted = Mlx.Safetensors.read!(file)["embeddings"]
      assert rows(LLM.embed(model, @texts, options)) == rows(wanted)
    end
  end

  test "bad input is refused", %{folder: folder, bert: bert} do
    for {texts, options, message} <- [
          {"a text", [], "[embed] expected a list of texts, got: \"a text\""},
          {nil, [], "[embed] expected a list of texts"},
          {["a" | "b"], [], "[embed] expected a list"},
          {[], [], "[embed] there is no text"},
          {["a", :b], [], "[embed] expected a text, got b"},
          {["a", ~c"b"], [], "[embed] expected a text, got \"b\""},
          {["a", <<"the ", 255>>], [], "UTF-8"},
          {["a"], [poling: :mean],
           "[embed] there is no option :poling; the nearest is \"pooling\""},
          {["a"], [pooling: :max], "[embed] :pooling: expected mean, cls or last, got max"},
          {["a"], [pooling: "mean"], "[embed] :pooling: expected mean, cls or last"},
          {["a"], [normalize: 1], "[embed] :normalize: expected a boolean"},
          {["a"], [batch_size: 0], "[embed] batch_size is 0"},
          {["a"], [max_length: 0], "max_length 0"},
          {["a"], [max_length: 1.5], "[embed] :max_length: expected an integer"},
          {["the cat"], [max_length: 1], "puts 2 tokens around each text"},
          {["a"], %{}, "[embed] expected a list of options"}
        ] do
      error = assert_raise ArgumentError, fn -> LLM.embed(bert, texts, options) end
      assert error.message =~ message
    end

    language_model = LLM.load!(Path.join(folder, "llama"))

    for other <- [language_model, nil, bert.ref] do
      assert_raise ArgumentError, ~r/\[embed\] expected a model of Mlx.LLM.load_embedder!/, fn ->
        LLM.embed(other, ["a"])
      end
    end

    assert_raise ArgumentError, ~r/\[generate\] expected a language model/, fn ->
      LLM.generate(bert, "a")
    end
  end

  test "what is no model of embeddings is refused", %{folder: folder, bert: bert} do
    path = TinyModel.write!(Path.join(folder, "unknown"), %{"model_type" => "llamma"})

    assert_raise Mlx.UnsupportedError, ~r/\[load_embedder\].*llamma/, fn ->
      LLM.load_embedder!(path)
    end

    dense = %{"idx" => 2, "name" => "2", "path" => "2_Dense", "type" => "x.Dense"}
    path = TinyBert.write!(Path.join(folder, "dense"), [dense])

    assert_raise Mlx.UnsupportedError, ~r/\[load_embedder\].*Dense/, fn ->
      LLM.load_embedder!(path)
    end

    # An encoder writes no texts.
    assert_raise Mlx.UnsupportedError, ~r/\[load\].*bert/, fn -> LLM.load!(bert.path) end
    assert_raise Mlx.UnsupportedError, fn -> LLM.load_embedder!(bert.path, adapter: path) end
    assert_raise File.Error, fn -> LLM.load_embedder!("./none") end

    assert_raise ArgumentError, ~r/\[load_embedder\] expected no options but/, fn ->
      LLM.load_embedder!(bert.path, pooling: :cls)
    end
  end

  test "processes share a model", %{bert: bert} do
    alone = rows(LLM.embed(bert, @texts))
    ask = fn _ -> rows(LLM.embed(bert, @texts)) end
    all = Task.async_stream(1..12, ask, max_concurrency: 6, timeout: 60_000)
    for {:ok, rows} <- all, do: assert(rows == alone)
  end

  test "a killed process ends the work and frees what it took", %{llama: llama} do
    text = String.duplicate("a", 2000)
    LLM.embed(llama, [text])
    before = settled_memory()
    # Minutes of work, one text at a time.
    pid = spawn(fn -> LLM.embed(llama, List.duplicate(text, 10_000), batch_size: 1) end)
    assert eventually(fn -> Mlx.Memory.active() != before end)
    Process.exit(pid, :kill)
    # Less is what others held, whose processes had ended before.
    assert eventually(fn -> Process.sleep(200) && settled_memory() <= before end)
    # Nothing goes on.
    for _ <- 1..20, do: assert(Process.sleep(10) && Mlx.Memory.active() <= before)
  end
end
