defmodule Mlx.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    # The BEAM ignores SIGCHLD, and then a program that MLX starts to compile a kernel has no exit status to wait for.
    :os.set_signal(:sigchld, :default)

    with {:ok, setting} <- Application.fetch_env(:elixir_mlx, :f64_on_gpu) do
      Mlx.Device.set_f64_on_gpu(setting)
    end

    Supervisor.start_link([], strategy: :one_for_one, name: Mlx.Supervisor)
  end
end
