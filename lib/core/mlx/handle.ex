defprotocol Mlx.Handle do
  # How the core finds the handle in a struct that another layer defines.
  @moduledoc false

  @fallback_to_any true

  @doc "The handle that `struct` holds, or nil."
  @spec fetch(t) :: reference() | nil
  def fetch(struct)
end

defimpl Mlx.Handle, for: Any do
  def fetch(_), do: nil
end
