defmodule Mlx.NN.LossesTest do
  use ExUnit.Case, async: true

  import Nx.Defn

  alias Mlx.NN.Losses

  doctest Mlx.NN.Losses

  defn slope(logits, targets) do
    grad(logits, fn logits -> Losses.cross_entropy(logits, targets, reduction: :mean) end)
  end

  test "gradients go through under any compiler" do
    logits = Nx.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    targets = Nx.tensor([0, 2])
    wanted = [[-0.4550, 0.1224, 0.3326], [0.1667, 0.1667, -0.3333]]

    for compiler <- [Mlx.Compiler, Nx.Defn.Evaluator] do
      slopes = Nx.Defn.jit(&slope/2, compiler: compiler).(logits, targets)

      for {got, wanted} <- Enum.zip(Nx.to_list(slopes), wanted),
          {a, b} <- Enum.zip(got, wanted),
          do: assert_in_delta(a, b, 1.0e-3)
    end

    loss = fn logits -> Losses.cross_entropy(logits, targets, reduction: :mean) end
    slopes = Mlx.grad(loss).(logits)
    assert Nx.all_close(slopes, slope(logits, targets)) |> Nx.to_number() == 1
  end

  test "weights are an option" do
    logits = Nx.tensor([[0.0, 0.0], [0.0, 0.0]])
    targets = Nx.tensor([0, 1])
    [a, b] = Nx.to_list(Losses.cross_entropy(logits, targets, weights: Nx.tensor([1.0, 3.0])))
    assert_in_delta(b, 3 * a, 1.0e-6)

    # A number is a tensor of no axes.
    assert_raise ArgumentError,
                 ~r/weights of shape \{\} do not match losses of shape \{2\}/,
                 fn ->
                   Losses.cross_entropy(logits, targets, weights: 2.0)
                 end
  end

  test "what does not fit is refused" do
    x = Nx.tensor([1.0, 2.0])

    assert_raise ArgumentError, ~r/mse_loss/, fn ->
      Losses.mse_loss(x, Nx.tensor([1.0, 2.0, 3.0]))
    end

    assert_raise ArgumentError, ~r/reduction/, fn -> Losses.mse_loss(x, x, reduction: :most) end

    assert_raise ArgumentError, ~r/no options but :reduction/, fn ->
      Losses.mse_loss(x, x, weights: x)
    end
  end

  test "every loss of the core is there" do
    rows = for {"loss", name, _, _, _} <- Mlx.NIF.nn_rows(), do: name
    names = Losses.__info__(:functions) |> Keyword.keys() |> MapSet.new(&Atom.to_string/1)
    assert length(rows) == 14
    assert Enum.reject(rows, &(&1 in names)) == []
  end
end
