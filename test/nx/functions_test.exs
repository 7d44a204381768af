defmodule Mlx.Backend.FunctionsTest do
  # reduce and window_reduce with functions of every kind.
  use ExUnit.Case, async: true

  setup do
    Nx.default_backend(Mlx.Backend)
    :ok
  end

  defp numbers, do: Nx.tensor([[1, 2, 3], [4, 5, 6]])

  # The answer of both, compared with what Nx.BinaryBackend says.
  defp assert_reduces(fun, initial \\ 0, tensor \\ numbers()) do
    for axes <- [[0], [1], [-1], [0, 1]] do
      ours = Nx.reduce(tensor, initial, [axes: axes], fun)

      theirs =
        Nx.with_default_backend(Nx.BinaryBackend, fn ->
          Nx.reduce(Nx.backend_copy(tensor, Nx.BinaryBackend), initial, [axes: axes], fun)
        end)

      assert {ours.type, ours.shape} == {theirs.type, theirs.shape}
      assert Nx.to_flat_list(ours) == Nx.to_flat_list(theirs)
    end
  end

  test "functions of Nx" do
    assert_reduces(&Nx.add/2)
    assert_reduces(&Nx.multiply/2, 1)
    assert_reduces(&Nx.max/2, -100)
    assert_reduces(fn x, acc -> Nx.add(Nx.multiply(acc, 2), x) end)
    assert_reduces(fn x, acc -> Nx.select(Nx.greater(x, 3), Nx.add(acc, x), acc) end)
  end

  test "the order of the elements is Nx's" do
    assert_reduces(fn x, acc -> Nx.subtract(x, acc) end)
    assert_reduces(fn x, acc -> Nx.add(Nx.multiply(acc, 10), x) end)
  end

  test "a function that ignores an argument, or both" do
    assert_reduces(fn x, _ -> x end)
    assert_reduces(fn _, acc -> acc end, 7)
    assert_reduces(fn _, _ -> Nx.tensor(5) end)
    assert_reduces(fn _, _ -> 5 end)
  end

  test "a function that looks at numbers" do
    assert_reduces(fn x, acc ->
      if Nx.to_number(x) > 2, do: Nx.add(acc, x), else: acc
    end)

    assert_reduces(fn x, acc -> max(Nx.to_number(x), Nx.to_number(acc)) end)
  end

  test "a function of several clauses" do
    fun = fn x, acc ->
      case Nx.to_number(Nx.remainder(x, 2)) do
        0 -> Nx.add(acc, x)
        1 -> acc
      end
    end

    assert_reduces(fun)
  end

  test "a function that evaluates tensors and makes some" do
    assert_reduces(fn x, acc ->
      y = Mlx.eval(Nx.add(x, Nx.tensor(1)))
      Nx.add(acc, Nx.multiply(y, Nx.reduce(Nx.tensor([1, 1]), 0, &Nx.add/2)))
    end)
  end

  test "a function that works in tasks" do
    assert_reduces(fn x, acc ->
      [a, b] =
        Task.await_many([
          Task.async(fn -> Nx.add(x, 1) end),
          Task.async(fn -> Nx.add(acc, 1) end)
        ])

      Nx.add(a, b)
    end)
  end

  test "what a function raises, throws or exits with reaches the caller, and the next call works" do
    for _ <- 1..3 do
      assert_raise RuntimeError, "no", fn ->
        Nx.reduce(numbers(), 0, fn _, _ -> raise "no" end)
      end

      assert catch_throw(Nx.reduce(numbers(), 0, fn _, _ -> throw(:ball) end)) == :ball
      assert catch_exit(Nx.reduce(numbers(), 0, fn _, _ -> exit(:away) end)) == :away

      assert_raise ArgumentError, ~r/shape/, fn ->
        Nx.reduce(numbers(), 0, fn x, _ -> Nx.dot(Nx.broadcast(x, {2}), Nx.iota({3})) end)
      end

      assert Nx.to_number(Nx.reduce(numbers(), 0, &Nx.add/2)) == 21
    end

    refute_received _
  end

  test "the exception keeps where it was raised" do
    Nx.reduce(numbers(), 0, fn _, _ -> raise "here" end)
  rescue
    RuntimeError -> assert Enum.any?(__STACKTRACE__, &match?({__MODULE__, _, _, _}, &1))
  end

  test "a function that fails for single elements only" do
    assert_raise RuntimeError, "five", fn ->
      Nx.reduce(numbers(), 0, fn x, acc ->
        if Nx.to_number(x) == 5, do: raise("five"), else: Nx.add(x, acc)
      end)
    end
  end

  test "every type" do
    for type <- Mlx.Dtype.all() do
      tensor = Nx.as_type(numbers(), type)
      zero = Nx.tensor(0, type: type)

      assert Nx.reduce(tensor, zero, &Nx.add/2) |> Nx.as_type(:f32) |> Nx.real() |> Nx.to_number() ==
               21.0
    end
  end

  test "names and kept axes" do
    tensor = Nx.tensor([[1, 2, 3], [4, 5, 6]], names: [:x, :y])
    assert %{shape: {3}, names: [:y]} = Nx.reduce(tensor, 0, [axes: [:x]], &Nx.add/2)
    kept = Nx.reduce(tensor, 0, [axes: [:x], keep_axes: true], &Nx.add/2)
    assert %{shape: {1, 3}, names: [:x, :y]} = kept
  end

  test "window_reduce: windows, strides, padding and dilations" do
    tensor = Nx.iota({4, 5})

    for options <- [
          [],
          [strides: [2, 1]],
          [padding: :same],
          [padding: [{1, 0}, {0, 2}]],
          [window_dilations: [2, 1]]
        ],
        fun <- [&Nx.max/2, &Nx.add/2, fn x, acc -> max(Nx.to_number(x), Nx.to_number(acc)) end] do
      ours = Nx.window_reduce(tensor, 0, {2, 2}, options, fun)

      theirs =
        Nx.with_default_backend(Nx.BinaryBackend, fn ->
          Nx.window_reduce(Nx.iota({4, 5}), 0, {2, 2}, options, fun)
        end)

      assert ours.shape == theirs.shape
      assert Nx.to_flat_list(ours) == Nx.to_flat_list(theirs)
    end
  end

  test "a function that looks at no numbers is called once, whatever there is to fold" do
    calls = :counters.new(1, [])

    fun = fn x, acc ->
      :counters.add(calls, 1, 1)
      Nx.add(Nx.multiply(acc, 0.5), x)
    end

    ours = Nx.iota({3_000, 2}, type: :f32) |> Nx.reduce(1.0, [axes: [0]], fun)
    assert Nx.to_flat_list(ours) == [11_992.0, 11_994.0]
    assert :counters.get(calls, 1) <= 2
  end

  test "large tensors take few calls" do
    test = self()

    fun = fn x, acc ->
      send(test, :called)
      Nx.add(x, acc)
    end

    assert Nx.to_number(Nx.reduce(Nx.iota({1000, 64}), 0, [axes: [0]], fun) |> Nx.sum()) ==
             div(63_999 * 64_000, 2)

    {:messages, messages} = Process.info(self(), :messages)
    assert length(messages) <= 1000
  end

  test "a function may be called under a stream, and sees it" do
    stream = Mlx.Stream.new()

    Mlx.Stream.with_stream(stream, fn ->
      result =
        Nx.reduce(numbers(), 0, fn x, acc ->
          assert Mlx.Stream.where() == stream.ref
          Nx.add(x, acc)
        end)

      assert Nx.to_number(result) == 21
    end)
  end
end
