defmodule Mlx.Rows.Structure do
  @moduledoc """
  Rows of callbacks that move elements: shapes, types, slices, indices, order. `Mlx.Rows` says what a row is.
  """

  alias Mlx.Inputs

  def rows, do: types() ++ shapes() ++ selection() ++ slices() ++ indices() ++ order()

  defp types do
    [
      {:as_type, :all, [:plain],
       fn tensor ->
         for type <- Mlx.Dtype.all(), do: Nx.as_type(tensor, type)
       end},
      {:as_type, :float, [:vector],
       fn tensor -> for type <- Inputs.types(), do: Nx.as_type(tensor, type) end},
      {:bitcast, :real, [:vector],
       fn {_, bits}, tensor ->
         for {family, ^bits} = type <- Inputs.types(), family != :c, do: Nx.bitcast(tensor, type)
       end}
    ]
  end

  defp shapes do
    [
      {:reshape, :all, [:matrix],
       fn t ->
         [
           Nx.reshape(t, {4, 2}),
           Nx.reshape(t, {1, 8, 1}),
           Nx.reshape(t, {:auto, 4}),
           Nx.flatten(t)
         ]
       end},
      {:reshape, :all, [:scalar], &[Nx.reshape(&1, {1, 1}), Nx.new_axis(&1, -1)]},
      {:squeeze, :all, [:matrix],
       fn t ->
         t = Nx.reshape(t, {1, 2, 1, 4})
         [Nx.squeeze(t), Nx.squeeze(t, axes: [0]), Nx.squeeze(t, axes: [-2])]
       end},
      {:broadcast, :all, [:matrix],
       fn t -> [Nx.broadcast(t, {3, 2, 4}), Nx.broadcast(t, {2, 4, 3}, axes: [0, 1])] end},
      {:broadcast, :all, [:scalar], &[Nx.broadcast(&1, {2, 3}), Nx.broadcast(&1, {})]},
      {:transpose, :all, [:cube],
       fn t -> [Nx.transpose(t), Nx.transpose(t, axes: [1, -1, 0]), Nx.transpose(t[0])] end},
      {:reverse, :all, [:cube],
       fn t -> [Nx.reverse(t), Nx.reverse(t, axes: [0]), Nx.reverse(t, axes: [-1, 1])] end},
      {:pad, :all, [:matrix],
       fn t ->
         for padding <- [[{1, 2, 0}, {0, 0, 1}], [{-1, 0, 0}, {2, -2, 2}], [{0, 0, 0}, {0, 0, 0}]],
             do: Nx.pad(t, Nx.tensor(7, type: t.type), padding)
       end},
      {:concatenate, :all, [:matrix, :matrix],
       fn a, b ->
         [Nx.concatenate([a, b]), Nx.concatenate([a, b, a], axis: -1), Nx.concatenate([a])]
       end},
      {:stack, :all, [:matrix, :matrix],
       fn a, b -> [Nx.stack([a, b]), Nx.stack([a, b, a], axis: -1), Nx.stack([a], axis: 1)] end}
    ]
  end

  defp selection do
    [
      {:select, :all, [:plain, :reversed],
       fn a, b -> [Nx.select(Nx.greater(Nx.real(a), 0), a, b), Nx.select(1, a, b)] end},
      {:clip, :real, [:vector], &[Nx.clip(&1, 0, 2), Nx.clip(&1, 1.5, 3)]},
      {:clip, :real, [:scalar], &Nx.clip(&1, 4, 5)}
    ]
  end

  defp slices do
    [
      {:slice, :all, [:matrix],
       fn t ->
         [
           Nx.slice(t, [0, 1], [2, 3]),
           Nx.slice(t, [1, 0], [1, 4], strides: [1, 3]),
           # Starts are clamped, computed ones too.
           Nx.slice(t, [5, -9], [1, 2]),
           Nx.slice(t, [Nx.tensor(1), 2], [1, 2]),
           Nx.slice(t, [Nx.tensor(9), Nx.tensor(-3, type: :s64)], [1, 2]),
           t[-1],
           t[[0..1, 1..-2//1]],
           Nx.slice_along_axis(t, Nx.tensor(2, type: :u8), 2, axis: -1)
         ]
       end},
      {:put_slice, :all, [:matrix, :pair],
       fn t, part ->
         part = Nx.reshape(part, {1, 2})

         for starts <- [[0, 1], [1, 9], [Nx.tensor(1), 0], [Nx.tensor(-4), Nx.tensor(9)]],
             do: Nx.put_slice(t, starts, part)
       end}
    ]
  end

  defp indices do
    [
      {:gather, :all, [:matrix],
       fn t ->
         [
           Nx.gather(t, Nx.tensor([[0, 1], [1, 3], [0, 1]])),
           Nx.gather(t, Nx.tensor([[[1]], [[0]]], type: :u8), axes: [1]),
           Nx.gather(t, Nx.tensor([[2]], type: :s64), axes: [-1])
         ]
       end},
      {:indexed_add, :all, [:matrix, :pair],
       fn t, updates ->
         [
           Nx.indexed_add(t, Nx.tensor([[0, 1], [0, 1]]), updates),
           Nx.indexed_add(t, Nx.tensor([[3]], type: :u8), Nx.new_axis(updates, 0), axes: [-1])
         ]
       end},
      {:indexed_put, :all, [:matrix, :pair],
       fn t, updates ->
         [
           Nx.indexed_put(t, Nx.tensor([[0, 1], [1, 0]]), updates),
           Nx.indexed_put(t, Nx.tensor([[3]], type: :u8), Nx.new_axis(updates, 0), axes: [-1])
         ]
       end}
    ]
  end

  defp order do
    ways = [[], [direction: :desc], [axis: 0], [axis: -1, direction: :desc], [stable: true]]

    [
      {:sort, :real, [:matrix], fn t -> for way <- ways, do: Nx.sort(t, way) end},
      {:sort, :float, [:vector], fn t -> [Nx.sort(t), Nx.sort(t, direction: :desc)] end},
      {:argsort, :real, [:shuffled],
       fn t -> for way <- [[], [direction: :desc]], do: Nx.argsort(t, [stable: true] ++ way) end},
      {:argsort, :real, [:matrix],
       &[Nx.argsort(&1, axis: 1), Nx.argsort(&1, axis: 1, type: :u32)]}
    ]
  end
end
