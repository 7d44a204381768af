defmodule Mlx.Rows.Aggregate do
  @moduledoc """
  Rows of callbacks that put elements together: reductions, windows, products, transforms. `Mlx.Rows` says what a row is.
  """

  def rows, do: reductions() ++ extremes() ++ windows() ++ functions() ++ products()

  @axes [[], [axes: [0]], [axes: [-1]], [axes: [0, 2]], [axes: [1], keep_axes: true]]

  defp reductions do
    for {name, kind} <- [sum: :all, all: :real, any: :real, reduce_max: :real, reduce_min: :real] do
      {name, kind, [:cube], fn t -> for way <- @axes, do: apply(Nx, name, [t, way]) end}
    end ++
      for name <- [:sum, :product, :all, :any, :reduce_max, :reduce_min] do
        {name, :float, [:vector], &apply(Nx, name, [&1])}
      end ++
      [
        {:product, :all, [:small], fn t -> for way <- @axes, do: Nx.product(cube(t), way) end},
        {:sum, :real, [:scalar], &[Nx.sum(&1), Nx.product(&1), Nx.all(&1), Nx.reduce_max(&1)]}
      ]
  end

  defp cube(tensor), do: Nx.reshape(tensor, {2, 2, 2})

  defp extremes do
    ways = [[], [axis: 0], [axis: -1, keep_axis: true], [tie_break: :high], [axis: 1, type: :u8]]

    for name <- [:argmax, :argmin], input <- [:matrix, :shuffled] do
      {name, :real, [input],
       fn t -> for way <- ways, do: apply(Nx, name, [Nx.reshape(t, {2, 4}), way]) end}
    end
  end

  defp windows do
    ways = [
      [],
      [strides: [1, 2]],
      [padding: :same],
      [padding: [{1, 0}, {0, 2}]],
      [window_dilations: [1, 2]]
    ]

    window = fn name, t -> for way <- ways, do: apply(Nx, name, [t, {2, 2}, way]) end

    [
      {:window_sum, :all, [:matrix], &window.(:window_sum, &1)},
      {:window_product, :all, [:small], &window.(:window_product, Nx.reshape(&1, {2, 4}))},
      {:window_max, :real, [:matrix], &window.(:window_max, &1)},
      {:window_min, :real, [:matrix], &window.(:window_min, &1)}
    ] ++
      for name <- [:window_scatter_max, :window_scatter_min] do
        {name, :real, [:shuffled, :pair],
         fn t, source ->
           source = Nx.reshape(source, {1, 2})
           options = [strides: [2, 2], padding: :valid]
           apply(Nx, name, [Nx.reshape(t, {2, 4}), source, 0, {2, 2}, options])
         end}
      end
  end

  defp functions do
    [
      {:reduce, :all, [:cube],
       fn t -> for way <- @axes, do: Nx.reduce(t, zero(t), way, adding(t.type)) end},
      {:reduce, :real, [:matrix],
       &Nx.reduce(&1, zero(&1), [axes: [1]], fn x, acc -> Nx.max(x, acc) end)},
      {:window_reduce, :real, [:matrix],
       fn t ->
         for way <- [[], [strides: [1, 2]], [padding: :same]],
             do: Nx.window_reduce(t, zero(t), {2, 2}, way, adding(t.type))
       end}
    ]
  end

  defp zero(tensor), do: Nx.tensor(0, type: tensor.type)

  # Nx.BinaryBackend wants the accumulator's own type, and its scalars merge as numbers do.
  defp adding(type), do: &Nx.as_type(Nx.add(&1, &2), type)

  defp products do
    [
      {:dot, :all, [:small, :small],
       fn a, b ->
         [a, b] = [Nx.reshape(a, {2, 4}), Nx.reshape(b, {4, 2})]

         [
           Nx.dot(a, b),
           Nx.dot(a, [1], b, [0]),
           Nx.dot(a, [0], b, [-1]),
           Nx.dot(a, [1], [0], Nx.transpose(b), [1], [0]),
           Nx.dot(a[0], a[1]),
           Nx.outer(a, b)
         ]
       end},
      {:conv, :all, [:small, :pair],
       fn t, kernel ->
         t = Nx.reshape(t, {1, 1, 2, 4})
         kernel = Nx.reshape(kernel, {1, 1, 1, 2})

         for way <- [[], [padding: :same], [strides: [1, 2]], [kernel_dilation: [1, 2]]] do
           Nx.conv(t, kernel, way)
         end
       end},
      {:triangular_solve, :inexact, [:definite],
       fn a ->
         b = Nx.sum(a, axes: [0])

         [
           Nx.LinAlg.triangular_solve(Nx.tril(a), b),
           Nx.LinAlg.triangular_solve(Nx.triu(a), b, lower: false),
           Nx.LinAlg.triangular_solve(Nx.tril(a), a, left_side: false),
           Nx.LinAlg.triangular_solve(Nx.tril(a), b, transform_a: :transpose)
         ]
       end},
      {:fft, :no_c128, [:matrix],
       fn t -> for way <- [[], [length: 3], [length: 6], [axis: 0]], do: Nx.fft(t, way) end},
      {:ifft, :no_c128, [:matrix],
       fn t -> for way <- [[], [length: 3], [length: 6], [axis: 0]], do: Nx.ifft(t, way) end}
    ]
  end
end
