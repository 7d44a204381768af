defmodule Mlx.NN.WeightsTest do
  use ExUnit.Case, async: true

  alias Mlx.NN

  @moduletag :tmp_dir

  test "weights of every type come back under their names", %{tmp_dir: folder} do
    path = Path.join(folder, "model.safetensors")

    params = %{
      "layers" =>
        for(type <- Mlx.Dtype.all(), into: %{}, do: {inspect(type), Nx.iota({2, 3}, type: type)}),
      "head" => %{"weight" => Nx.backend_copy(Nx.tensor([1.5]), Nx.BinaryBackend)}
    }

    assert NN.save_weights(params, path, %{"format" => "mlx"}) == :ok
    read = NN.load_weights(path)

    assert NN.Parameters.flatten(read) |> Enum.map(&elem(&1, 0)) ==
             NN.Parameters.flatten(params) |> Enum.map(&elem(&1, 0))

    for {{_, a}, {_, b}} <- Enum.zip(NN.Parameters.flatten(read), NN.Parameters.flatten(params)) do
      assert {a.type, a.shape, Nx.to_binary(a)} == {b.type, b.shape, Nx.to_binary(b)}
    end

    assert File.ls!(folder) == ["model.safetensors"]
  end

  test "a file that can't be written or read is named", %{tmp_dir: folder} do
    params = %{"x" => Nx.tensor(1)}
    none = Path.join([folder, "none", "x.safetensors"])
    assert_raise File.Error, ~r/none/, fn -> NN.save_weights(params, none) end
    assert_raise File.Error, ~r/none/, fn -> NN.load_weights(none) end
    path = Path.join(folder, "x.safetensors")
    File.write!(path, "no tensors")

    assert_raise Mlx.FormatError, ~r/\[load_weights\] .*x.safetensors: /, fn ->
      NN.load_weights(path)
    end

    # The file is right, but no nested map has both of its names.
    Mlx.Safetensors.write!(path, [{"a.b", Nx.tensor(1)}, {"a", Nx.tensor(2)}])

    assert_raise Mlx.FormatError, ~r/x.safetensors.* can't stand beside another tensor/, fn ->
      NN.load_weights(path)
    end

    assert_raise ArgumentError, fn -> NN.load_weights(:model) end
    assert_raise ArgumentError, fn -> NN.save_weights([1], path) end
    assert_raise ArgumentError, fn -> NN.save_weights(Nx.tensor(1), path) end

    assert_raise Mlx.UnsupportedError, ~r/"__metadata__": the format keeps that name/, fn ->
      NN.save_weights(%{"__metadata__" => Nx.tensor(1)}, path)
    end
  end
end
