defmodule Mlx.Axon.LoopTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO
  import Mlx.AxonModels

  alias Mlx.Optimizers

  @moduletag :capture_log

  # Points of two clouds.
  defp clouds do
    x = Nx.concatenate([normal(1, {32, 2}), Nx.add(normal(2, {32, 2}), 3)])

    y =
      Nx.concatenate([Nx.broadcast(0, {32, 1}), Nx.broadcast(1, {32, 1})])
      |> Nx.equal(Nx.iota({1, 2}))

    # Batches of both.
    for at <- 0..15, do: {x[[at..63//16]], y[[at..63//16]]}
  end

  defp classifier do
    Axon.input("x", shape: {nil, 2})
    |> Axon.dense(16, activation: :tanh)
    |> Axon.layer_norm(gamma_initializer: :ones)
    |> Axon.dense(2)
    |> Axon.softmax()
  end

  defp run(model, optimizer, compiler, options) do
    {state, text} =
      with_io(fn ->
        model
        |> Axon.Loop.trainer(:categorical_cross_entropy, optimizer, log: 0, seed: 1)
        |> Axon.Loop.metric(:accuracy)
        |> Axon.Loop.run(clouds(), options[:state] || Axon.ModelState.empty(),
          compiler: compiler,
          epochs: options[:epochs] || 2
        )
      end)

    assert text == ""
    {_, predict_fn} = Axon.build(model)

    {x, y} =
      clouds() |> Enum.unzip() |> then(fn {x, y} -> {Nx.concatenate(x), Nx.concatenate(y)} end)

    hits = Nx.equal(Nx.argmax(predict_fn.(state, x), axis: 1), Nx.argmax(y, axis: 1))
    {state, hits |> Nx.mean() |> Nx.to_number()}
  end

  test "optimizers train models in Axon.Loop, optimized ones too, under any compiler" do
    decay = Optimizers.cosine_decay(init: 0.05, decay_steps: 100)

    for {name, options} <- [
          sgd: [learning_rate: 0.1, momentum: 0.9],
          adam: [learning_rate: 0.05],
          adamw: [learning_rate: decay],
          lion: [learning_rate: 0.02],
          rmsprop: [learning_rate: 0.02],
          adagrad: [learning_rate: 0.2],
          adamax: [learning_rate: 0.05],
          adafactor: [learning_rate: 0.05, relative_step: false, scale_parameter: false],
          muon: [learning_rate: 0.05]
        ],
        change <- [& &1, &Mlx.Axon.optimize/1] do
      {_state, accuracy} =
        run(change.(classifier()), apply(Optimizers, name, [options]), Mlx.Compiler, epochs: 4)

      assert accuracy > 0.9, "#{name}: #{accuracy}"
    end
  end

  test "both compilers go the same way" do
    for change <- [& &1, &Mlx.Axon.optimize/1], name <- [:adam, :sgd] do
      optimizer = apply(Optimizers, name, [[learning_rate: 0.05]])
      {by_mlx, _} = run(change.(classifier()), optimizer, Mlx.Compiler, epochs: 1)
      {by_nx, _} = run(change.(classifier()), optimizer, Nx.Defn.Evaluator, epochs: 1)
      assert near?(by_mlx.data, by_nx.data, 1.0e-3)
    end
  end

  test "state of layers moves on, and what is frozen stays" do
    model =
      Axon.input("x", shape: {nil, 2})
      |> Axon.dense(64, name: "first")
      |> Axon.batch_norm(name: "norm", gamma_initializer: :ones)
      |> Axon.dense(64, name: "middle")
      |> Axon.dense(2, name: "last")
      |> Axon.softmax()

    {init_fn, _} = Axon.build(model, mode: :train, seed: 1)
    drawn = init_fn.(Nx.template({4, 2}, :f32), Axon.ModelState.empty())

    {small, packed} =
      Mlx.Axon.quantize(Mlx.Axon.optimize(model), drawn, only: ["middle"], bits: 8)

    {trained, accuracy} =
      run(small, Optimizers.adam(learning_rate: 0.01), Mlx.Compiler, state: packed)

    assert accuracy > 0.9

    same? = fn path -> get_in(trained.data, path) |> near?(get_in(packed.data, path), 0.0) end
    assert Enum.all?(["weight", "scales", "biases"], &same?.(["middle", &1]))
    refute same?.(["norm", "mean"]) or same?.(["first", "kernel"]) or same?.(["last", "kernel"])
  end
end
