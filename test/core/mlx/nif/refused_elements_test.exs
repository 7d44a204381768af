defmodule Mlx.NIF.RefusedElementsTest do
  # Elements that an op refuses raise in Nx's words, without the op's name before them.
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.NIF

  @s32 {{:s, 32}, {}}

  defp number(value), do: NIF.from_binary(@s32, <<value::32-native>>, nil)

  defp message(exception, fun), do: assert_raise(exception, fun).message

  test "an index out of bounds names axis and shape" do
    index = NIF.from_binary({{:s, 32}, {1, 1}}, <<3::32-native>>, nil)
    gather = fn -> op(:gather, [tensor([1, 2]), index], {{:f, 32}, {1}}, axes: [0]) end

    assert message(ArgumentError, gather) ==
             "index 3 is out of bounds for axis 0 in shape {2}"
  end

  test "a negative shift names its direction" do
    assert message(ArgumentError, fn -> op(:left_shift, [number(1), number(-1)], @s32) end) ==
             "cannot left shift by -1"

    assert message(ArgumentError, fn -> op(:right_shift, [number(1), number(-2)], @s32) end) ==
             "cannot right shift by -2"
  end

  test "a zero on a diagonal makes a singular matrix" do
    zeros = NIF.from_binary({{:f, 32}, {1, 1}}, <<0::32>>, nil)
    solve = fn -> op(:triangular_solve, [zeros, tensor([1])], {{:f, 32}, {1}}) end
    assert message(ArgumentError, solve) == "can't solve for singular matrix"
  end

  test "arithmetic without an answer raises ArithmeticError" do
    for name <- [:quotient, :remainder] do
      assert message(ArithmeticError, fn -> op(name, [number(1), number(0)], @s32) end) ==
               "bad argument in arithmetic expression: division by zero"
    end

    complex =
      NIF.from_binary({{:c, 64}, {}}, <<1.0::float-32-native, 1.0::float-32-native>>, nil)

    assert message(ArithmeticError, fn -> op(:atan2, [number(1), complex], {{:c, 64}, {}}) end) ==
             "Complex.atan2 only accepts real numbers as arguments"
  end
end
