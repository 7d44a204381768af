defmodule Mlx.DeviceTest do
  # The default device is the whole VM's.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.Device

  doctest Device

  setup do
    before = Device.default()
    on_exit(fn -> Device.set_default(before) end)
  end

  test "available devices are those that set_default takes" do
    for device <- [:cpu, :gpu] do
      if Device.available?(device) do
        assert Device.set_default(device) == :ok
        assert Device.default() == device
      else
        assert_raise Mlx.UnsupportedError,
                     "[set_default_device] this machine has no device #{device}",
                     fn ->
                       Device.set_default(device)
                     end
      end
    end
  end

  test "what is no device is no device" do
    for other <- [:tpu, nil, "cpu", {:cpu, 0}] do
      refute Device.available?(other)

      assert_raise ArgumentError, ~r/^\[set_default_device\] expected :cpu or :gpu, got /, fn ->
        Device.set_default(other)
      end
    end
  end

  test "f64 on a GPU is computed on the CPU or an error, and nothing else" do
    on_exit(fn -> Device.set_f64_on_gpu(:cpu) end)
    assert Device.set_f64_on_gpu(:raise) == :ok
    assert Device.set_f64_on_gpu(:cpu) == :ok

    for other <- [:gpu, nil, "cpu", true] do
      assert_raise ArgumentError, ~r/^\[set_f64_on_gpu\] expected :cpu or :raise, got /, fn ->
        Device.set_f64_on_gpu(other)
      end
    end
  end

  test "a failed set_default changes nothing" do
    before = Device.default()
    assert_raise ArgumentError, fn -> Device.set_default(:tpu) end
    assert Device.default() == before
  end

  test "the default is the same in all processes" do
    Device.set_default(:cpu)
    assert Task.await(Task.async(&Device.default/0)) == :cpu
  end

  test "ops run on the device that they are given" do
    for device <- Device.available() do
      a = tensor([1.0, 2.0])
      assert values(op(:add, [a, a], {{:f, 32}, {2}}, [], device)) == [2.0, 4.0]
    end
  end
end
