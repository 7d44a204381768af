defmodule Mlx.DeviceTest do
  # The default device, the limits and the streams are the whole VM's.
  use ExUnit.Case, async: false

  doctest Mlx.Device
end
