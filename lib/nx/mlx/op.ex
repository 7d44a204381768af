defmodule Mlx.Op do
  # How the calls of Nx's backend callbacks, which are also the nodes of `Nx.Defn.Expr`, become calls of the registry's ops.
  @moduledoc false

  alias Nx.Tensor, as: T

  # After the output each callback takes these arguments, in this order: `:tensor` is an operand, `:tensors` a list of
  # them, `:options` the attributes as Nx names them, `:fun` a function, any other name the attribute so called. `out:`
  # attributes are read off the output. A callback that is not here is a row of operands alone.
  @rows [
    eye: [out: :type, out: :shape],
    iota: [:axis, out: :type, out: :shape],
    constant: [:value, out: :type, out: :shape],
    as_type: [:tensor, out: :type],
    bitcast: [:tensor, out: :type],
    reshape: [:tensor, out: :shape],
    squeeze: [:tensor, :axes],
    broadcast: [:tensor, :shape, :axes],
    transpose: [:tensor, :axes],
    reverse: [:tensor, :axes],
    pad: [:tensor, :tensor, :padding],
    concatenate: [:tensors, :axis],
    stack: [:tensors, :axis],
    slice: [:tensor, :starts, :lengths, :strides],
    put_slice: [:tensor, :starts, :tensor],
    gather: [:tensor, :tensor, :options],
    indexed_add: [:tensor, :tensor, :tensor, :options],
    indexed_put: [:tensor, :tensor, :tensor, :options],
    sort: [:tensor, :options],
    argsort: [:tensor, :options],
    all: [:tensor, :options],
    any: [:tensor, :options],
    sum: [:tensor, :options],
    product: [:tensor, :options],
    reduce_max: [:tensor, :options],
    reduce_min: [:tensor, :options],
    argmax: [:tensor, :options],
    argmin: [:tensor, :options],
    reduce: [:tensor, :tensor, :options, :fun],
    window_reduce: [:tensor, :tensor, :window, :options, :fun],
    window_sum: [:tensor, :window, :options],
    window_product: [:tensor, :window, :options],
    window_max: [:tensor, :window, :options],
    window_min: [:tensor, :window, :options],
    window_scatter_max: [:tensor, :tensor, :tensor, :window, :options],
    window_scatter_min: [:tensor, :tensor, :tensor, :window, :options],
    dot: [:tensor, :contract_axes1, :batch_axes1, :tensor, :contract_axes2, :batch_axes2],
    conv: [:tensor, :tensor, :options],
    triangular_solve: [:tensor, :tensor, :options],
    fft: [:tensor, :options],
    ifft: [:tensor, :options]
  ]

  # Callbacks that are no ops.
  @others [
    :init,
    :block,
    :from_binary,
    :to_binary,
    :inspect,
    :to_batched,
    :to_pointer,
    :from_pointer,
    :backend_copy,
    :backend_transfer,
    :backend_deallocate
  ]

  @all @rows ++
         for(
           {name, arity} <- Nx.Backend.behaviour_info(:callbacks),
           name not in @others and not Keyword.has_key?(@rows, name),
           do: {name, List.duplicate(:tensor, arity - 1)}
         )

  @doc "All op callbacks with their arguments."
  def rows, do: @all

  @doc """
  The operands and attributes of a call: `args` are the callback's arguments without the output. A function argument is
  left out.
  """
  def call(name, args, out)

  for {name, arguments} <- @all do
    {from_out, arguments} = Enum.split_with(arguments, &match?({:out, _}, &1))
    variables = Macro.generate_arguments(length(arguments), __MODULE__)
    pairs = Enum.zip(arguments, variables)
    out = Macro.var(if(from_out == [], do: :_out, else: :out), __MODULE__)

    operands =
      case pairs do
        [{:tensors, list} | _] -> list
        _ -> for {:tensor, variable} <- pairs, do: variable
      end

    named =
      for({:out, key} <- from_out, do: {key, quote(do: unquote(out).unquote(key))}) ++
        for {argument, variable} <- pairs,
            argument not in [:tensor, :tensors, :options, :fun, :starts],
            do: {argument, variable}

    attributes =
      case List.keyfind(pairs, :options, 0) do
        nil -> named
        {:options, options} when named == [] -> options
        {:options, options} -> quote(do: unquote(named) ++ unquote(options))
      end

    unused = for {:fun, {name, _, _} = variable} <- pairs, do: {name, variable}

    result =
      case List.keyfind(pairs, :starts, 0) do
        nil ->
          quote(do: {unquote(operands), unquote(attributes)})

        {:starts, starts} ->
          [first | rest] = operands

          quote do
            {starts, dynamic} = split_starts(unquote(starts))
            {[unquote(first) | dynamic] ++ unquote(rest), [starts: starts] ++ unquote(attributes)}
          end
      end

    def call(unquote(name), unquote(variables), unquote(out)) do
      unquote_splicing(for {_, variable} <- unused, do: quote(do: _ = unquote(variable)))
      unquote(result)
    end
  end

  @doc """
  The inverse of `call/3`: a callback's arguments without the output, from all operands and attributes of a row. `fun` stands where
  the callback takes a function.
  """
  @spec arguments(atom(), [Nx.Tensor.t()], keyword(), function() | nil) :: [term()]
  def arguments(name, operands, attributes, fun) do
    row = @all |> Keyword.fetch!(name) |> Enum.reject(&match?({:out, _}, &1))
    options = Keyword.drop(attributes, [:starts | row])

    {arguments, []} =
      Enum.map_reduce(row, operands, fn
        :tensor, [operand | rest] -> {operand, rest}
        :tensors, operands -> {operands, []}
        :starts, rest -> join_starts(attributes[:starts], rest)
        :options, rest -> {options, rest}
        :fun, rest -> {fun, rest}
        key, rest when key in [:shape, :window] -> {List.to_tuple(attributes[key]), rest}
        key, rest -> {attributes[key], rest}
      end)

    arguments
  end

  # The starts that are operands stand next among them.
  defp join_starts(starts, operands) do
    Enum.map_reduce(starts, operands, fn
      {:operand, _number}, [start | rest] -> {start, rest}
      start, rest -> {start, rest}
    end)
  end

  # A start that is a tensor becomes an operand after the first, and its number stands in the list.
  defp split_starts(starts) do
    {starts, {dynamic, _}} =
      Enum.map_reduce(starts, {[], 1}, fn
        %T{} = start, {dynamic, next} -> {{:operand, next}, {[start | dynamic], next + 1}}
        start, acc -> {start, acc}
      end)

    {starts, Enum.reverse(dynamic)}
  end

  # The structs that the registry has a row for.
  @blocks (for "block:" <> block = name <- Mlx.NIF.op_names() do
             keys = name |> String.to_atom() |> Mlx.NIF.op_attributes()

             {Module.concat(Nx.Block, block),
              {String.to_atom(name), Enum.map(keys, &String.to_atom/1)}}
           end)

  @doc "The op and the attributes of a block, or nil where it has no row."
  for {module, {name, keys}} <- @blocks do
    def block(%unquote(module){} = struct) do
      {unquote(name), struct |> Map.take(unquote(keys)) |> Map.to_list()}
    end
  end

  def block(%Mlx.Compiler.Row{name: name, attributes: attributes}), do: {name, attributes}
  def block(_struct), do: nil
end
