if Code.ensure_loaded?(Axon) do
  defmodule Mlx.Axon.State do
    # Model states as nested parameters and back.
    @moduledoc false

    alias Mlx.Argument
    alias Mlx.NN.Parameters

    # Marks of a tensor, under its name below this one: whether it is state, whether it is frozen, and then for each key that leads to it
    # how many parts its name has. A tensor without marks is a trainable parameter of a layer.
    @marks "axon_marks"

    ## To parameters

    @spec to_parameters(%Axon.ModelState{}) :: Mlx.NN.parameters()
    def to_parameters(%Axon.ModelState{data: data} = state) do
      state.data
      |> paths([])
      |> Enum.flat_map(fn path ->
        name = Enum.join(path, ".")

        marks = [
          mark(state.state, path),
          mark(state.frozen_parameters, path) | Enum.map(path, &parts/1)
        ]

        tensor = {name, get_in(data, path)}

        if marks == plain(name),
          do: [tensor],
          else: [tensor, {"#{@marks}.#{name}", Nx.tensor(marks, type: :s32)}]
      end)
      |> Parameters.nest()
    end

    defp paths(%Nx.Tensor{}, path), do: [Enum.reverse(path)]

    defp paths(%{} = map, path) when not is_struct(map),
      do: Enum.flat_map(map, fn {key, value} -> paths(value, [key | path]) end)

    defp paths(other, path) do
      name = path |> Enum.reverse() |> Enum.join(".")
      Argument.check!(false, "to_parameters", "a tensor as #{name}", other)
    end

    defp plain(name), do: [0, 0, parts(name) - 1, 1]

    defp parts(key), do: key |> String.split(".") |> length()

    defp mark(names, [key | _]) when is_list(names), do: if(key in names, do: 1, else: 0)
    defp mark(%{} = nested, [key | path]), do: mark(nested[key], path)
    defp mark(_nothing, _path), do: 0

    ## From parameters

    @spec from_parameters(Mlx.NN.parameters()) :: %Axon.ModelState{}
    def from_parameters(parameters) do
      {marks, parameters} = Map.pop(parameters, @marks, %{})
      marks = marks |> Parameters.flatten() |> Map.new()

      named =
        for {name, tensor} <- Parameters.flatten(parameters) do
          [state, frozen | counts] = marks!(name, marks[name])
          %{path: path!(name, counts), tensor: tensor, state: state == 1, frozen: frozen == 1}
        end

      %Axon.ModelState{
        data: Enum.reduce(named, %{}, &put(&2, &1.path, &1.tensor)),
        parameters: tree(for %{state: false, path: path} <- named, do: path),
        state: tree(for %{state: true, path: path} <- named, do: path),
        frozen_parameters: tree(for %{frozen: true, path: path} <- named, do: path)
      }
    end

    defp marks!(name, nil), do: plain(name)

    defp marks!(name, tensor) do
      with {:s, _} <- tensor.type,
           {_count} <- tensor.shape,
           [state, frozen | counts] = marks when state in [0, 1] and frozen in [0, 1] <-
             Nx.to_list(tensor),
           true <- Enum.all?(counts, &(&1 > 0)) and Enum.sum(counts) == parts(name) do
        marks
      else
        _other -> Argument.check!(false, "from_parameters", "marks that fit #{name}", tensor)
      end
    end

    defp path!(name, counts) do
      Argument.check!(
        counts != [0, 1],
        "from_parameters",
        "the name of a layer before that of a tensor",
        name
      )

      {path, []} =
        Enum.map_reduce(counts, String.split(name, "."), fn count, parts ->
          {key, rest} = Enum.split(parts, count)
          {Enum.join(key, "."), rest}
        end)

      path
    end

    defp put(map, [key], tensor), do: Map.put(map, key, tensor)

    defp put(map, [key | path], tensor),
      do: Map.put(map, key, map |> Map.get(key, %{}) |> put(path, tensor))

    # Nested maps whose leaves are lists of names, as Axon has them. A list names all that is below its names.
    defp tree(paths) do
      if Enum.any?(paths, &match?([_], &1)),
        do: paths |> Enum.map(&hd/1) |> Enum.uniq(),
        else:
          paths |> Enum.group_by(&hd/1, &tl/1) |> Map.new(fn {key, rest} -> {key, tree(rest)} end)
    end
  end
end
