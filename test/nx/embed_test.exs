defmodule Mlx.Backend.EmbedTest do
  use ExUnit.Case, async: true

  alias Mlx.{LLM, TinyBert, TinyModel}

  if reason = TinyModel.missing() do
    @moduletag skip: reason
  end

  @tag :tmp_dir
  test "embeddings are lazy tensors of the backend, ready for Nx", %{tmp_dir: folder} do
    embedder = folder |> TinyBert.write!() |> LLM.load_embedder!()
    vectors = LLM.embed(embedder, ["The cat sleeps.", "the cat sleeps.", "dogs run"])
    assert %Nx.Tensor{type: {:f, 32}, shape: {3, 8}, data: %Mlx.Backend{}} = vectors
    cosines = Nx.dot(vectors, [1], vectors, [1])
    assert cosines.shape == {3, 3}

    for {row, i} <- Enum.with_index(Nx.to_list(cosines)) do
      assert_in_delta Enum.at(row, i), 1, 1.0e-5
      assert Enum.all?(row, &(&1 < 1.00001))
    end

    assert_in_delta Nx.to_number(cosines[0][1]), 1, 1.0e-5
    other = Nx.to_number(cosines[0][2])
    assert other < 0.9999
  end
end
