defmodule Mlx.ProgramWithNxTest do
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 2, assert_answer: 3, by_nx: 2]

  @x Nx.tensor([0.5, -1.25, 2.0], backend: Nx.BinaryBackend)

  test "programs run on tensors of any backend and numbers" do
    program = Mlx.Compiler.to_program(&Nx.multiply/2, [@x, 2], names: [:x, :factor])
    assert [product] = Mlx.Program.run(program, [@x, 3])
    assert_answer(product, by_nx(&Nx.multiply(&1, 3), [@x]))
    assert [_] = Mlx.Program.run(program, [product, Nx.tensor(2)])

    for other <- [:x, "x", {1}] do
      assert_raise ArgumentError, ~r/\[run\] expected tensors, or handles alone, got/, fn ->
        Mlx.Program.run(program, [@x, other])
      end
    end
  end

  test "programs of functions are what export writes" do
    waves = fn x -> x |> Nx.sin() |> Nx.multiply(Nx.exp(x)) |> Nx.sum() end
    program = Mlx.Compiler.to_program(waves, [@x], names: [:x])
    assert [{"x", {{:f, 32}, {3}}}] = Mlx.Program.inputs(program)
    [gradient] = program |> Mlx.Program.transform(:grad) |> Mlx.Program.run([@x])
    assert_answer(gradient, by_nx(&Nx.Defn.grad(&1, waves), [@x]), tolerance: 1.0e-5)
  end
end
