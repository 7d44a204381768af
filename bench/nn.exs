defmodule Bench.Networks do
  @moduledoc "The networks of native/bench/nn_cases.cpp: what they answer, and training steps."

  alias Mlx.{NN, Optimizers}

  # Case -> function that makes inputs and answers what is timed.
  def cases(waves) do
    adam = Optimizers.adam(learning_rate: 1.0e-4)
    corrected = Optimizers.adamw(learning_rate: 1.0e-4, bias_correction: true)
    sgd = Optimizers.sgd(learning_rate: 1.0e-4, momentum: 0.9)

    of_networks =
      for {name, network} <- networks(), kind <- [:forward, :step], into: %{} do
        {"nn_#{name}_#{kind}",
         fn ->
           if kind == :forward, do: forward(network, waves), else: step(network, adam, waves)
         end}
      end

    Map.merge(of_networks, %{
      "nn_mlp_step_adamw_corrected" => fn -> step(networks().mlp, corrected, waves) end,
      "nn_mlp_step_sgd_momentum" => fn -> step(networks().mlp, sgd, waves) end
    })
  end

  defp networks do
    classes = fn -> Nx.remainder(Nx.iota({64}), 10) end
    halves = fn shape -> fn -> Nx.broadcast(0.5, shape) end end
    entropy = &NN.Losses.cross_entropy(&1, &2, reduction: :mean)
    square = &NN.Losses.mse_loss/2

    %{
      mlp: {mlp([784, 512, 512, 10]), {64, 784}, entropy, classes},
      lenet: {lenet(), {64, 28, 28, 1}, entropy, classes},
      transformer:
        {NN.layer(:transformer_encoder, num_layers: 4, dims: 256, num_heads: 8), {8, 128, 256},
         square, halves.({8, 128, 256})},
      lstm:
        {NN.layer(:lstm, input_size: 128, hidden_size: 128), {32, 64, 128}, square,
         halves.({32, 64, 128})}
    }
  end

  defp mlp(sizes), do: NN.sequential(dense(sizes))

  defp dense(sizes) do
    sizes
    |> Enum.zip(tl(sizes))
    |> Enum.map(fn {n, m} -> NN.layer(:linear, input_dims: n, output_dims: m) end)
    |> Enum.intersperse(&NN.relu/1)
  end

  defp lenet do
    pool = NN.layer(:max_pool2d, kernel_size: 2)
    first = NN.layer(:conv2d, in_channels: 1, out_channels: 6, kernel_size: 5, padding: 2)
    second = NN.layer(:conv2d, in_channels: 6, out_channels: 16, kernel_size: 5)
    flat = &Nx.reshape(&1, {64, 400})

    NN.sequential(
      [first, &NN.relu/1, pool, second, &NN.relu/1, pool, flat] ++ dense([400, 120, 84, 10])
    )
  end

  defp answer(model, params, x) do
    case NN.call(model, params, x) do
      {hidden, _cell} -> hidden
      tensor -> tensor
    end
  end

  defp forward({model, shape, _loss, _wanted}, waves) do
    params = params(model, waves)
    x = waves.(shape)
    run = Nx.Defn.jit(&answer(model, &1, &2), compiler: Mlx.Compiler)
    warmed(fn -> Mlx.eval(run.(params, x)) end)
  end

  # Each call goes on from where the one before came to, which the process remembers.
  defp step({model, shape, loss, wanted}, {init, update}, waves) do
    x = waves.(shape)
    wanted = Mlx.eval(wanted.())

    run =
      Nx.Defn.jit(
        fn params, state, x, wanted ->
          {value, slopes} =
            Mlx.value_and_grad(params, &loss.(answer(model, &1, x), wanted))

          {updates, state} = update.(slopes, state, params)
          {value, Optimizers.apply_updates(params, updates), state}
        end,
        compiler: Mlx.Compiler
      )

    params = params(model, waves)
    Process.put(:training, {params, init.(params)})

    warmed(fn ->
      {params, state} = Process.get(:training)
      {params, state} = Nx.donatable({params, state})
      {_value, params, state} = Mlx.eval(run.(params, state, x, wanted))
      Process.put(:training, {params, state})
    end)
  end

  defp params(model, waves), do: model |> NN.init(0) |> filled(waves)

  defp filled(%Nx.Tensor{shape: shape}, waves), do: waves.(shape) |> Nx.multiply(0.05)

  defp filled(params, waves),
    do: Map.new(params, fn {name, part} -> {name, filled(part, waves)} end)

  # Past the runs after which kernels are fused.
  defp warmed(body) do
    for _ <- 1..20, do: body.()
    body
  end
end
