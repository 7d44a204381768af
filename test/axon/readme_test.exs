defmodule Mlx.Axon.ReadmeTest do
  use ExUnit.Case, async: false

  @moduletag :capture_log

  @tag :tmp_dir
  test "the example runs as written", %{tmp_dir: folder} do
    [_, block] =
      Regex.run(~r/^## With Axon\n.*?^```elixir\n(.*?)^```$/ms, File.read!("README.md"))

    {back, bindings} = File.cd!(folder, fn -> Code.eval_string(block) end)

    assert Nx.to_list(back.data["dense_1"]["bias"]) ==
             Nx.to_list(bindings[:state].data["dense_1"]["bias"])

    assert bindings[:packed].data["dense_0"]["weight"].shape == {128, 16}
  end
end
