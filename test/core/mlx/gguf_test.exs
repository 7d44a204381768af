defmodule Mlx.GGUFTest do
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.{Checkpoint, GGUF, GgufFiles, Quantized}

  @moduletag :tmp_dir

  @keys [
    {"text", {:text, "é"}},
    {"s8", {:s8, -1}},
    {"u64", {:u64, 0xFFFFFFFFFFFFFFFF}},
    {"f32", {:f32, 1.5}},
    {"f64", {:f64, 1.0e-300}},
    {"nan", {:f32, 0x7FC00000}},
    {"infinite", {:list, {:f32, [0x7F800000, 0xFF800000, 2.0]}}},
    {"bool", {:bool, true}},
    {"empty", {:list, {:u32, []}}},
    {"words", {:list, {:text, ["a", "", "b c"]}}},
    {"flags", {:list, {:bool, [true, false]}}},
    {"naturals", {:list, {:u64, [1, 0xFFFFFFFFFFFFFFFF]}}},
    {"nested", {:list, {:list, [{:s16, [1, -2]}, {:text, ["x"]}]}}}
  ]

  # Q8_0: scales of 0.5 and 2, and the integers -16 to 15.
  defp blocks do
    for scale <- [0.5, 2.0], into: "" do
      <<scale::float-16-little>> <> for(i <- -16..15, into: "", do: <<i>>)
    end
  end

  defp f32(numbers), do: for(n <- numbers, into: "", do: <<n::float-32-little>>)

  defp write!(folder, keys \\ @keys) do
    path = Path.join(folder, "x.gguf")
    tensors = [{"q.weight", 8, {2, 32}, blocks()}, {"norm.weight", 0, {3}, f32([1.0, 2.0, 3.0])}]
    GgufFiles.write!(path, keys, tensors)
    path
  end

  defp elements(tensor), do: tensor |> Mlx.Handle.fetch() |> values()

  test "metadata are terms", %{tmp_dir: folder} do
    file = folder |> write!() |> GGUF.open!()

    wanted = %{
      "text" => "é",
      "s8" => -1,
      "u64" => 0xFFFFFFFFFFFFFFFF,
      "f32" => 1.5,
      "f64" => 1.0e-300,
      "nan" => :nan,
      "infinite" => [:infinity, :neg_infinity, 2.0],
      "bool" => true,
      "empty" => [],
      "words" => ["a", "", "b c"],
      "flags" => [true, false],
      "naturals" => [1, 0xFFFFFFFFFFFFFFFF],
      "nested" => [[1, -2], ["x"]]
    }

    assert GGUF.metadata(file) == wanted
    for {key, value} <- wanted, do: assert(GGUF.metadata(file, key) == value)
    assert GGUF.metadata(file, "none") == nil

    assert_raise ArgumentError, ~r/\[metadata\] expected a key/, fn ->
      GGUF.metadata(file, :text)
    end

    assert_raise ArgumentError, ~r/\[names\] expected a file of/, fn -> GGUF.names("x.gguf") end
  end

  test "blocks become f32, or the same numbers in few bits", %{tmp_dir: folder} do
    path = write!(folder)
    file = GGUF.open!(path)
    assert GGUF.names(file) == ["q.weight", "norm.weight"]

    assert GGUF.info(file)["q.weight"] == %{
             type: {:f, 32},
             shape: {2, 32},
             stored: "Q8_0",
             bytes: 68
           }

    numbers = for(i <- -16..15, do: i * 0.5) ++ for(i <- -16..15, do: i * 2.0)
    assert file |> GGUF.read("q.weight") |> elements() == numbers
    assert %{"norm.weight" => norm} = GGUF.read(file, only: ~r/norm/)
    assert elements(norm) == [1.0, 2.0, 3.0]
    assert path |> Mlx.IO.load() |> Map.keys() == ["norm.weight", "q.weight"]

    assert %{"q.weight" => %Quantized{} = q, "norm.weight" => norm} = GGUF.read_quantized(file)
    assert elements(norm) == [1.0, 2.0, 3.0]
    assert Quantized.options(q) == [mode: :affine, bits: 8, group_size: 32]
    <<words::binary>> = Mlx.Tensor.to_binary(q.weight)
    assert for(<<i <- words>>, do: i - 128) == Enum.concat(-16..15, -16..15)
    assert q.scales.shape == {2, 1}
    assert %Quantized{} = GGUF.read_quantized(file, "q.weight")
    assert file |> GGUF.read_quantized("norm.weight") |> elements() == [1.0, 2.0, 3.0]
    assert file |> GGUF.read_quantized(only: ["norm.weight"]) |> Map.keys() == ["norm.weight"]

    for read <- [&GGUF.read/2, &GGUF.read_quantized/2] do
      message = ~r/^\[\w+\] .*x.gguf has no tensor "q.weights".*nearest is "q.weight"/
      assert_raise ArgumentError, message, fn -> read.(file, "q.weights") end
    end

    # One scale is infinite: there are numbers for it, but no form.
    GgufFiles.write!(path, [], [
      {"q", 8, {1, 32}, <<0x7C00::16-little>> <> binary_part(blocks(), 2, 32)}
    ])

    message = ~r/^\[read_quantized\] .*"q" of Q8_0/

    assert_raise Mlx.UnsupportedError, message, fn ->
      path |> GGUF.open!() |> GGUF.read_quantized("q")
    end
  end

  test "files of other formats, and files cut short, are refused with their names", %{
    tmp_dir: folder
  } do
    path = write!(folder)
    other = Path.join(folder, "x.safetensors")
    Mlx.Safetensors.write!(other, %{})

    assert_raise Mlx.FormatError, ~r/\[open\].*format safetensors, not gguf/, fn ->
      GGUF.open!(other)
    end

    assert_raise Mlx.FormatError, ~r/\[open\].*format gguf, not safetensors/, fn ->
      Mlx.Safetensors.open!(path)
    end

    File.rename!(path, other)

    assert_raise Mlx.FormatError, ~r/\[load\].*format gguf, not safetensors/, fn ->
      Mlx.IO.load(other)
    end

    bytes = File.read!(other)

    for size <- [4, 23, 30, 200, byte_size(bytes) - 64] do
      File.write!(path, binary_part(bytes, 0, size))
      assert_raise Mlx.FormatError, ~r/\[open\] .*x.gguf: /, fn -> GGUF.open!(path) end
    end

    assert_raise ArgumentError, ~r/a path that ends in/, fn -> Mlx.IO.save(path, %{}) end
  end

  test "a checkpoint calls things as others do", %{tmp_dir: folder} do
    path = Path.join(folder, "x.gguf")

    keys = [
      {"general.architecture", {:text, "llama"}},
      {"llama.block_count", {:u32, 1}},
      {"llama.embedding_length", {:u32, 32}},
      {"llama.attention.head_count", {:u32, 1}},
      {"tokenizer.chat_template", {:text, "{{ x }}"}}
    ]

    tensors = [
      {"blk.0.ffn_up.weight", 8, {2, 32}, blocks()},
      {"output_norm.weight", 0, {1}, f32([1.0])}
    ]

    GgufFiles.write!(path, keys, tensors)
    checkpoint = Checkpoint.open!(path)
    assert Checkpoint.format(checkpoint) == "gguf"
    assert %{"hidden_size" => 32, "num_hidden_layers" => 1} = Checkpoint.config(checkpoint)
    assert Checkpoint.chat_template(checkpoint) == "{{ x }}"
    layer = "model.layers.0.mlp.up_proj"
    assert Checkpoint.quantization(checkpoint, layer) == [mode: :affine, bits: 8, group_size: 32]
    whole = Checkpoint.read(checkpoint, quantized: true)
    assert Map.keys(whole) == ["model.layers.0.mlp.up_proj.weight", "model.norm.weight"]
    quantized = whole["#{layer}.weight"]
    own = path |> GGUF.open!() |> GGUF.read_quantized("blk.0.ffn_up.weight")

    for part <- [:weight, :scales, :biases] do
      assert Mlx.Tensor.to_binary(Map.get(quantized, part)) ==
               Mlx.Tensor.to_binary(Map.get(own, part))
    end

    assert Quantized.options(own) == Quantized.options(quantized)
  end
end
