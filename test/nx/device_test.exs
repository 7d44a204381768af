defmodule Mlx.Backend.DeviceTest do
  # It changes the default device.
  use ExUnit.Case, async: false

  alias Mlx.Backend

  setup do
    device = Mlx.Device.default()
    on_exit(fn -> Mlx.Device.set_default(device) end)
  end

  defp device(tensor), do: tensor.data.device

  test "tensors are made for a device, and what is computed of them is so too" do
    for device <- Mlx.Device.available() do
      backend = {Backend, device: device}
      a = Nx.tensor([1, 2], backend: backend)
      b = Nx.tensor([3, 4], backend: Backend)
      assert device(a) == device
      assert device(b) == nil

      results = [
        Nx.negate(a),
        Nx.add(a, b),
        Nx.add(b, a),
        Nx.add(a, 1),
        Nx.stack([b, a]),
        Nx.slice(b, [Nx.squeeze(a[0..0])], [1]),
        Nx.reduce(a, 0, &Nx.add/2),
        Nx.cumulative_sum(a),
        elem(Nx.top_k(a), 0),
        Nx.backend_copy(b, backend),
        Nx.backend_transfer(Nx.tensor([1]), backend),
        Nx.from_pointer(backend, Nx.to_pointer(b), :s32, {2}),
        Mlx.NN.relu(a),
        Mlx.NN.Losses.l1_loss(a, b)
      ]

      for result <- results do
        assert device(result) == device
        assert Nx.to_binary(result) != ""
      end

      assert device(Nx.add(b, b)) == nil
      assert Enum.map(Nx.to_batched(a, 1), &device/1) == [device, device]
    end
  end

  test "creation takes the device" do
    backend = {Backend, device: :cpu}

    for tensor <- [
          Nx.iota({2}, backend: backend),
          Nx.eye(2, backend: backend),
          Nx.tensor(1, backend: backend),
          Nx.from_binary(<<1>>, :u8, backend: backend),
          Nx.with_default_backend(backend, fn -> Nx.broadcast(1, {2}) end)
        ] do
      assert device(tensor) == :cpu
    end
  end

  test "a device that is none raises" do
    assert_raise ArgumentError, ~r/expected :device to be :cpu or :gpu, got: :tpu/, fn ->
      Nx.default_backend({Backend, device: :tpu})
    end

    assert_raise ArgumentError, fn -> Nx.default_backend({Backend, color: :red}) end
  end

  test "a device that the machine lacks raises" do
    for device <- [:cpu, :gpu] -- Mlx.Device.available() do
      assert_raise Mlx.UnsupportedError, "this machine has no device #{device}", fn ->
        Nx.default_backend({Backend, device: device})
      end

      assert_raise Mlx.UnsupportedError, ~r/this machine has no device #{device}/, fn ->
        Nx.tensor([1], backend: {Backend, device: device})
      end
    end
  end

  test "without the option ops run on the default device" do
    for device <- Mlx.Device.available() do
      Mlx.Device.set_default(device)
      tensor = Nx.tensor([1, 2], backend: Backend)
      assert Nx.to_flat_list(Nx.add(tensor, tensor)) == [2, 4]
    end
  end
end
