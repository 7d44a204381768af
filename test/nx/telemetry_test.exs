defmodule Mlx.Backend.TelemetryTest do
  # Handlers are the whole VM's.
  use ExUnit.Case, async: false

  @events for event <- [:eval, :to_binary],
              step <- [:start, :stop, :exception],
              do: [:mlx, event, step]
  @generate for step <- [:start, :stop, :exception], do: [:mlx, :llm, :generate, step]

  defmodule State do
    defstruct [:params]
  end

  setup do
    events = [[:mlx, :memory, :collect], [:mlx, :f64_on_cpu] | @events ++ @generate]
    :telemetry.attach_many(__MODULE__, events, &__MODULE__.handle/4, self())
    on_exit(fn -> :telemetry.detach(__MODULE__) end)
  end

  # Other processes tell of their own.
  def handle(event, measurements, metadata, test) do
    if self() == test, do: send(test, {event, measurements, metadata})
  end

  defp tensor, do: Nx.tensor([1.0, 2.0], backend: Mlx.Backend)

  # Too large to be computed at once.
  defp lazy, do: Nx.iota({10_000}, type: :f32, backend: Mlx.Backend)

  test "eval tells how many tensors" do
    Mlx.eval({lazy(), [lazy()]})
    assert_received {[:mlx, :eval, :start], %{system_time: _}, %{count: 2}}
    assert_received {[:mlx, :eval, :stop], %{duration: duration}, %{count: 2}}
    assert is_integer(duration)
    refute_received {[:mlx, :eval, :exception], _, _}
  end

  test "eval finds tensors of Mlx.Backend in every container" do
    for {container, count} <- [
          {lazy(), 1},
          {%{a: [lazy(), 1, nil], b: {lazy()}}, 2},
          {Nx.vectorize(lazy(), :x), 1},
          {%State{params: %{w: lazy(), b: [lazy()]}}, 2},
          {[Nx.tensor(1), Nx.template({}, :f32), lazy()], 1}
        ] do
      assert Mlx.eval(container) == container
      assert_received {[:mlx, :eval, :stop], _, %{count: ^count}}
    end
  end

  test "eval of what is computed already is no event" do
    computed = Mlx.eval(lazy())
    assert_received {[:mlx, :eval, :start], _, _}
    assert_received {[:mlx, :eval, :stop], _, _}

    for container <- [computed, tensor(), [], Task.async(fn -> :ok end)] do
      assert Mlx.eval(container) == container
      refute_received {[:mlx, :eval, _], _, _}
    end

    Mlx.eval({computed, lazy()})
    assert_received {[:mlx, :eval, :stop], _, %{count: 2}}
  end

  test "eval tells of exceptions" do
    gone = lazy()
    Nx.backend_deallocate(gone)
    assert_raise ArgumentError, fn -> Mlx.eval(gone) end
    assert_received {[:mlx, :eval, :start], _, _}

    assert_received {[:mlx, :eval, :exception], %{duration: _},
                     %{kind: :error, reason: %ArgumentError{}, count: 1}}
  end

  test "to_binary tells how many bytes" do
    many = Nx.iota({300}, type: :s32, backend: Mlx.Backend)
    Nx.to_binary(many)
    assert_received {[:mlx, :to_binary, :start], _, %{bytes: 1200}}
    assert_received {[:mlx, :to_binary, :stop], _, %{bytes: 1200}}
    Nx.to_binary(many, limit: 257)
    assert_received {[:mlx, :to_binary, :stop], _, %{bytes: 1028}}
  end

  test "reading little of what is computed is no event" do
    many = Nx.iota({300}, type: :s32, backend: Mlx.Backend)
    assert Nx.to_binary(many, limit: 2) == <<0::32-native, 1::32-native>>
    assert Nx.to_number(many[256]) == 256
    refute_received {[:mlx, :to_binary, _], _, _}
  end

  test "an answer that tells of f64 ops on the CPU is an event" do
    assert Mlx.Memory.collected({:collect, false, {:f64_on_cpu, 3, :result}}) == :result
    assert_received {[:mlx, :f64_on_cpu], %{count: 3}, %{}}
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

  test "results in the memory of donated arguments ask for no collections" do
    step = Nx.Defn.jit(&Nx.multiply(&1, 0.5), compiler: Mlx.Compiler)
    x = Nx.iota({1_000_000}, type: :f32, backend: Mlx.Backend)

    [kept, donated] =
      for mark <- [& &1, &Nx.donatable/1] do
        Enum.reduce(1..40, x, fn _, x -> x |> mark.() |> step.() |> Mlx.eval() end)
        collections(0)
      end

    # Schedulers count for all of their processes.
    assert kept >= 10 and donated <= 5
  end

  defp collections(count) do
    receive do
      {[:mlx, :memory, :collect], _, _} -> collections(count + 1)
      {[:mlx, _, _], _, _} -> collections(count)
    after
      0 -> count
    end
  end

  if reason = Mlx.TinyModel.missing() do
    @tag skip: reason
  end

  @tag :tmp_dir
  test "texts of language models tell how they went", %{tmp_dir: folder} do
    model = folder |> Mlx.TinyModel.write!() |> Mlx.LLM.load!()
    stream = Mlx.LLM.stream(model, "Hello", max_tokens: 3)
    refute_received {[:mlx, :llm, :generate, _], _, _}
    Enum.to_list(stream)
    assert_received {[:mlx, :llm, :generate, :start], %{system_time: _}, metadata}
    assert %{family: "llama", telemetry_span_context: span} = metadata
    assert_received {[:mlx, :llm, :generate, :stop], measured, metadata}
    assert %{family: "llama", telemetry_span_context: ^span, finish_reason: :length} = metadata
    assert %{prompt_tokens: 5, generation_tokens: 3, duration: duration} = measured
    assert is_integer(duration) and measured.prompt_seconds > 0

    Enum.take(stream, 1)
    assert_received {[:mlx, :llm, :generate, :stop], %{generation_tokens: 0}, metadata}
    assert %{finish_reason: :halted} = metadata

    assert_raise ArgumentError, fn -> Mlx.LLM.generate(model, [300]) end
    assert_received {[:mlx, :llm, :generate, :exception], %{duration: _}, metadata}
    assert %{kind: :error, reason: %ArgumentError{}, stacktrace: [_ | _]} = metadata
    refute_received {[:mlx, :llm, :generate, :stop], _, _}
  end
end
