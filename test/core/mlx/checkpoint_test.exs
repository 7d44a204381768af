defmodule Mlx.CheckpointTest do
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.{Checkpoint, Quantized, Safetensors}

  @moduletag :tmp_dir

  defp elements(tensor), do: tensor |> Mlx.Handle.fetch() |> values()

  defp words(shape),
    do: Mlx.Tensor.from_binary(:binary.copy(<<0>>, 4 * Tuple.product(shape)), {:u, 32}, shape)

  # A model of one quantized layer and one that is not.
  defp model!(folder, config \\ %{}) do
    tensors = %{
      "model.q.weight" => words({4, 8}),
      "model.q.scales" => tensor([1, 2, 3, 4]),
      "model.q.biases" => tensor([5, 6, 7, 8]),
      "model.norm.weight" => tensor([1, 1])
    }

    reshaped =
      for name <- ["scales", "biases"], into: %{} do
        binary = Mlx.Tensor.to_binary(tensors["model.q.#{name}"])
        {"model.q.#{name}", Mlx.Tensor.from_binary(binary, {:f, 32}, {4, 1})}
      end

    Safetensors.write!(Path.join(folder, "model.safetensors"), Map.merge(tensors, reshaped))
    settings = ~s({"bits": 4, "group_size": 64})

    json =
      config["json"] || ~s({"hidden_size": 2, "names": ["a", null], "quantization": #{settings}})

    File.write!(Path.join(folder, "config.json"), json)
    Checkpoint.open!(folder)
  end

  test "a folder tells its settings and tensors", %{tmp_dir: folder} do
    checkpoint = model!(folder)
    assert Checkpoint.format(checkpoint) == "folder"

    assert Checkpoint.config(checkpoint) == %{
             "hidden_size" => 2,
             "names" => ["a", nil],
             "quantization" => %{"bits" => 4, "group_size" => 64}
           }

    assert Checkpoint.names(checkpoint) ==
             ~w(model.norm.weight model.q.biases model.q.scales model.q.weight)

    assert Checkpoint.info(checkpoint)["model.q.weight"] ==
             %{type: {:u, 32}, shape: {4, 8}, stored: "u32", bytes: 128}

    assert Checkpoint.quantization(checkpoint, "model.q") == [
             mode: :affine,
             bits: 4,
             group_size: 64
           ]

    assert Checkpoint.quantization(checkpoint, "model.norm") == nil
    assert Checkpoint.chat_template(checkpoint) == nil
    File.write!(Path.join(folder, "chat_template.jinja"), "{{ x }}")
    assert Checkpoint.chat_template(Checkpoint.open!(folder)) == "{{ x }}"
    assert checkpoint |> Checkpoint.read("model.norm.weight") |> elements() == [1.0, 1.0]

    assert_raise ArgumentError, ~r/\[read\].*nearest is "model.norm.weight"/, fn ->
      Checkpoint.read(checkpoint, "model.norm.weights")
    end
  end

  test "quantized matrices are read whole, by the name of the words", %{tmp_dir: folder} do
    checkpoint = model!(folder)
    plain = Checkpoint.read(checkpoint)
    assert map_size(plain) == 4
    assert Checkpoint.read(checkpoint, quantized: false) |> Map.keys() == Map.keys(plain)

    whole = Checkpoint.read(checkpoint, quantized: true)
    assert Map.keys(whole) == ["model.norm.weight", "model.q.weight"]
    assert %Quantized{mode: :affine, bits: 4, group_size: 64} = matrix = whole["model.q.weight"]
    assert {matrix.weight.type, matrix.global_scale} == {{:u, 32}, nil}
    assert elements(matrix.scales) == [1.0, 2.0, 3.0, 4.0]
    assert elements(matrix.biases) == [5.0, 6.0, 7.0, 8.0]

    only = &(checkpoint |> Checkpoint.read(quantized: true, only: &1) |> Map.keys())
    assert only.(["model.q.weight"]) == ["model.q.weight"]
    assert only.(~r/scales/) == ["model.q.scales"]
    assert only.(fn _ -> false end) == []

    parameters = Quantized.to_parameters(matrix)
    assert Map.keys(parameters) == ["biases", "scales", "weight"]
    assert Quantized.from_parameters(parameters, Quantized.options(matrix)) == matrix
    assert Quantized.from_parameters(parameters, mode: "mxfp8").group_size == 32

    for {bad, text} <- [
          {[quantized: 1], ":quantized to be"},
          {[quantized: true, lazy: true], "one of"}
        ] do
      assert_raise ArgumentError, ~r/\[read\].*#{text}/, fn ->
        Checkpoint.read(checkpoint, bad)
      end
    end

    assert_raise ArgumentError, ~r/"weight" and "scales"/, fn ->
      Quantized.from_parameters(%{})
    end

    assert_raise ArgumentError, ~r/:mode to be one of/, fn ->
      Quantized.from_parameters(parameters, mode: :q4)
    end
  end

  test "what contradicts itself is refused with its name", %{tmp_dir: folder} do
    checkpoint =
      model!(folder, %{"json" => ~s({"quantization": {"model.q": {"bits": 8, "group_size": 64}}})})

    message = ~r/\[quantization\] .*"model.q".* 8 bits/

    assert_raise Mlx.FormatError, message, fn ->
      Checkpoint.quantization(checkpoint, "model.q")
    end

    assert_raise Mlx.FormatError, ~r/\[read\]/, fn ->
      Checkpoint.read(checkpoint, quantized: true)
    end

    for json <- ["[1]", "{", String.duplicate(~s({"a":), 1000)] do
      File.write!(Path.join(folder, "config.json"), json)
      assert_raise Mlx.FormatError, ~r/\[open\] .*config.json/, fn -> Checkpoint.open!(folder) end
    end

    assert_raise File.Error, ~r/none/, fn -> Checkpoint.open!(Path.join(folder, "none")) end

    assert_raise ArgumentError, ~r/:requantize to be/, fn ->
      Checkpoint.open!(folder, requantize: 1)
    end

    assert_raise ArgumentError, ~r/\[config\] expected a checkpoint/, fn ->
      Checkpoint.config(folder)
    end

    assert_raise ArgumentError, ~r/name of a layer/, fn ->
      Checkpoint.quantization(checkpoint, <<255>>)
    end
  end

  test "an adapter is its settings and tensors", %{tmp_dir: folder} do
    settings = ~s({"fine_tune_type": "lora", "lora_parameters": {"scale": 2.5}})
    File.write!(Path.join(folder, "adapter_config.json"), settings)
    Safetensors.write!(Path.join(folder, "adapters.safetensors"), %{"q.lora_a" => tensor([1])})
    adapter = Checkpoint.read_adapter!(folder)
    assert {adapter.kind, adapter.scale, adapter.config["fine_tune_type"]} == {:lora, 2.5, "lora"}
    assert elements(adapter.tensors["q.lora_a"]) == [1.0]

    File.write!(Path.join(folder, "adapter_config.json"), ~s({"fine_tune_type": "magic"}))

    assert_raise Mlx.FormatError, ~r/\[read_adapter\].*magic/, fn ->
      Checkpoint.read_adapter!(folder)
    end

    assert_raise File.Error, fn -> Checkpoint.read_adapter!(Path.join(folder, "none")) end
  end
end
