defmodule Mlx.LayoutsTest do
  # Transposed tensors that are too large to be computed at once: their elements do not lie row by row.
  use ExUnit.Case, async: true

  import Mlx.Compare

  @cube Nx.iota({40, 30, 20}, backend: Nx.BinaryBackend)

  # Transposed by the compared function itself: a view on the one side.
  defp assert_same_transposed(tensor, fun),
    do: assert_same([tensor], fn [t] -> fun.(Nx.transpose(t)) end)

  test "take along the axis that lies outermost" do
    t = Nx.transpose(Nx.backend_copy(@cube, Mlx.Backend))
    taken = Nx.take(t, Nx.tensor([0, 1], backend: Mlx.Backend), axis: 2)
    assert [0, 600, 20, 620 | _] = Nx.to_flat_list(taken)

    for axis <- 0..2 do
      assert_same_transposed(@cube, &Nx.take(&1, Nx.tensor([0, 1]), axis: axis))
    end
  end

  test "gather along the axis that lies outermost" do
    t = Nx.transpose(Nx.backend_copy(@cube, Mlx.Backend))
    picked = Nx.gather(t, Nx.tensor([[0], [1]], backend: Mlx.Backend), axes: [2])
    assert [0, 20, 40, 60 | _] = Nx.to_flat_list(picked)

    for axis <- 0..2 do
      assert_same_transposed(@cube, &Nx.gather(&1, Nx.tensor([[0], [1]]), axes: [axis]))
    end
  end

  test "slices whose start is computed" do
    t = Nx.transpose(Nx.iota({90, 90}, type: :f32, backend: Mlx.Backend))
    slice = fn t, i -> Nx.slice(t, [0, i], [90, 2]) end
    run = Nx.Defn.jit(slice, compiler: Mlx.Compiler)

    for i <- [0, 3, 88, 100] do
      start = min(i, 88)
      expected = for row <- 0..89, column <- start..(start + 1), do: 90.0 * column + row
      assert Nx.to_flat_list(run.(t, Nx.tensor(i, backend: Mlx.Backend))) == expected
      assert Nx.to_flat_list(slice.(t, Nx.tensor(i, backend: Mlx.Backend))) == expected
    end
  end

  test "put_slice, indexed_put and indexed_add of transposed updates" do
    part = Nx.iota({40, 30, 2}, backend: Nx.BinaryBackend)

    assert_same([@cube, part], fn [t, part] ->
      Nx.put_slice(Nx.transpose(t), [Nx.tensor(5), 0, 0], Nx.transpose(part))
    end)

    updates = Nx.iota({30, 20, 2}, backend: Nx.BinaryBackend)

    for op <- [&Nx.indexed_put/4, &Nx.indexed_add/4] do
      assert_same([@cube, updates], fn [t, updates] ->
        op.(Nx.transpose(t), Nx.tensor([[3], [1]]), Nx.transpose(updates), axes: [2])
      end)
    end
  end
end
