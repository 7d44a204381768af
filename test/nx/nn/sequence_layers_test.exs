defmodule Mlx.NN.SequenceLayersTest do
  use ExUnit.Case, async: true

  alias Mlx.NN

  test "recurrent layers answer every state, and go on from the last one" do
    lstm = NN.layer(:lstm, input_size: 3, hidden_size: 4)
    params = NN.init(lstm, 1)
    x = Nx.iota({2, 5, 3}, type: :f32) |> Nx.multiply(0.1)
    {hidden, cell} = NN.call(lstm, params, x)
    assert {hidden.shape, cell.shape} == {{2, 5, 4}, {2, 5, 4}}

    {rest, _} = NN.call(lstm, params, {x[[.., 3..4]], hidden[[.., 2]], cell[[.., 2]]})
    assert Nx.all_close(rest, hidden[[.., 3..4]], atol: 1.0e-6) |> Nx.to_number() == 1

    slopes = Mlx.grad(params, fn p -> NN.call(lstm, p, x) |> elem(0) |> Nx.sum() end)
    assert Map.keys(slopes) == Map.keys(params)
    assert slopes["Wh"].shape == {16, 4}
  end

  test "transformers take options, masks by name and operands, and have gradients" do
    options = [num_layers: 2, dims: 4, num_heads: 2, activation: "gelu", dropout: 0.5]
    encoder = NN.layer(:transformer_encoder, options)
    params = NN.init(encoder, 1)
    assert %{"layers" => %{"1" => %{"attention" => %{"query_proj" => _}}}, "ln" => _} = params

    x = Nx.sin(Nx.iota({1, 3, 4}, type: :f32))
    seen = Nx.greater_equal(Nx.iota({3, 3}, axis: 0), Nx.iota({3, 3}, axis: 1))
    causal = NN.call(encoder, params, x, mask: "causal", training: false)

    assert Nx.all_close(causal, NN.call(encoder, params, {x, seen}, training: false))
           |> Nx.to_number() == 1

    assert_raise ArgumentError, ~r/needs the operand key/, fn ->
      NN.call(encoder, params, x, training: true)
    end

    slopes = Mlx.grad(params, fn p -> NN.call(encoder, p, x, training: false) |> Nx.sum() end)
    assert length(NN.Parameters.flatten(slopes)) == 26
  end
end
