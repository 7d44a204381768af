defmodule Mlx.Programs do
  @moduledoc """
  Functions of all kinds with arguments: what `Mlx.Compiler` is tested with, and what `make record-programs` records.
  """

  alias Mlx.Programs.{
    ControlFlow,
    Elementwise,
    Gradients,
    RandomAndAlgebra,
    Structure,
    VectorizedAndHooks
  }

  @doc "`{name, function, arguments}` of each, the arguments on `Nx.BinaryBackend`."
  def all do
    Nx.with_default_backend(Nx.BinaryBackend, fn ->
      for module <- [
            Elementwise,
            Structure,
            ControlFlow,
            Gradients,
            RandomAndAlgebra,
            VectorizedAndHooks
          ],
          {name, fun, arguments} <- module.all() do
        {name, fun, Enum.map(arguments, &argument/1)}
      end
    end)
  end

  defp argument(list) when is_list(list), do: Nx.tensor(list)
  defp argument(number) when is_number(number), do: Nx.tensor(number)
  defp argument(container), do: container
end
