defmodule Mlx.NN.Functions do
  # Writes functions of a family as calls of the core's rows.
  @moduledoc false

  @doc """
  Defines `name(operands…, options \\\\ [])` with what stands before it as its documentation, callable from `defn` as well.
  `options` are the names of options, with `[]` for none; operands that may be left out are given as options.
  """
  defmacro defrow(family, name, operands, options \\ []) do
    arguments = Enum.map(operands, &Macro.var(&1, nil))
    given = Macro.var(:options, nil)

    quote do
      unquote(head(name, name, arguments, given, options))

      @doc false
      unquote(head(:"__defn:#{name}__", name, arguments, given, options))

      defp unquote(:"call_#{name}")(operands, options) do
        Mlx.NN.Functions.call(unquote(family), unquote(name), operands, options, unquote(options))
      end
    end
  end

  # What defn calls has another name.
  defp head(name, row, arguments, given, options) do
    if options == [] do
      quote do
        def unquote(name)(unquote_splicing(arguments)),
          do: unquote(:"call_#{row}")(unquote(arguments), [])
      end
    else
      quote do
        def unquote(name)(unquote_splicing(arguments), unquote(given) \\ []),
          do: unquote(:"call_#{row}")(unquote(arguments), unquote(given))
      end
    end
  end

  @doc "A key of `Nx.Random`, or that of a seed. Raises `ArgumentError` for anything else, naming `owner`."
  @spec key!(term(), atom() | String.t()) :: Nx.Tensor.t()
  def key!(seed, _owner) when is_integer(seed), do: Nx.Random.key(seed)
  def key!(%Nx.Tensor{type: {:u, 32}, shape: {2}} = key, _owner), do: key

  def key!(other, owner),
    do: Mlx.Argument.check!(false, owner, "a key of Nx.Random (u32[2]) or a seed", other)

  @doc """
  What the row answers, a tensor or a tuple; operands may be nil where the row lets them be left out. `options` are the caller's, whose
  names are to be `known`; those in `own` come beside them.
  """
  @spec call(atom(), atom(), [Nx.Tensor.t() | number() | nil], keyword(), [atom()], keyword()) ::
          Nx.Tensor.t() | tuple()
  def call(family, name, operands, options, known, own \\ []) do
    Mlx.Argument.check_options!(options, known, "#{name}")
    {further, options} = Enum.split_with(options, &operand?(family, name, &1))
    # Nx's short names of types are types as well.
    options =
      if options[:dtype],
        do: Keyword.update!(options, :dtype, &Nx.Type.normalize!/1),
        else: options

    operands = operands ++ further_operands(family, name, length(operands), further)
    given = Enum.map(operands, &(&1 != nil))
    tensors = Enum.reject(operands, &is_nil/1)
    callable = {:function, family, name, given, Enum.sort(own ++ options)}

    case callable |> Mlx.NN.Callable.call(tensors, like: 0) |> Enum.map(&elem(&1, 1)) do
      [result] -> result
      results -> List.to_tuple(results)
    end
  end

  # A word or a number may be an option of the same name.
  defp operand?(family, name, {option, value}) do
    row = Mlx.NN.Callable.row("#{family}", name)

    "#{option}" in row.operands and
      (is_struct(value, Nx.Tensor) or (is_number(value) and "#{option}" not in row.options))
  end

  defp further_operands(_family, _name, _count, []), do: []

  defp further_operands(family, name, count, further) do
    for operand <- Enum.drop(Mlx.NN.Callable.row("#{family}", name).operands, count),
        do:
          Enum.find_value(further, fn {option, value} -> if "#{option}" == operand, do: value end)
  end
end
