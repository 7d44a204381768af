defmodule Mlx.LLM.Cache do
  @moduledoc """
  What a conversation with a language model has come to: see `Mlx.LLM.new_cache/1`.
  """

  @enforce_keys [:ref]
  defstruct [:ref]

  @opaque t :: %__MODULE__{ref: reference()}
end
