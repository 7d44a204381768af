defmodule Mlx.Device do
  @moduledoc """
  The devices that ops run on: `:cpu` and `:gpu`.

  Where memory is unified, as on Apple Silicon, switching copies nothing. An op that MLX has on the CPU only (most of
  linear algebra) goes there by itself.
  """

  alias Mlx.NIF

  @type t :: :cpu | :gpu

  @doc """
  The device that new ops run on: `:gpu` where there is one, else `:cpu`, until `set_default/1`.

  MLX: `mlx.core.default_device`.

  ## Examples

      iex> Mlx.Device.default() in Mlx.Device.available()
      true
  """
  @spec default() :: t
  def default, do: NIF.default_device()

  @doc """
  Makes `device` the one that new ops run on, in all processes. Tensors that exist stay usable.

  Raises `Mlx.UnsupportedError` when this machine has no such device, `ArgumentError` for anything but `:cpu` and `:gpu`.
  MLX: `mlx.core.set_default_device`.

  ## Examples

      iex> Mlx.Device.set_default(:cpu)
      :ok
      iex> Mlx.Device.default()
      :cpu
  """
  @spec set_default(t) :: :ok
  def set_default(device), do: NIF.set_default_device(device)

  @doc """
  Sets what becomes of ops on f64 where the device is a GPU, none of which has that type: `:cpu` (the start value) runs them on
  the CPU, which is said once on stderr and counted by the telemetry event `[:mlx, :f64_on_cpu]`; `:raise` makes them raise
  `Mlx.UnsupportedError`. Without a GPU it changes nothing.

  `config :elixir_mlx, f64_on_gpu: :raise` sets it when the application starts, the environment variable
  `MLXNX_F64_ON_GPU=raise` for C++ programs as well.

  Raises `ArgumentError` for anything but `:cpu` and `:raise`.

  ## Examples

      iex> Mlx.Device.set_f64_on_gpu(:cpu)
      :ok
  """
  @spec set_f64_on_gpu(:cpu | :raise) :: :ok
  def set_f64_on_gpu(setting), do: NIF.set_f64_on_gpu(setting)

  @doc """
  The devices of this machine.

  ## Examples

      iex> :cpu in Mlx.Device.available()
      true
  """
  @spec available() :: [t]
  def available, do: NIF.available_devices()

  @doc """
  Whether this machine has `device`.

  ## Examples

      iex> Mlx.Device.available?(:cpu)
      true
  """
  @spec available?(t) :: boolean()
  def available?(device), do: device in available()
end
