if Code.ensure_loaded?(Axon) do
  defmodule Mlx.Axon.Fused do
    # Which layers of a model `Mlx.Axon.optimize/1` gives other functions to.
    @moduledoc false

    alias Mlx.Axon.Layers

    # Blocks are functions of as many inputs as they have.
    @most_inputs 16

    @spec rewrite(Axon.t()) :: Axon.t()
    def rewrite(%Axon{nodes: nodes} = model), do: Axon.map_nodes(model, &fuse(&1, nodes))

    # Only the function of a layer changes, and what it is called with: names, counts of names and parameters stay. Functions of equal
    # layers have to be equal, since Axon counts by them.
    defp fuse(%Axon.Node{op: op} = node, _nodes) when op in [:layer_norm, :rms_norm, :softmax] do
      %{node | op: Function.capture(Layers, op, layer_arity(node))}
    end

    defp fuse(%Axon.Node{op: :block, opts: [block_fun: fun, block_id: id]} = node, _nodes),
      do: %{node | opts: [block_fun: block(fun, length(node.parent)), block_id: id]}

    defp fuse(%Axon.Node{op: op} = node, nodes) when is_function(op) do
      case {bumblebee(node), Enum.sort(Keyword.keys(node.opts))} do
        {{:rms_norm_impl_upcast_normalization, 3}, [:epsilon, :shift]} ->
          %{node | op: &Layers.rms_norm/3, opts: [upcast: :normalization] ++ node.opts}

        {{:rms_norm_impl_upcast_all, 3}, [:epsilon, :shift]} ->
          %{node | op: &Layers.rms_norm/3, opts: [upcast: :all] ++ node.opts}

        {{:apply_rotary_embedding, 5}, _options} ->
          %{node | op: &Layers.rotary(op, &1, &2, &3, &4, &5)}

        {{:attention_output_impl, 3}, _options} ->
          attention(node, nodes)

        _other ->
          node
      end
    end

    defp fuse(node, _nodes), do: node

    defp layer_arity(%Axon.Node{args: args}), do: length(args) + 1

    for count <- 0..@most_inputs do
      inputs = Macro.generate_arguments(count, __MODULE__)

      defp block(fun, unquote(count)),
        do: fn unquote_splicing(inputs) -> rewrite(fun.(unquote_splicing(inputs))) end
    end

    defp block(fun, _more), do: fun

    # Attention is three layers: weights, their dropout, and their product with the values. The last one gets what the first one has
    # as well, and computes all of it. The weights stay in the graph: they may be an output, and where nothing reads them they are
    # never computed.
    defp attention(output, nodes) do
      with [dropout_id, _value] <- output.parent,
           %Axon.Node{op: :dropout, parent: [weights_id]} = dropout <- nodes[dropout_id],
           %Axon.Node{parent: [_, _, _, _, _, _]} = weights <- nodes[weights_id],
           {:attention_weights_impl, 7} <- bumblebee(weights),
           [:causal, :scale, :window_size] <- Enum.sort(Keyword.keys(weights.opts)),
           true <- plain?([weights, dropout, output]) do
        {op, rate, options} = {output.op, dropout.opts[:rate], weights.opts}

        %{
          output
          | op: &Layers.attention({op, rate, options}, &1, &2, {&3, &4, &5, &6, &7, &8}, &9),
            parent: output.parent ++ weights.parent,
            args: output.args ++ weights.args
        }
      else
        _other -> output
      end
    end

    # Hooks see what layers answer, and policies round it.
    defp plain?([%Axon.Node{policy: policy} | _] = nodes),
      do: Enum.all?(nodes, &(&1.hooks == [] and &1.policy == policy))

    @doc "The name and arity of the function of Bumblebee's that a layer calls, or nil."
    @spec bumblebee(%Axon.Node{}) :: {atom(), arity()} | nil
    def bumblebee(%Axon.Node{op: op, args: args}) when is_function(op, length(args) + 1) do
      info = Function.info(op)

      if info[:module] == Bumblebee.Layers and info[:env] == [],
        do: {info[:name], info[:arity]}
    end

    def bumblebee(_node), do: nil
  end
end
