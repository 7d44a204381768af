defmodule Mlx.ProgramsTest do
  use ExUnit.Case, async: true
  import Mlx.Compare, only: [assert_answer: 3]

  # Functions can't be written into a test's body; their place in the list can.
  for {{name, _fun, _arguments}, i} <- Enum.with_index(Mlx.Programs.all()) do
    test "#{name}" do
      {_name, fun, arguments} = Enum.at(Mlx.Programs.all(), unquote(i))

      expected =
        Nx.with_default_backend(Nx.BinaryBackend, fn ->
          apply(Nx.Defn.jit(fun, compiler: Nx.Defn.Evaluator), arguments)
        end)

      result = apply(Nx.Defn.jit(fun, compiler: Mlx.Compiler), arguments)
      assert_answer(result, expected, tolerance: 1.0e-5)
    end
  end

  test "names are told apart" do
    names = for {name, _, _} <- Mlx.Programs.all(), do: name
    assert names == Enum.uniq(names)
    assert length(names) >= 200
  end
end
