defmodule Mlx.FilesTest do
  use ExUnit.Case, async: true

  alias Mlx.{Checkpoint, NN, Quantized, Safetensors}

  doctest Mlx.Quantized

  @moduletag :tmp_dir

  defmodule Loops do
    import Nx.Defn

    # Once in a branch and once in a loop.
    defn twice(x, w) do
      x = if Nx.sum(w.scales) > -1.0e9, do: Mlx.Fast.quantized_dot(x, w), else: x

      {_i, x, _w} =
        while {i = 0, x, w}, i < 1 do
          {i + 1, Mlx.Fast.quantized_dot(x, w), w}
        end

      x
    end
  end

  defp close?(a, b, within \\ 1.0e-5),
    do: Nx.subtract(a, b) |> Nx.abs() |> Nx.reduce_max() |> Nx.to_number() <= within

  defp x(shape), do: shape |> Nx.iota(type: :f32) |> Nx.sin()

  test "tensors are those of the backend, and any are written", %{tmp_dir: folder} do
    path = Path.join(folder, "x.safetensors")

    tensors = %{
      "mlx" => Nx.tensor([1, 2], backend: Mlx.Backend),
      "binary" => Nx.tensor([[1.5]], backend: Nx.BinaryBackend),
      "vectors" => Nx.tensor([[1], [2]], backend: Nx.BinaryBackend) |> Nx.vectorize(:rows),
      "number" => 3
    }

    Safetensors.write!(path, tensors)
    read = Safetensors.read!(path)
    assert %Nx.Tensor{data: %Mlx.Backend{}, type: {:s, 32}, shape: {2}} = read["mlx"]
    assert Nx.to_list(Nx.add(read["mlx"], 1)) == [2, 3]
    assert Nx.to_list(read["binary"]) == [[1.5]]
    assert Nx.to_list(read["vectors"]) == [[1], [2]]
    assert Nx.to_number(read["number"]) == 3

    assert_raise ArgumentError, ~r/\[write\] expected a tensor/, fn ->
      Safetensors.write!(path, %{"a" => {1, 2}})
    end
  end

  test "what is read lies in the pages of the file", %{tmp_dir: folder} do
    path = Path.join(folder, "x.safetensors")
    Safetensors.write!(path, %{"a" => Nx.iota({1_000_000}, type: :f32)})
    before = Mlx.Memory.active()
    tensor = Safetensors.read!(path)["a"]
    assert Nx.to_number(tensor[999_999]) == 999_999.0
    assert Mlx.Memory.active() - before < 1_000_000
  end

  test "lazy tensors are containers that defn and to_tensor read", %{tmp_dir: folder} do
    path = Path.join(folder, "x.safetensors")
    Safetensors.write!(path, %{"a" => Nx.tensor([1.0, 2.0]), "b" => Nx.tensor([[3]])})
    assert %{"a" => a, "b" => b} = Safetensors.reader(path)
    assert %Nx.Tensor{data: %Mlx.Backend{}} = Nx.to_tensor(a)
    assert Nx.to_list(Nx.to_tensor(b)) == [[3]]

    for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      double = Nx.Defn.jit(&Nx.multiply(&1, 2), compiler: compiler)
      assert Nx.to_list(double.(a)) == [2.0, 4.0]
    end

    # As Bumblebee tells them from other values.
    assert Nx.LazyContainer.impl_for(a) != Nx.LazyContainer.Any
  end

  describe "Mlx.Quantized" do
    @forms [[], [bits: 8, group_size: 32], [mode: :mxfp4], [mode: :mxfp8], [mode: :nvfp4]]

    test "is taken by products and unpacked, by any compiler, inside and outside of defn" do
      w = x({5, 64})
      a = x({3, 64})

      for form <- @forms do
        quantized = Quantized.quantize(w, form)
        dense = Mlx.Fast.dequantize(quantized)
        assert dense.shape == {5, 64}
        assert Mlx.Fast.dequantize(quantized, dtype: :bf16).type == {:bf, 16}
        wanted = a |> Nx.dot(Nx.transpose(Nx.as_type(dense, :f32)))
        assert close?(Mlx.Fast.quantized_dot(a, quantized), wanted, 1.0e-3)
        square = Mlx.Fast.quantized_dot(x({3, 5}), quantized, transpose: false)
        assert close?(square, Nx.dot(x({3, 5}), Nx.as_type(dense, :f32)), 1.0e-3)

        for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
          product = Nx.Defn.jit(&Mlx.Fast.quantized_dot/2, compiler: compiler)
          assert close?(product.(a, quantized), wanted, 1.0e-3)
          unpack = Nx.Defn.jit(&Mlx.Fast.dequantize/1, compiler: compiler)
          assert close?(unpack.(quantized), dense, 1.0e-3)
          same = Nx.Defn.jit(& &1, compiler: compiler).(quantized)
          assert Quantized.options(same) == Quantized.options(quantized)
          assert same.biases == nil == (quantized.biases == nil)
        end
      end
    end

    test "has a global scale where the mode does" do
      quantized = Quantized.quantize(x({2, 32}), mode: :nvfp4)
      # A quarter of the largest product of scales: 448 · 6.
      scaled = %{quantized | global_scale: Nx.tensor(672.0)}
      dense = Mlx.Fast.dequantize(quantized, dtype: :f32)
      assert close?(Mlx.Fast.dequantize(scaled, dtype: :f32), Nx.divide(dense, 4))
      product = Mlx.Fast.quantized_dot(x({1, 32}), scaled)
      assert close?(product, Nx.divide(Mlx.Fast.quantized_dot(x({1, 32}), quantized), 4), 1.0e-4)
    end

    test "goes through loops, branches, serialization and other backends" do
      square = Quantized.quantize(x({64, 64}))
      once = &Mlx.Fast.quantized_dot(&1, square)
      wanted = x({1, 64}) |> once.() |> once.()

      for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
        answer = Nx.Defn.jit(&Loops.twice/2, compiler: compiler).(x({1, 64}), square)
        assert close?(answer, wanted, 1.0e-3)
      end

      quantized = Quantized.quantize(x({4, 64}))
      binary = Nx.serialize(quantized) |> IO.iodata_to_binary()
      back = Nx.deserialize(binary)
      assert Quantized.options(back) == Quantized.options(quantized)
      assert Nx.to_binary(back.weight) == Nx.to_binary(quantized.weight)
      assert close?(Mlx.Fast.dequantize(back), Mlx.Fast.dequantize(quantized), 0)
      assert %Quantized{} = other = Nx.backend_copy(back, Nx.BinaryBackend)
      assert close?(Mlx.Fast.dequantize(other), Mlx.Fast.dequantize(quantized), 0)
    end

    test "is refused where it does not fit" do
      assert_raise ArgumentError, ~r/\[quantized_dot\] expected a Mlx.Quantized/, fn ->
        Mlx.Fast.quantized_dot(x({1, 64}), x({1, 64}))
      end

      assert_raise ArgumentError, ~r/no options but :dtype/, fn ->
        Mlx.Fast.dequantize(Quantized.quantize(x({1, 64})), bits: 4)
      end
    end

    test "stands for a matrix in the parameters of layers" do
      linear = NN.layer(:linear, input_dims: 64, output_dims: 8)

      model =
        NN.sequential([linear, &NN.relu/1, NN.layer(:linear, input_dims: 8, output_dims: 2)])

      params = NN.init(model, 0)

      {packed_model, packed} =
        NN.quantize(model, params, bits: 4, group_size: 32, only: &(&1 == "layers.0"))

      wanted = NN.call(packed_model, packed, x({3, 64}))
      first = packed["layers"]["0"]
      quantized = Quantized.from_parameters(first, bits: 4, group_size: 32)
      whole = put_in(packed, ["layers", "0"], %{"weight" => quantized, "bias" => first["bias"]})

      # Whether the model says so itself or not.
      for model <- [model, packed_model] do
        assert close?(NN.call(model, whole, x({3, 64})), wanted, 0)
        jitted = Nx.Defn.jit(&NN.call(model, &1, &2), compiler: Mlx.Compiler)
        assert close?(jitted.(whole, x({3, 64})), wanted, 1.0e-5)
        assert {_model, dense} = NN.dequantize(model, whole)
        assert close?(dense["layers"]["0"]["weight"], Mlx.Fast.dequantize(quantized), 0)
      end

      assert NN.Parameters.flatten(whole) |> Map.new(fn {k, t} -> {k, Nx.to_binary(t)} end) ==
               NN.Parameters.flatten(packed) |> Map.new(fn {k, t} -> {k, Nx.to_binary(t)} end)

      assert_raise ArgumentError,
                   ~r/expected a matrix quantized by \[bits: 4, group_size: 32\]/,
                   fn ->
                     other = Quantized.from_parameters(first, bits: 8, group_size: 16)

                     NN.call(
                       packed_model,
                       put_in(whole, ["layers", "0", "weight"], other),
                       x({3, 64})
                     )
                   end
    end

    test "is trained around, and saved as files have it", %{tmp_dir: folder} do
      path = Path.join(folder, "x.safetensors")
      params = %{"q" => %{"weight" => Quantized.quantize(x({4, 64})), "bias" => x({4})}}
      NN.save_weights(params, path)

      File.write!(
        Path.join(folder, "config.json"),
        ~s({"quantization": {"bits": 4, "group_size": 64}})
      )

      assert Map.keys(NN.load_weights(path)["q"]) == ~w(bias biases scales weight)
      File.rename!(path, Path.join(folder, "model.safetensors"))
      read = folder |> Checkpoint.open!() |> Checkpoint.read(quantized: true)
      assert %{"q" => %{"weight" => %Quantized{} = w, "bias" => _}} = NN.Parameters.nest(read)
      assert close?(Mlx.Fast.dequantize(w), Mlx.Fast.dequantize(params["q"]["weight"]), 0)

      layer = NN.layer(:linear, input_dims: 64, output_dims: 4)
      loss = fn params, {x, y} -> NN.Losses.mse_loss(NN.call(layer, params["q"], x), y) end
      batch = {x({8, 64}), Nx.broadcast(1.0, {8, 4})}

      training =
        NN.train(params, loss, [batch],
          optimizer: Mlx.Optimizers.sgd(learning_rate: 0.1),
          progress: false,
          epochs: 3,
          trainable: &String.ends_with?(&1, "bias")
        )

      refute close?(training.params["q"]["bias"], params["q"]["bias"], 1.0e-4)
      assert %Quantized{} = training.params["q"]["weight"]
      assert close?(training.params["q"]["weight"].weight, params["q"]["weight"].weight, 0)
    end
  end
end
