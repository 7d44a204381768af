defmodule Mlx.Rows.Elementwise do
  @moduledoc """
  Rows of callbacks that work element by element, and of creation. `Mlx.Rows` says what a row is.
  """

  # Nx.BinaryBackend raises, or answers NaN for an infinity, where these leave the reals: other operands, and special values
  # where it has answers.
  @everywhere [:exp, :expm1, :sigmoid, :cos, :sin, :tan, :cosh, :sinh, :tanh, :asinh, :cbrt]
  @right_of_zero [:sqrt, :rsqrt, :log, :log1p]
  @same_unary [:abs, :negate, :sign]
  @equality [:equal, :not_equal]
  @order [:greater, :greater_equal, :less, :less_equal]
  @logical [:logical_and, :logical_or, :logical_xor]
  @bitwise [:bitwise_and, :bitwise_or, :bitwise_xor]

  def rows, do: creation() ++ unary() ++ binary() ++ merging()

  defp creation do
    [
      {:constant, :all, [], fn type -> Nx.broadcast(Nx.tensor(3, type: type), {2, 2}) end},
      {:constant, :float, [],
       fn type -> Enum.map([:nan, :infinity, :neg_infinity], &Nx.tensor(&1, type: type)) end},
      {:eye, :all, [], fn type -> [Nx.eye(3, type: type), Nx.eye({2, 2, 3}, type: type)] end},
      {:iota, :all, [],
       fn type -> for axis <- [nil, 0, 1, -1], do: Nx.iota({2, 3}, axis: axis, type: type) end}
    ]
  end

  defp unary do
    unary(@everywhere ++ @same_unary, :all, [:plain]) ++
      unary(@everywhere ++ @same_unary, :float, [:scalar, :matrix]) ++
      unary((@everywhere -- [:tanh]) ++ @same_unary ++ [:atan], :float, [:vector]) ++
      unary(@right_of_zero ++ [:acosh], :all, [:from_one]) ++
      unary(@right_of_zero -- [:rsqrt], :float, [:positive]) ++
      unary([:acos, :asin, :atan], :all, [:unit]) ++
      unary([:atanh], :inexact, [:unit]) ++
      unary([:erf, :erfc, :erf_inv], :real, [:unit]) ++
      unary([:ceil, :floor, :round], :real, [:plain, :scalar, :matrix]) ++
      unary([:bitwise_not, :count_leading_zeros, :population_count], :integer, [:vector, :scalar]) ++
      unary([:is_nan, :is_infinity], :all, [:vector, :scalar]) ++
      unary([:real, :imag], :all, [:matrix, :scalar]) ++
      unary([:conjugate], :no_c128, [:matrix, :scalar])
  end

  defp unary(names, kind, inputs) do
    for name <- names, input <- inputs, do: {name, kind, [input], &apply(Nx, name, [&1])}
  end

  defp binary do
    broadcast = [[:plain, :reversed], [:matrix, :matrix], [:scalar, :cube], [:cube, :pair]]

    binary([:add, :subtract, :multiply] ++ @equality ++ @logical, :all, broadcast) ++
      binary(@order ++ [:min, :max, :atan2], :real, broadcast) ++
      binary(@order ++ @equality ++ [:min, :max], :float, [[:vector, :scalar]]) ++
      binary([:add, :subtract, :multiply, :divide], :float, [[:vector, :scalar]]) ++
      binary(@bitwise, :integer, broadcast) ++
      binary([:divide], :all, [[:plain, :from_one], [:scalar, :from_one]]) ++
      binary([:remainder], :real, [[:plain, :from_one], [:scalar, :from_one]]) ++
      binary([:quotient], :integer, [[:plain, :from_one], [:scalar, :from_one]]) ++
      binary([:pow], :inexact, [[:from_one, :plain]]) ++
      binary([:pow], :integer, [[:plain, :small]]) ++
      binary([:left_shift, :right_shift], :integer, [[:plain, :shifts]])
  end

  defp binary(names, kind, inputs) do
    for name <- names, operands <- inputs, do: {name, kind, operands, &apply(Nx, name, [&1, &2])}
  end

  # Types merge, and numbers become constants.
  defp merging do
    for name <- [:add, :multiply, :min, :greater, :divide] do
      {name, :real, [:plain],
       fn tensor ->
         [
           apply(Nx, name, [tensor, Nx.tensor(2, type: :u8)]),
           apply(Nx, name, [Nx.tensor(2, type: :s32), Nx.abs(tensor) |> Nx.add(1)]),
           apply(Nx, name, [tensor, Nx.tensor(1.5, type: :f32)]),
           apply(Nx, name, [tensor, 2]),
           apply(Nx, name, [1.5, Nx.add(Nx.abs(tensor), 1)])
         ]
       end}
    end
  end
end
