defmodule Mlx.Axon.StateTest do
  use ExUnit.Case, async: true

  import Mlx.AxonModels

  alias Axon.ModelState
  alias Mlx.NN

  # All kinds of parameters, and names with dots.
  defp model do
    {sequence, _} = Axon.input("x", shape: {nil, 3, 2}) |> Axon.lstm(4)

    sequence
    |> Axon.dense(4, name: "blocks.0.dense")
    |> Axon.batch_norm(name: "blocks.0.norm")
    |> Axon.dropout(rate: 0.5)
    |> Axon.block(fn x -> x |> Axon.dense(3) |> Axon.batch_norm() end).()
  end

  defp state do
    {init_fn, _} = Axon.build(model(), mode: :train, seed: 1)
    init_fn.(Nx.template({1, 3, 2}, :f32), ModelState.empty())
  end

  defp assert_same(a, b) do
    assert near?(a.data, b.data, 0.0)

    for fun <- [:trainable_parameters, :frozen_parameters, :trainable_state, :frozen_state],
        do: assert(near?(apply(ModelState, fun, [a]), apply(ModelState, fun, [b]), 0.0), "#{fun}")
  end

  @tag :tmp_dir
  test "states are what they were after a file, with what is state and what is frozen", %{
    tmp_dir: folder
  } do
    path = Path.join(folder, "model.safetensors")

    for mask <- [
          fn _ -> false end,
          fn [name | _] -> name in ["blocks.0.dense", "blocks.0.norm"] end,
          &(&1 == ["blocks.0.norm", "gamma"])
        ] do
      state = ModelState.freeze(state(), mask)
      NN.save_weights(Mlx.Axon.to_parameters(state), path)
      back = Mlx.Axon.from_parameters(NN.load_weights(path))
      assert_same(back, state)
      # It can be frozen again.
      mask = fn [name | _] -> name != "lstm_0" end
      assert_same(ModelState.freeze(back, mask), ModelState.freeze(state, mask))

      [a, b] =
        for state <- [state, back],
            do: Axon.predict(model(), state, normal(1, {1, 3, 2}), compiler: Mlx.Compiler)

      assert near?(a, b, 0.0)
    end
  end

  test "parameters of layers are nested by the parts of their names, and have no marks" do
    dense = Axon.input("x", shape: {nil, 2}) |> Axon.dense(3, name: "a.b.0") |> Axon.dense(1)
    state = init(dense, Nx.template({1, 2}, :f32))

    assert %{"a" => %{"b" => %{"0" => %{"kernel" => kernel, "bias" => _}}}, "dense_1" => %{}} =
             parameters = Mlx.Axon.to_parameters(state)

    assert kernel.shape == {2, 3}
    assert Map.keys(parameters) == ["a", "dense_1"]
    assert_same(Mlx.Axon.from_parameters(parameters), state)
  end

  test "what is quantized comes back" do
    model = Axon.input("x", shape: {nil, 64}) |> Axon.dense(3)
    {_small, packed} = Mlx.Axon.quantize(model, init(model, Nx.template({1, 64}, :f32)))
    assert_same(Mlx.Axon.from_parameters(Mlx.Axon.to_parameters(packed)), packed)
  end

  test "what can't be named or read is refused" do
    one = Nx.tensor([1.0])

    assert_raise ArgumentError, ~r/a tensor as a.kernel/, fn ->
      Mlx.Axon.to_parameters(%ModelState{
        data: %{"a" => %{"kernel" => %Axon.Quantization.QTensor{value: one}}},
        parameters: %{},
        state: %{},
        frozen_parameters: %{}
      })
    end

    assert_raise ArgumentError, ~r/can't stand beside/, fn ->
      Mlx.Axon.to_parameters(%ModelState{
        data: %{"a" => %{"b" => one}, "a.b" => %{"c" => one}},
        parameters: %{},
        state: %{},
        frozen_parameters: %{}
      })
    end

    assert_raise ArgumentError, ~r/the name of a layer/, fn ->
      Mlx.Axon.from_parameters(%{"a" => one})
    end

    assert_raise ArgumentError, ~r/a map of parameters/, fn -> Mlx.Axon.from_parameters([one]) end
    assert_raise ArgumentError, ~r/a state of a model/, fn -> Mlx.Axon.to_parameters(%{}) end

    for marks <- [[0, 0, 3, 1], [0, 2, 1, 1], [0, 0], [0.0, 0.0, 1.0, 1.0], [0, 0, 2, 0]] do
      assert_raise ArgumentError, ~r/marks that fit a.b/, fn ->
        Mlx.Axon.from_parameters(%{
          "a" => %{"b" => one},
          "axon_marks" => %{"a" => %{"b" => Nx.tensor(marks)}}
        })
      end
    end
  end
end
