defmodule Mlx.LLM.Embedder do
  @moduledoc """
  A model of embeddings, as `Mlx.LLM.load_embedder!/2` loads it: vectors for texts, near each other where the texts mean something alike.

      embedder = Mlx.LLM.load_embedder!("sentence-transformers/all-MiniLM-L6-v2")
      vectors = Mlx.LLM.embed(embedder, ["A cat sleeps.", "The kitten naps.", "Rates rise."])
      Nx.dot(vectors, [1], vectors, [1])

  Its fields are what `Mlx.LLM.embed/3` does unless it is told otherwise. They come from the folder's files for sentence-transformers, where
  they are: `modules.json` and the pooling that it names, and `sentence_bert_config.json`. Else vectors have the length 1, and are the mean
  for encoders and the last token's for others; `:max_length` is the number of positions, or nil where any length is taken.

  Any number of processes may use one at once.
  """

  @enforce_keys [:ref, :path]
  @derive {Inspect, except: [:ref]}
  defstruct [:ref, :path, :pooling, :normalize, :max_length]

  @type t :: %__MODULE__{
          ref: reference(),
          path: Path.t(),
          pooling: :mean | :cls | :last,
          normalize: boolean(),
          max_length: pos_integer() | nil
        }
end
