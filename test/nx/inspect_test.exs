defmodule Mlx.Backend.InspectTest do
  # It changes the application's environment.
  use ExUnit.Case, async: false

  alias Mlx.Inputs

  @backend Mlx.Backend

  defp without_backend(fun) do
    Application.put_env(:elixir_mlx, :add_backend_on_inspect, false)
    fun.()
  after
    Application.delete_env(:elixir_mlx, :add_backend_on_inspect)
  end

  test "names the backend" do
    assert inspect(Nx.tensor([1.0, 2.0, 3.0], backend: @backend)) ==
             "#Nx.Tensor<\n  f32[3]\n  Mlx.Backend\n  [1.0, 2.0, 3.0]\n>"

    assert inspect(Nx.tensor(7, backend: @backend)) == "#Nx.Tensor<\n  s32\n  Mlx.Backend\n  7\n>"
  end

  test "names the device of tensors made for one" do
    tensor = Nx.tensor([1], backend: {@backend, device: :cpu})
    assert inspect(tensor) == "#Nx.Tensor<\n  s32[1]\n  Mlx.Backend<cpu>\n  [1]\n>"
    assert inspect(Nx.add(tensor, 1)) =~ "Mlx.Backend<cpu>\n  [2]"
  end

  test "shows what Nx.BinaryBackend shows, but for the backend" do
    vectorized = Nx.vectorize(Nx.iota({2, 3}), :rows)
    named = Nx.iota({2, 2}, names: [:x, nil])

    for reference <- [vectorized, named, Nx.iota({20, 20}) | every_type()] do
      tensor = Nx.backend_copy(reference, @backend)
      without_backend(fn -> assert inspect(tensor) == inspect(reference) end)
      lines = String.split(inspect(tensor), "\n")
      assert "  Mlx.Backend" in lines
      assert Enum.join(lines -- ["  Mlx.Backend"], "\n") == inspect(reference)
    end
  end

  defp every_type do
    for type <- Mlx.Dtype.all(),
        input <- [:vector, :scalar, :cube],
        do: apply(Inputs, input, [type])
  end

  test "heeds inspect's options" do
    reference = Nx.iota({5, 5})
    tensor = Nx.backend_copy(reference, @backend)

    without_backend(fn ->
      for options <- [[limit: 0], [limit: 3], [limit: 25], [limit: :infinity], [width: 20]] do
        assert inspect(tensor, options) == inspect(reference, options)
      end
    end)
  end

  test "reads no more elements than it shows" do
    # Half a gigabyte if it were computed in full; the first elements are a view.
    huge = Nx.broadcast(Nx.tensor(1, type: :u8, backend: @backend), {100_000, 5000})
    Mlx.Memory.reset_peak()
    before = Mlx.Memory.peak()
    assert inspect(huge, limit: 3) =~ "[1, 1, 1, ...]"
    assert Mlx.Memory.peak() < before + 600_000_000
  end

  test "shows NaN and infinities" do
    tensor = Nx.tensor([:nan, :infinity, :neg_infinity], backend: @backend)
    assert inspect(tensor) =~ "[NaN, Inf, -Inf]"
  end

  test "evaluates" do
    tensor = Nx.add(Nx.tensor([1, 2], backend: @backend), Nx.tensor([3, 4], backend: @backend))
    assert inspect(tensor) =~ "[4, 6]"
  end
end
