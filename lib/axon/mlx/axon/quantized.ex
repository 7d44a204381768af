if Code.ensure_loaded?(Axon) do
  defmodule Mlx.Axon.Quantized do
    # Matrices of a model and its state in few bits.
    @moduledoc false

    alias Mlx.Argument
    alias Mlx.Axon.{Fused, Layers}

    @sizes [:bits, :group_size, :mode]

    @spec quantize(Axon.t(), %Axon.ModelState{}, keyword()) :: {Axon.t(), %Axon.ModelState{}}
    def quantize(model, state, options) do
      Argument.check_options!(options, [:only | @sizes], "quantize")

      matrices = matrices(model)
      chosen? = chosen!(options[:only], matrices)
      sizes = Keyword.take(options, @sizes)
      group = group(sizes)

      packed =
        for {name, matrix} <- matrices,
            chosen?.(name),
            layer = packed(matrix, state.data[name], group, sizes),
            into: %{},
            do: {name, layer}

      {rewrite(model, packed), Enum.reduce(packed, state, &replace/2)}
    end

    ## What can be quantized

    # By the names of layers: how the kernel lies, and whether it is a table.
    defp matrices(model) do
      model
      |> named()
      |> Enum.group_by(&elem(&1, 0), fn {_name, node} -> matrix(node) end)
      |> Enum.flat_map(fn {name, kinds} ->
        # Layers of one name share their parameters.
        case Enum.uniq(kinds) do
          [nil] -> []
          [matrix] -> [{name, matrix}]
          _several -> []
        end
      end)
      |> Map.new()
    end

    defp matrix(%Axon.Node{parameters: [%{name: "kernel"} | rest]} = node) do
      case {node.op, Fused.bumblebee(node), Enum.map(rest, & &1.name)} do
        {:dense, _, bias} when bias in [[], ["bias"]] ->
          {:dense, :by_inputs}

        {:embedding, _, []} ->
          {:embedding, :by_rows}

        {_, {:dense_transposed_impl, _}, bias} when bias in [[], ["bias"]] ->
          {:dense, :by_outputs}

        {_, {:conv1d_impl, 4}, ["bias"]} ->
          {:dense, :by_inputs}

        _other ->
          nil
      end
    end

    defp matrix(_node), do: nil

    # Nodes with their names, which Axon counts in the order in which it compiles.
    defp named(%Axon{output: id, nodes: nodes}) do
      {_seen, _counts, named} = named(id, nodes, {MapSet.new(), %{}, []})
      named
    end

    defp named(id, nodes, {seen, _counts, _named} = acc) do
      if id in seen do
        acc
      else
        %Axon.Node{parent: parents, op_name: kind, name: name} = node = nodes[id]
        {seen, counts, named} = Enum.reduce(parents, acc, &named(&1, nodes, &2))
        counts_after = Map.update(counts, kind, 1, &(&1 + 1))
        {MapSet.put(seen, id), counts_after, [{name.(kind, counts), node} | named]}
      end
    end

    defp chosen!(nil, _matrices), do: fn _name -> true end
    defp chosen!(fun, _matrices) when is_function(fun, 1), do: fun

    defp chosen!(names, matrices) do
      fits? = Argument.list_of?(names, &is_map_key(matrices, &1))
      known = matrices |> Map.keys() |> Enum.sort()

      Argument.check!(
        fits?,
        "quantize",
        "a function or names among #{inspect(known, limit: 10)}",
        names
      )

      &(&1 in names)
    end

    ## Packing

    # How many numbers share a scale, told by what becomes of a row whose length all groups divide.
    defp group(sizes) do
      row = Nx.broadcast(Nx.tensor(0.0, type: :f32), {1, 128})
      scales = row |> Mlx.Fast.quantize(sizes) |> elem(1)
      div(128, Nx.axis_size(scales, 1))
    end

    defp packed({kind, lies}, %{"kernel" => %Nx.Tensor{shape: {_, _}} = kernel}, group, sizes) do
      rows = if lies == :by_inputs, do: Nx.transpose(kernel), else: kernel

      if kernel.type in [f: 32, f: 16, bf: 16] and rem(Nx.axis_size(rows, 1), group) == 0 do
        tensors = rows |> Mlx.Fast.quantize(sizes) |> Tuple.to_list()
        form = %{options: sizes, biases?: length(tensors) == 3, type: kernel.type}
        %{kind: kind, form: form, parameters: Enum.zip(["weight", "scales", "biases"], tensors)}
      end
    end

    defp packed(_matrix, _layer, _group, _sizes), do: nil

    ## The model

    defp rewrite(model, packed) do
      names =
        for {name, %Axon.Node{id: id}} <- named(model),
            is_map_key(packed, name),
            into: %{},
            do: {id, name}

      Axon.map_nodes(model, fn %Axon.Node{id: id} = node ->
        if is_map_key(names, id), do: layer(node, packed[names[id]]), else: node
      end)
    end

    defp layer(
           %Axon.Node{parameters: [_kernel | bias]} = node,
           %{parameters: parameters} = packed
         ) do
      parameters = Enum.map(parameters, fn {name, tensor} -> parameter(name, tensor) end) ++ bias
      args = [:layer | Enum.map(parameters, fn _ -> :parameter end)]
      %{node | op: op(packed, length(parameters)), parameters: parameters, args: args}
    end

    # Axon casts what initializers draw to no type, and words are not to be cast.
    defp parameter(name, tensor) do
      type = tensor.type
      zeros = fn shape, _type -> Nx.broadcast(Nx.tensor(0, type: type), shape) end
      %{Axon.parameter(name, Nx.to_template(tensor), initializer: zeros) | frozen: true}
    end

    defp op(%{kind: kind, form: form}, count) do
      call =
        case kind do
          :dense -> &Layers.quantized_dense(form, &1, &2)
          :embedding -> &Layers.quantized_embedding(form, &1, &2)
        end

      case count do
        2 -> fn x, a, b, _options -> call.(x, [a, b]) end
        3 -> fn x, a, b, c, _options -> call.(x, [a, b, c]) end
        4 -> fn x, a, b, c, d, _options -> call.(x, [a, b, c, d]) end
      end
    end

    ## The state

    defp replace({name, %{parameters: parameters}}, %Axon.ModelState{} = state) do
      names = Enum.map(parameters, &elem(&1, 0))
      layer = state.data[name] |> Map.delete("kernel") |> Map.merge(Map.new(parameters))

      %{
        state
        | data: Map.put(state.data, name, layer),
          parameters:
            Map.put(state.parameters, name, names ++ Map.keys(Map.take(layer, ["bias"]))),
          frozen_parameters:
            Map.update(state.frozen_parameters, name, names, &(names ++ (&1 -- ["kernel"])))
      }
    end
  end
end
