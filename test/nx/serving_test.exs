defmodule Mlx.ServingTest do
  # What builds on a compiler: servings with batches, partitions and streams, and graphs in stages.
  use ExUnit.Case, async: true
  import Nx.Defn

  defn(steps(x), do: x |> Nx.multiply(2) |> io_call(:doubled) |> Nx.add(1) |> io_call(:added))

  defp serving(fun, options \\ []) do
    Nx.Serving.new(fn compiler -> jit(fun, compiler) end, [compiler: Mlx.Compiler] ++ options)
  end

  defp start(serving, name, options) do
    start_supervised!({Nx.Serving, [serving: serving, name: name] ++ options}, id: name)
  end

  defp rows(rows), do: rows |> Enum.map(&Nx.tensor/1) |> Nx.Batch.stack()

  test "a serving runs in the calling process" do
    result = Nx.Serving.run(serving(&Nx.multiply(&1, 2)), rows([[1, 2], [3, 4]]))
    assert %Mlx.Backend{} = result.data
    assert Nx.to_list(result) == [[2, 4], [6, 8]]
  end

  test "callers that meet share a batch", %{test: name} do
    start(serving(&Nx.multiply(&1, 2)), name, batch_size: 4, batch_timeout: 10_000)

    tasks =
      for i <- 1..4 do
        Task.async(fn -> Nx.Serving.batched_run(name, rows([[i, 10 * i]])) |> Nx.to_list() end)
      end

    assert Task.await_many(tasks, 20_000) == for(i <- 1..4, do: [[2 * i, 20 * i]])
  end

  test "a batch that is not full is padded, a larger one split", %{test: name} do
    start(serving(&Nx.negate/1), name, batch_size: 4, batch_timeout: 10)
    assert Nx.to_list(Nx.Serving.batched_run(name, rows([[1]]))) == [[-1]]
    many = for i <- 1..10, do: [i]
    assert Nx.to_list(Nx.Serving.batched_run(name, rows(many))) == for([i] <- many, do: [-i])
  end

  test "partitions work side by side", %{test: name} do
    serving = serving(&Nx.add(&1, 1), max_concurrency: 2)
    start(serving, name, batch_size: 1, partitions: true)

    answers =
      1..20
      |> Task.async_stream(&Nx.to_list(Nx.Serving.batched_run(name, rows([[&1]]))))
      |> Enum.map(fn {:ok, answer} -> answer end)

    assert answers == for(i <- 1..20, do: [[i + 1]])
  end

  test "hooks stream what a batch computes on its way", %{test: name} do
    serving = serving(&steps/1) |> Nx.Serving.streaming(hooks: [:doubled, :added])
    start(serving, name, batch_size: 2, batch_timeout: 100)

    events = name |> Nx.Serving.batched_run(rows([[1], [2]])) |> Enum.to_list()
    assert [{:doubled, doubled}, {:added, added}, {:batch, result, _}] = events
    assert Nx.to_list(doubled) == [[2], [4]]
    assert Nx.to_list(added) == [[3], [5]]
    assert Nx.to_list(result) == [[3], [5]]
  end

  test "a serving survives a function that raises", %{test: name} do
    fun = fn x ->
      Nx.runtime_call(x, x, [], fn x, _ ->
        if Nx.to_number(Nx.sum(x)) < 0, do: raise("negative"), else: x
      end)
    end

    start(serving(fun), name, batch_size: 1)

    ExUnit.CaptureLog.capture_log(fn ->
      catch_exit(Nx.Serving.batched_run(name, rows([[-1]])))
    end)

    assert Nx.to_list(Nx.Serving.batched_run(name, rows([[5]]))) == [[5]]
  end

  test "a graph split into stages runs stage by stage" do
    x = Nx.tensor([1.0, 2.0])
    expression = debug_expr(fn x, y -> x |> Nx.exp() |> Nx.add(y) |> Nx.log() end).(x, 3.0)

    stages =
      Nx.Defn.Graph.split(expression, fn
        %Nx.Tensor{data: %Nx.Defn.Expr{op: :add}} -> :before
        _ -> :none
      end)

    assert length(stages) == 2
    result = Nx.Defn.Graph.run(stages, [x, Nx.tensor(3.0)], compiler: Mlx.Compiler)
    assert %Mlx.Backend{} = result.data
    expected = for x <- [1.0, 2.0], do: :math.log(:math.exp(x) + 3.0)
    Enum.zip_with(Nx.to_list(result), expected, &assert_in_delta(&1, &2, 1.0e-6))
  end
end
