defmodule MlxTest do
  use ExUnit.Case, async: true

  doctest Mlx

  test "versions names the package, MLX and the origin of mlx-c" do
    versions = Mlx.versions()
    [_, of_the_library] = Regex.run(~r/^  VERSION (\S+)$/m, File.read!("native/CMakeLists.txt"))
    assert versions.elixir_mlx == of_the_library
    assert versions.mlx =~ ~r/^0\.\d+\.\d+$/
    assert versions.mlx_c in [:system, :fetch, :bundled]
  end

  test "eval leaves what is not a tensor alone" do
    container = %{a: {1, [2.0]}, b: "text"}
    assert Mlx.eval(container) == container
  end
end
