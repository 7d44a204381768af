defmodule Mlx.Inputs do
  @moduledoc """
  Operands for the tests of callbacks, on `Nx.BinaryBackend`: by type, the same ones in each run.
  """

  @doc "All supported types of a kind."
  def types(kind \\ :all) do
    Enum.filter(Mlx.Dtype.all(), fn {family, bits} ->
      case kind do
        :all -> true
        :integer -> family in [:u, :s]
        :real -> family != :c
        :float -> family in [:f, :bf]
        :inexact -> family in [:f, :bf, :c]
        # Nx makes complex numbers of f64 c128.
        :no_c128 -> {family, bits} != {:f, 64}
        :wide -> {family, bits} not in [{:f, 64}, {:f, 16}, {:bf, 16}]
        :real_without_f64 -> family != :c and {family, bits} != {:f, 64}
      end
    end)
  end

  @doc "Numbers of either sign with NaN, infinities and the ends of the type's range."
  def vector(type), do: tensor(numbers(type) ++ ends(type), type)

  @doc "The same without NaN, infinities and ends."
  def plain(type), do: tensor(numbers(type), type)

  @doc "A matrix of 2 rows and 4 columns."
  def matrix(type), do: Nx.reshape(plain(type), {2, 4})

  @doc "A tensor of shape {2, 2, 2}."
  def cube(type), do: Nx.reshape(plain(type), {2, 2, 2})

  @doc "A scalar."
  def scalar(type), do: Nx.squeeze(tensor([Enum.at(numbers(type), 3)], type))

  @doc "Numbers from -1 to 1."
  def unit({family, _} = type) when family in [:u, :s], do: tensor([0, 1, 0, 1], type)
  def unit({:c, _} = type), do: tensor([Complex.new(0.25, -0.5), Complex.new(-0.75, 0.1)], type)
  def unit(type), do: tensor([-0.75, -0.5, 0.0, 0.125, 0.5, 0.875], type)

  @doc "Eight numbers from 1 on."
  def from_one({:c, _} = type) do
    tensor(for(i <- 1..8, do: Complex.new(1 + i / 2, 2 - i)), type)
  end

  def from_one({family, _} = type) when family in [:u, :s] do
    tensor([1, 2, 7, 100, 3, 1, 5, 9], type)
  end

  def from_one(type), do: tensor([1.0, 1.5, 2.25, 40.0, 3.0, 1.125, 5.5, 9.0], type)

  @doc "Numbers right of zero, infinity and NaN."
  def positive(type), do: tensor([0.125, 1.0, 2.5, 60.0, :infinity, :nan], type)

  @doc "Eight integers from 0 to 3."
  def small(type), do: tensor([0, 1, 2, 3, 1, 2, 0, 2], type)

  @doc "Eight integers to shift by, within each type's width."
  def shifts(type), do: tensor([0, 1, 2, 7, 3, 4, 5, 6], type)

  @doc "Eight integers in no order, one of them twice."
  def shuffled(type), do: tensor([5, 1, 7, 0, 3, 1, 6, 2], type)

  @doc "The tensor of `plain/1` from its end."
  def reversed(type), do: Nx.reverse(plain(type))

  @doc "The first two elements of `plain/1`."
  def pair(type), do: plain(type)[0..1]

  @doc "Invertible matrices, symmetric and positive definite."
  def definite(type) do
    Nx.tensor([[4, 1, 0], [1, 3, 1], [0, 1, 2]], type: type, backend: Nx.BinaryBackend)
  end

  def tensor(numbers, type), do: Nx.tensor(numbers, type: type, backend: Nx.BinaryBackend)

  defp numbers({:u, _}), do: [0, 1, 2, 3, 5, 8, 100, 7]
  defp numbers({:s, _}), do: [0, 1, -1, 3, -5, 8, 100, -7]

  defp numbers({:c, _}) do
    for {re, im} <- [{0, 0}, {1, 0}, {0, 1}, {-2.5, 0.5}, {3, -4}, {0.25, 7}, {-1, -1}, {6, 2}],
        do: Complex.new(re, im)
  end

  defp numbers(_), do: [0.0, 1.0, -1.0, 2.5, -0.25, 7.0, -3.5, 0.5]

  defp ends({:u, bits}), do: [2 ** bits - 1, 2 ** (bits - 1)]
  defp ends({:s, bits}), do: [2 ** (bits - 1) - 1, -(2 ** (bits - 1))]
  defp ends({:c, _}), do: []
  defp ends(_), do: [:nan, :infinity, :neg_infinity]
end
