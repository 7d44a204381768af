defmodule Bench.Reference do
  @moduledoc "What Nx's reference backend is a fair peer for: few elements out of many, many small tensors, and functions element by element."

  # Case -> function that makes inputs on the default backend and answers what is timed.
  def cases do
    %{
      "element_of_1m_f32" => fn -> of_waves({1_000_000}, &Nx.to_number(&1[123_456])) end,
      "element_of_1000_f32" => fn -> of_waves({1000}, &Nx.to_number(&1[123])) end,
      "slice_10_of_1m_f32" => fn -> of_waves({1_000_000}, &Nx.to_binary(&1[1000..1009])) end,
      "put_row_into_1000x1000_f32" => fn ->
        row = waves({1, 1000})
        of_waves({1000, 1000}, &ready(Nx.put_slice(&1, [500, 0], row)))
      end,
      "stack_10000_scalars" => fn ->
        scalars = for i <- 1..10_000, do: Nx.tensor(1.0 * i)
        fn -> ready(Nx.stack(scalars)) end
      end,
      "reduce_10000_with_function" => fn ->
        of_waves({10_000}, &Nx.to_number(Nx.reduce(&1, 0.0, fn x, sum -> Nx.add(x, sum) end)))
      end,
      "remainder_u64_then_add" => fn ->
        {a, b} = {Nx.u64(7), Nx.u64(4)}
        fn -> a |> Nx.remainder(b) |> Nx.add(1) |> Nx.to_number() end
      end,
      "randint_1000" => fn ->
        key = Nx.Random.key(1)
        fn -> key |> Nx.Random.randint(0, 100, shape: {1000}) |> elem(0) |> ready() end
      end,
      "shuffle_10000" => fn ->
        key = Nx.Random.key(1)
        of_waves({10_000}, &(key |> Nx.Random.shuffle(&1) |> elem(0) |> ready()))
      end
    }
  end

  defp waves(shape) do
    shape |> Nx.iota(type: :f64) |> Nx.sin() |> Nx.as_type(:f32) |> ready()
  end

  defp of_waves(shape, body) do
    x = waves(shape)
    fn -> body.(x) end
  end

  # The reference computes at once.
  defp ready(%{data: %Mlx.Backend{}} = tensor), do: Mlx.eval(tensor)
  defp ready(tensor), do: tensor
end
