defmodule Mlx.Backend.TelemetryTest do
  # Handlers are the whole VM's.
  use ExUnit.Case, async: false

  @events for event <- [:eval, :to_binary],
              step <- [:start, :stop, :exception],
              do: [:mlx, event, step]

  defmodule State do
    defstruct [:params]
  end

  setup do
    events = [[:mlx, :memory, :collect] | @events]
    :telemetry.attach_many(__MODULE__, events, &__MODULE__.handle/4, self())
    on_exit(fn -> :telemetry.detach(__MODULE__) end)
  end

  # Other processes tell of their own.
  def handle(event, measurements, metadata, test) do
    if self() == test, do: send(test, {event, measurements, metadata})
  end

  defp tensor, do: Nx.tensor([1.0, 2.0], backend: Mlx.Backend)

  test "eval tells how many tensors" do
    Mlx.eval({tensor(), [tensor()]})
    assert_received {[:mlx, :eval, :start], %{system_time: _}, %{count: 2}}
    assert_received {[:mlx, :eval, :stop], %{duration: duration}, %{count: 2}}
    assert is_integer(duration)
    refute_received {[:mlx, :eval, :exception], _, _}
  end

  test "eval finds tensors of Mlx.Backend in every container" do
    for {container, count} <- [
          {tensor(), 1},
          {%{a: [tensor(), 1, nil], b: {tensor()}}, 2},
          {Nx.vectorize(tensor(), :x), 1},
          {%State{params: %{w: tensor(), b: [tensor()]}}, 2},
          {Task.async(fn -> :ok end), 0},
          {[Nx.tensor(1), Nx.template({}, :f32), tensor()], 1}
        ] do
      assert Mlx.eval(container) == container
      assert_received {[:mlx, :eval, :stop], _, %{count: ^count}}
    end
  end

  test "eval tells of exceptions" do
    gone = tensor()
    Nx.backend_deallocate(gone)
    assert_raise ArgumentError, fn -> Mlx.eval(gone) end
    assert_received {[:mlx, :eval, :start], _, _}

    assert_received {[:mlx, :eval, :exception], %{duration: _},
                     %{kind: :error, reason: %ArgumentError{}, count: 1}}
  end

  test "to_binary tells how many bytes" do
    Nx.to_binary(tensor())
    assert_received {[:mlx, :to_binary, :start], _, %{bytes: 8}}
    assert_received {[:mlx, :to_binary, :stop], _, %{bytes: 8}}
    Nx.to_binary(Nx.as_type(tensor(), :u8), limit: 1)
    assert_received {[:mlx, :to_binary, :stop], _, %{bytes: 1}}
  end

  test "a loop over large tensors tells of collections" do
    for i <- 1..400 do
      Nx.add(Nx.iota({250_000}, type: :f32, backend: Mlx.Backend), i) |> Mlx.eval()
    end

    assert_received {[:mlx, :memory, :collect], measurements, %{major?: major?}}
    assert is_boolean(major?)

    assert Enum.sort(Map.keys(measurements)) == [
             :active_bytes,
             :cache_bytes,
             :limit_bytes,
             :peak_bytes
           ]
  end
end
