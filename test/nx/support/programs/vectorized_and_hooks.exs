defmodule Mlx.Programs.VectorizedAndHooks do
  @moduledoc "Vectorized axes, and what programs tell or ask their host."
  import Nx.Defn

  defn(add(x, y), do: x + y)
  defn(dot(x, y), do: Nx.dot(x, y))
  defn(normalise(x), do: x / Nx.sqrt(Nx.sum(x * x)))
  defn(sum_of_squares(x), do: Nx.sum(x ** 2))
  defn(sorted(x), do: {Nx.sort(x), Nx.argmax(x)})
  defn(gradient(x), do: grad(x, &Nx.sum(Nx.sin(&1))))
  defn(solve(a, b), do: Nx.LinAlg.solve(a, b))
  defn(into_vectors(x), do: x |> Nx.vectorize(:rows) |> Nx.sum() |> Nx.devectorize())
  defn(branch(p, x, y), do: if(p, do: x * 2, else: y - 1))

  defn steps(n) do
    {i, _} = while({i = 0, n}, i < n, do: {i + 1, n})
    i
  end

  defn(random(key), do: Nx.Random.uniform(key, shape: {2}))

  defn(told(x), do: io_call(x * 2, :doubled, & &1) + 1)

  defn told_twice(x) do
    x = io_call(x + 1, :first, & &1)
    io_call(x * 10, :second, & &1) - 1
  end

  defn told_in_branch(x) do
    if Nx.sum(x) > 0, do: io_call(x, :positive, & &1), else: io_call(-x, :negative, & &1)
  end

  defn told_in_loop(n) do
    {i, _} =
      while {i = 0, n}, i < n do
        {io_call(i, :step, & &1) + 1, n}
      end

    i
  end

  defn told_container(x, y) do
    {sum, difference} = io_call({x + y, x - y}, :pair, & &1)
    sum * difference
  end

  defn(asked(x), do: x |> Nx.add(1) |> on_host(&Nx.multiply(&1, 10)) |> Nx.negate())

  defn asked_in_loop(x) do
    {x, _} = while({x, i = 0}, i < 3, do: {on_host(x, &Nx.add(&1, 0.5)), i + 1})
    x
  end

  deftransformp on_host(x, fun) do
    Nx.runtime_call(Nx.template(Nx.shape(x), Nx.type(x)), x, [], fn x, _options -> fun.(x) end)
  end

  @matrix [[1.0, 2.0, 3.0], [0.5, -1.0, 4.0]]

  def all do
    rows = Nx.vectorize(Nx.tensor(@matrix), :rows)
    columns = Nx.vectorize(Nx.tensor([10.0, 20.0]), :columns)
    keys = Nx.Random.key(1) |> Nx.Random.split(parts: 3) |> Nx.vectorize(:keys)
    matrices = Nx.vectorize(Nx.tensor([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 0.0], [0.5, 4.0]]]), :m)

    [
      {"vectorized sum", &add/2, [rows, [1.0, 1.0, 1.0]]},
      {"vectors of two axes", &add/2, [rows, columns]},
      {"vectorized dot", &dot/2, [rows, [1.0, 0.0, 2.0]]},
      {"vectorized norm", &normalise/1, [rows]},
      {"vectorized reduction", &sum_of_squares/1, [rows]},
      {"vectorized sort", &sorted/1, [rows]},
      {"vectorized gradient", &gradient/1, [rows]},
      {"vectorized solve", &solve/2, [matrices, [1.0, 2.0]]},
      {"vectorize inside", &into_vectors/1, [@matrix]},
      {"vectorized branch", &branch/3, [Nx.vectorize(Nx.tensor([1, 0, 1]), :p), 5, 7]},
      {"vectorized loop", &steps/1, [Nx.vectorize(Nx.tensor([3, 0, 5]), :n)]},
      {"vectorized random numbers", &random/1, [keys]},
      {"hook", &told/1, [[1, 2]]},
      {"two hooks in order", &told_twice/1, [[1.5, 2.5]]},
      {"hook in a branch", &told_in_branch/1, [[1, 2]]},
      {"hook in the other branch", &told_in_branch/1, [[-1]]},
      {"hook in a loop", &told_in_loop/1, [3]},
      {"hook of a container", &told_container/2, [[1, 2], [10, 20]]},
      {"runtime call", &asked/1, [[1, 2]]},
      {"runtime calls in a loop", &asked_in_loop/1, [[0.25, 1.0]]}
    ]
  end
end
