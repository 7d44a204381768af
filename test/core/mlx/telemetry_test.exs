defmodule Mlx.TelemetryTest do
  # What holds with the telemetry package and without it; test/nx has the events.
  use ExUnit.Case, async: true

  alias Mlx.Telemetry

  test "span answers what the function answers, and lets its exceptions through" do
    assert Telemetry.span(:test, %{count: 1}, fn -> {:ok, 1} end) == {:ok, 1}
    assert_raise RuntimeError, "no", fn -> Telemetry.span(:test, %{}, fn -> raise "no" end) end
    assert catch_throw(Telemetry.span(:test, %{}, fn -> throw(:no) end)) == :no
  end

  test "execute answers :ok" do
    assert Telemetry.execute([:test], %{bytes: 1}, %{}) == :ok
  end

  test "available? tells whether the package is there" do
    # Attaching the first handler loads it.
    assert Code.ensure_loaded?(:telemetry) == Telemetry.available?()
  end
end
