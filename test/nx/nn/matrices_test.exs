defmodule Mlx.NN.MatricesTest do
  # Quantized matrices, changes of low rank, and tables of parameters.
  use ExUnit.Case, async: true

  alias Mlx.{NN, Optimizers}
  alias Mlx.NN.Parameters

  @linear NN.layer(:linear, input_dims: 64, output_dims: 8)
  @encoder NN.layer(:transformer_encoder, num_layers: 2, dims: 32, num_heads: 2)

  defp x(shape), do: Nx.Random.key(5) |> Nx.Random.normal(shape: shape) |> elem(0)
  defp names(params), do: for({name, _} <- Parameters.flatten(params), do: name)

  defp close?(a, b, tolerance) do
    Nx.subtract(a, b) |> Nx.abs() |> Nx.reduce_max() |> Nx.to_number() < tolerance
  end

  # Parameters with a change that is not zero.
  defp changed(params) do
    tensors =
      for {name, tensor} <- Parameters.flatten(params) do
        if String.ends_with?(name, "lora_b"),
          do: Nx.divide(Nx.iota(tensor.shape, type: :f32), 100),
          else: tensor
      end

    Parameters.rebuild(params, tensors)
  end

  describe "quantize" do
    test "answers what the packed matrix stands for" do
      params = NN.init(@linear, 0)
      {model, packed} = NN.quantize(@linear, params, bits: 8, group_size: 32)
      assert names(packed) == ["bias", "biases", "scales", "weight"]
      assert {packed["weight"].type, packed["weight"].shape} == {{:u, 32}, {8, 16}}

      {words, scales, biases} = Mlx.Fast.quantize(params["weight"], bits: 8, group_size: 32)
      assert Nx.to_binary(packed["weight"]) == Nx.to_binary(words)
      weight = Mlx.Fast.dequantize(words, scales, biases: biases, bits: 8, group_size: 32)

      x = x({3, 64})
      wanted = x |> Nx.dot(Nx.transpose(weight)) |> Nx.add(params["bias"])
      assert close?(NN.call(model, packed, x), wanted, 1.0e-5)
      assert close?(NN.call(model, packed, x), NN.call(@linear, params, x), 0.02)

      assert {@linear, dense} = NN.dequantize(model, packed)
      assert close?(dense["weight"], weight, 1.0e-6)
      assert inspect(model) =~ ~r/linear .*quantization: \[bits: 8, group_size: 32\]/
    end

    test "takes the layers that are meant, by their names, in models of any form" do
      model = %{
        table: NN.layer(:embedding, num_embeddings: 10, dims: 32),
        rest: [NN.sequential([@encoder, &NN.relu/1]), {NN.layer(:layer_norm, dims: 32)}],
        head: NN.layer(:linear, input_dims: 32, output_dims: 4)
      }

      params = NN.init(model, 1)
      {:ok, seen} = Agent.start_link(fn -> [] end)

      only = fn name ->
        Agent.update(seen, &[name | &1])
        name == "table" or String.ends_with?(name, "linear1")
      end

      {quantized, packed} = NN.quantize(model, params, group_size: 32, only: only)

      inner =
        for i <- 0..1, part <- ~w(attention.query_proj attention.key_proj), do: "#{i}.#{part}"

      for name <- ["table", "head" | Enum.map(inner, &"rest.0.layers.0.layers.#{&1}")],
          do: assert(name in Agent.get(seen, & &1))

      words = for {name, %{type: {:u, 32}}} <- Parameters.flatten(packed), do: name

      assert words ==
               for(i <- 0..1, do: "rest.0.layers.0.layers.#{i}.linear1.weight") ++
                 ["table.weight"]

      # Those that are quantized stay, the others come beside them.
      {all, more} = NN.quantize(quantized, packed, group_size: 32)
      assert more["table"] == packed["table"]
      assert more["head"]["weight"].type == {:u, 32}
      assert {^all, _} = NN.quantize(all, more, bits: 8)

      x = x({2, 5, 32})
      [first, _] = all.rest
      before = NN.call(hd(model.rest), params["rest"]["0"], x)
      assert close?(NN.call(first, more["rest"]["0"], x), before, 1.5)
      refute close?(NN.call(first, more["rest"]["0"], x), before, 1.0e-6)
      assert NN.call(all.table, more["table"], Nx.tensor([3, 4])).shape == {2, 32}
      assert NN.call(all.table, more["table"], x({1, 32}), method: "as_linear").shape == {1, 10}

      assert {^model, dense} = NN.dequantize(all, more)
      assert names(dense) == names(params)
      assert names(NN.init(all, 2)) == names(more)
    end

    test "goes into files and back, and into any compiler, with gradients by what is in" do
      {model, params} = NN.quantize(@linear, NN.init(@linear, 0), mode: :mxfp8)

      path =
        Path.join(System.tmp_dir!(), "matrices_#{System.unique_integer([:positive])}.safetensors")

      NN.save_weights(params, path)
      loaded = NN.load_weights(path)
      File.rm!(path)
      x = x({2, 64})
      wanted = NN.call(model, params, x)
      assert Nx.to_binary(NN.call(model, loaded, x)) == Nx.to_binary(wanted)

      for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
        answer = Nx.Defn.jit(&NN.call(model, &1, &2), compiler: compiler).(loaded, x)
        assert close?(answer, wanted, 1.0e-5)
        slope = fn params, x -> Nx.Defn.grad(x, &Nx.sum(NN.call(model, params, &1))) end
        by_x = Nx.Defn.jit(slope, compiler: compiler).(loaded, x)
        {_, dense} = NN.dequantize(model, loaded)
        assert close?(by_x[0], Nx.sum(dense["weight"], axes: [0]), 1.0e-4)
      end
    end

    test "refuses what does not fit, with the layer's name" do
      model = NN.sequential([NN.layer(:linear, input_dims: 6, output_dims: 2)])
      params = NN.init(model, 0)

      assert_raise ArgumentError, ~r/the layer layers.0: .*6.*leave it out/, fn ->
        NN.quantize(model, params)
      end

      linear = NN.init(@linear, 0)

      assert_raise ArgumentError, ~r/no attribute rank/, fn ->
        NN.quantize(@linear, linear, rank: 1)
      end

      assert_raise ArgumentError, ~r/bits/, fn -> NN.quantize(@linear, linear, bits: 7) end

      assert_raise ArgumentError, ~r/mode is "song"/, fn ->
        NN.quantize(@linear, linear, mode: :song)
      end

      assert_raise ArgumentError, ~r/:only/, fn -> NN.quantize(@linear, linear, only: "head") end
      assert_raise ArgumentError, ~r/keyword/, fn -> NN.quantize(@linear, linear, 4) end

      assert_raise ArgumentError, ~r/no options but :only/, fn ->
        NN.dequantize(@linear, linear, bits: 4)
      end

      assert_raise ArgumentError, ~r/a model/, fn -> NN.quantize(:linear, linear) end

      assert_raise ArgumentError, ~r/a map of parameters/, fn ->
        NN.quantize(@linear, Nx.tensor(1))
      end

      assert_raise ArgumentError, ~r/missing: weight/, fn -> NN.quantize(@linear, %{}) end

      {packed, _} = NN.quantize(@linear, linear)
      assert_raise ArgumentError, ~r/scales/, fn -> NN.call(packed, linear, x({1, 64})) end

      assert_raise Mlx.UnsupportedError, ~r/no such layer/, fn ->
        NN.quantize(NN.layer(:lenear), %{})
      end
    end
  end

  describe "to_lora and to_dora" do
    test "begin as the model, and are what they say once they are not zero" do
      params = NN.init(@linear, 0)
      x = x({3, 64})

      for {to, kind} <- [{&NN.to_lora/3, :lora}, {&NN.to_dora/3, :dora}] do
        {model, with_change} = to.(@linear, params, rank: 2, scale: 3.0)
        assert with_change["lora_a"].shape == {64, 2}
        assert close?(NN.call(model, with_change, x), NN.call(@linear, params, x), 1.0e-5)

        with_change = changed(with_change)
        %{"lora_a" => a, "lora_b" => b, "weight" => weight} = with_change
        weight = a |> Nx.dot(b) |> Nx.transpose() |> Nx.multiply(3) |> Nx.add(weight)
        length = &Nx.sqrt(Nx.sum(Nx.pow(&1, 2), axes: [1], keep_axes: true))

        weight =
          if kind == :dora,
            do: weight |> Nx.divide(length.(weight)) |> Nx.multiply(length.(params["weight"])),
            else: weight

        wanted = x |> Nx.dot(Nx.transpose(weight)) |> Nx.add(params["bias"])
        assert close?(NN.call(model, with_change, x), wanted, 1.0e-4), "#{kind}"

        assert {@linear, fused} = NN.fuse(model, with_change)
        assert names(fused) == ["bias", "weight"]
        assert close?(fused["weight"], weight, 1.0e-5), "#{kind}"
      end
    end

    test "stand beside quantized matrices, which stay quantized" do
      {quantized, packed} = NN.quantize(@linear, NN.init(@linear, 0), bits: 8)
      {model, params} = NN.to_lora(quantized, packed, rank: 2)
      assert Nx.to_binary(params["weight"]) == Nx.to_binary(packed["weight"])
      params = changed(params)
      {fused, again} = NN.fuse(model, params)
      assert fused == quantized
      assert names(again) == names(packed)
      x = x({3, 64})
      wanted = NN.call(model, params, x)

      assert close?(
               NN.call(fused, again, x),
               wanted,
               0.01 * Nx.to_number(Nx.reduce_max(Nx.abs(wanted)))
             )

      # Dense ones, with the change still beside them.
      {dense, params} = NN.dequantize(model, params)
      assert "lora_a" in names(params)
      assert close?(NN.call(dense, params, x), wanted, 1.0e-3)
    end

    test "layers have changes of their own, which the key says again" do
      model = [@linear, @linear, @encoder]

      draw = fn key ->
        {_, params} = NN.to_lora(model, NN.init(model, 0), key: key)

        for {name, tensor} <- Parameters.flatten(params),
            NN.adapter?(name),
            do: {name, Nx.to_binary(tensor)}
      end

      drawn = for {name, bytes} <- draw.(1), String.ends_with?(name, "lora_a"), do: bytes
      assert length(drawn) == 14
      assert length(Enum.uniq(drawn)) == 14
      assert draw.(1) == draw.(Nx.Random.key(1))
      assert draw.(1) != draw.(2)
    end

    test "are refused where there is one, and with options that there are not" do
      model = [@linear]
      params = NN.init(model, 0)
      {changed, with_change} = NN.to_lora(model, params)

      for to <- [&NN.to_lora/3, &NN.to_dora/3] do
        assert_raise ArgumentError, ~r/the layer 0 has a change of low rank already/, fn ->
          to.(changed, with_change, [])
        end

        assert_raise ArgumentError, ~r/rank is 0/, fn -> to.(model, params, rank: 0) end
        assert_raise ArgumentError, ~r/no attribute bits/, fn -> to.(model, params, bits: 4) end

        assert_raise ArgumentError, ~r/a key of Nx.Random/, fn ->
          to.(model, params, key: "one")
        end
      end
    end
  end

  test "only the changes are trained where that is asked for" do
    x = x({32, 64})
    y = Nx.dot(x, x({64, 8}))
    {model, params} = NN.quantize(@linear, NN.init(@linear, 0), bits: 4)
    {model, params} = NN.to_lora(model, params, rank: 8, scale: 2.0)
    loss = fn params, {x, y} -> NN.Losses.mse_loss(NN.call(model, params, x), y) end

    training =
      NN.train(params, loss, [{x, y}],
        optimizer: Optimizers.adam(learning_rate: 0.02),
        trainable: &NN.adapter?/1,
        epochs: 150,
        progress: false
      )

    [first | _] = training.history
    assert List.last(training.history).loss < first.loss / 4

    for {name, tensor} <- Parameters.flatten(training.params) do
      same? = Nx.to_binary(tensor) == Nx.to_binary(params[name])
      assert same? == not NN.adapter?(name), name
    end

    assert names(training.state) == ~w(learning_rate lora_a.m lora_a.v lora_b.m lora_b.v step)
    {_, fused} = NN.fuse(model, training.params)
    assert names(fused) == ~w(bias biases scales weight)
  end

  test "a table tells what is trained" do
    {_, params} = NN.to_lora(@linear, NN.init(@linear, 0), rank: 2)

    {_, params} =
      NN.quantize(NN.to_lora(@linear, NN.init(@linear, 0), rank: 2) |> elem(0), params)

    params = Map.put(params, "running_mean", Nx.tensor([0.0]))

    trained = fn options ->
      for line <- String.split(NN.summary(params, options), "\n"),
          line =~ " yes ",
          do: hd(String.split(line))
    end

    assert trained.([]) == ~w(bias biases lora_a lora_b scales)
    assert trained.(trainable: &NN.adapter?/1) == ~w(lora_a lora_b)
    assert trained.(trainable: fn _name, tensor -> Nx.rank(tensor) == 1 end) == ~w(bias)
    assert NN.summary({Nx.tensor([1.0]), Nx.tensor(2)}) =~ ~r/^total +1 of 2 +8$/m
    assert_raise ArgumentError, ~r/:trainable/, fn -> NN.summary(params, trainable: "bias") end
    assert_raise ArgumentError, ~r/no options but/, fn -> NN.summary(params, frozen: []) end
  end
end
