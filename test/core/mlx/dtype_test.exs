defmodule Mlx.DtypeTest do
  use ExUnit.Case, async: true

  doctest Mlx.Dtype
end
