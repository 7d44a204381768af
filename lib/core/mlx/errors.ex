defmodule Mlx.Error do
  @moduledoc """
  MLX refused: no memory, a device failure, a stopped stream.

  Bad arguments raise `ArgumentError` instead, as in Nx.
  """
  defexception [:message]
end

defmodule Mlx.UnsupportedError do
  @moduledoc """
  A correct request that this device or version can't serve, such as an 8-bit float.
  """
  defexception [:message]
end

defmodule Mlx.FormatError do
  @moduledoc """
  A file is not what its format demands.
  """
  defexception [:message]
end

defmodule Mlx.HubError do
  @moduledoc """
  A hub can't be reached, or does not give what was asked for: `Mlx.Hub`.
  """
  defexception [:message]
end
