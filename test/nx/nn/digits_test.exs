defmodule Mlx.NN.DigitsTest do
  # Learns to read scikit-learn's handwritten digits, which the build fetches, as native/examples/digits.cpp does.
  use ExUnit.Case, async: true

  alias Mlx.{NN, Optimizers}

  @file_name Path.join(System.get_env("MLXNX_BUILD", "build"), "deps/digits.csv")
  if not File.exists?(@file_name),
    do: @moduletag(skip: "#{@file_name} is not there: the images can't be had")

  @moduletag timeout: 300_000

  defp images do
    rows =
      for line <- File.stream!(@file_name),
          do:
            line
            |> String.trim()
            |> String.split(",")
            |> Enum.map(&(&1 |> Float.parse() |> elem(0)))

    {held_out, learned} =
      rows |> Enum.with_index() |> Enum.split_with(fn {_, i} -> rem(i, 5) == 4 end)

    {tensors(learned), tensors(held_out)}
  end

  defp tensors(rows) do
    {shades, digits} = rows |> Enum.map(fn {row, _} -> Enum.split(row, 64) end) |> Enum.unzip()
    x = shades |> Nx.tensor(type: :f32) |> Nx.divide(16) |> Nx.reshape({:auto, 8, 8, 1})
    {x, digits |> List.flatten() |> Nx.tensor() |> Nx.as_type(:s32)}
  end

  # Other batches in each epoch.
  defp batches({x, y}, epoch) do
    {order, _} = Nx.Random.shuffle(Nx.Random.key(epoch), Nx.iota({Nx.axis_size(x, 0)}))

    for at <- 0..(Nx.axis_size(x, 0) - 64)//64 do
      chosen = order[at..(at + 63)]
      {Nx.take(x, chosen), Nx.take(y, chosen)}
    end
  end

  defp learn(model, {learned, {x, y}}) do
    loss = fn params, {x, y}, key ->
      {noise, _} = Nx.Random.normal(key, 0.0, 0.2, shape: x.shape)
      NN.Losses.cross_entropy(NN.call(model, params, Nx.add(x, noise)), y, reduction: :mean)
    end

    accuracy =
      Nx.Defn.jit(
        fn params -> Nx.mean(Nx.equal(Nx.argmax(NN.call(model, params, x), axis: 1), y)) end,
        compiler: Mlx.Compiler
      )

    training =
      NN.train(NN.init(model, 1), loss, &batches(learned, &1),
        optimizer: Optimizers.adam(learning_rate: 2.0e-3),
        epochs: 40,
        progress: false
      )

    assert List.last(training.history).loss < hd(training.history).loss / 10
    training.params |> accuracy.() |> Nx.to_number()
  end

  defp flat(x), do: Nx.reshape(x, {Nx.axis_size(x, 0), :auto})

  test "dense layers and a convolution net read 97 of 100 held out images" do
    images = images()

    dense =
      NN.sequential([
        &flat/1,
        NN.layer(:linear, input_dims: 64, output_dims: 256),
        &NN.relu/1,
        NN.layer(:linear, input_dims: 256, output_dims: 10)
      ])

    convolution =
      NN.sequential([
        NN.layer(:conv2d, in_channels: 1, out_channels: 16, kernel_size: 3, padding: 1),
        &NN.relu/1,
        NN.layer(:max_pool2d, kernel_size: 2),
        NN.layer(:conv2d, in_channels: 16, out_channels: 32, kernel_size: 3, padding: 1),
        &NN.relu/1,
        NN.layer(:max_pool2d, kernel_size: 2),
        &flat/1,
        NN.layer(:linear, input_dims: 128, output_dims: 10)
      ])

    assert learn(dense, images) >= 0.97
    assert learn(convolution, images) >= 0.97
  end
end
