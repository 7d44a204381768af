# Protocols are consolidated before the tests are compiled, and then take no more structs. Nx's own file of this one does.
beam = :nx |> :code.lib_dir() |> Path.join("ebin/#{Nx.Container}.beam")
:code.purge(Nx.Container)
{:module, _} = :code.load_binary(Nx.Container, to_charlist(beam), File.read!(beam))

defmodule Mlx.Structs do
  @moduledoc "Structs that are containers."

  defmodule Model do
    @moduledoc false
    @derive {Nx.Container, containers: [:weights, :bias], keep: [:name]}
    defstruct [:weights, :bias, :name]
  end
end
