defmodule Mlx.Compiler.Names do
  # What the inputs of an exported program are called.
  @moduledoc false

  alias Mlx.Argument

  @doc "A name for each tensor in the flattened `args`: those of the option `:names`, or the function's own, or `arg0`, …"
  @spec of(function(), [Nx.Container.t()], keyword(), String.t()) :: [String.t()]
  def of(fun, args, options, name) do
    keys = if Keyword.keyword?(options), do: Keyword.keys(options), else: [options]
    Argument.check!(keys -- [:names] == [], name, "no option but :names", options)
    paths = paths(args)

    case options[:names] do
      nil -> own(fun, length(args), paths)
      names -> given(names, length(paths), name)
    end
  end

  @doc """
  The positions of inputs with these names in the list of arguments: those which the names tell where all are called `arg0`, …,
  else their order.
  """
  @spec positions([String.t()]) :: [non_neg_integer()]
  def positions(names) do
    numbers = Enum.map(names, &number/1)

    if nil in numbers or Enum.uniq(numbers) != numbers,
      do: Enum.to_list(0..(length(names) - 1)//1),
      else: numbers
  end

  # Nobody has more arguments than Erlang takes.
  defp number("arg" <> digits) do
    case Integer.parse(digits) do
      {number, ""} when number in 0..65_535 -> number
      _ -> nil
    end
  end

  defp number(_name), do: nil

  ## Names that were given

  defp given(names, count, name) do
    expected = "as many names as there are tensors in the arguments, #{count}"
    Argument.check!(is_list(names) and length(names) == count, name, expected, names)

    expected = ~s(names to be texts or atoms without "=" and control characters)
    Argument.check!(Enum.all?(names, &name?/1), name, expected, names)
    names = Enum.map(names, &to_string/1)
    Argument.check!(Enum.uniq(names) == names, name, "names to differ", names)
    names
  end

  defp name?(name) when is_atom(name) and name not in [nil, true, false],
    do: name |> to_string() |> name?()

  defp name?(name),
    do: is_binary(name) and String.printable?(name) and not (name =~ ~r/^$|[=\x00-\x1f]/)

  ## The function's own

  defp own(fun, arity, paths) do
    patterns = patterns(fun, arity)

    names =
      for {{argument, path}, position} <- Enum.with_index(paths) do
        name(Enum.at(patterns, argument), path) || default(position)
      end

    # A name that says another position than the input's, or does not tell two inputs apart, says nothing.
    misleading? = fn {name, position} -> number(name) not in [nil, position] end

    if Enum.uniq(names) == names and not Enum.any?(Enum.with_index(names), misleading?),
      do: names,
      else: Enum.map(0..(length(names) - 1)//1, &default/1)
  end

  defp default(position), do: "arg#{position}"

  # For each tensor in the flattened arguments the argument that it is in, and the keys that lead to it.
  defp paths(args) do
    {tagged, _count} =
      Enum.map_reduce(args, 0, fn arg, count ->
        Nx.LazyContainer.traverse(arg, count, fn template, _fun, count ->
          {%{template | data: {:leaf, count}}, count + 1}
        end)
      end)

    tagged
    |> Enum.with_index()
    |> Enum.flat_map(fn {arg, i} -> for {leaf, path} <- leaves(arg), do: {leaf, {i, path}} end)
    |> Enum.sort()
    |> Enum.map(&elem(&1, 1))
  end

  defp leaves(%Nx.Tensor{data: {:leaf, leaf}}), do: [{leaf, []}]
  defp leaves(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> leaves()

  defp leaves(list) when is_list(list) do
    for {value, i} <- Enum.with_index(list), {leaf, path} <- leaves(value), do: {leaf, [i | path]}
  end

  defp leaves(%{} = map) do
    for {key, value} <- :maps.to_list(map),
        {leaf, path} <- leaves(value),
        do: {leaf, [key | path]}
  end

  defp leaves(_other), do: []

  # The name of what `path` leads to in an argument that matched the pattern: of the variable that stands there, or of one
  # around it and the keys on the way; or nil.
  defp name(nil, _path), do: nil

  defp name({name, _meta, nil}, path) when is_atom(name) do
    name = name |> to_string() |> String.trim_leading("_")
    if name != "", do: Enum.join([name | Enum.map(path, &key/1)], ".")
  end

  defp name({:=, _meta, [pattern, {_, _, nil} = variable]}, path) do
    name(variable, path) || name(pattern, path)
  end

  defp name({:=, _meta, [a, b]}, path), do: name(a, path) || name(b, path)
  defp name({:%, _meta, [_module, map]}, path), do: name(map, path)

  defp name({:%{}, _meta, pairs}, [key | path]),
    do: pairs |> List.keyfind(key, 0, {key, nil}) |> elem(1) |> name(path)

  defp name({:{}, _meta, patterns}, [i | path]), do: patterns |> Enum.at(i) |> name(path)
  defp name({_, _} = pair, [i | path]), do: pair |> elem(i) |> name(path)
  defp name(_pattern, _path), do: nil

  defp key(key) when is_binary(key) or is_atom(key) or is_integer(key), do: to_string(key)
  defp key(key), do: inspect(key)

  # The patterns of a captured function's arguments, from the debug information of its module. Others have names that nothing
  # there is called.
  defp patterns(fun, arity) do
    with {:module, module} = :erlang.fun_info(fun, :module),
         {:name, name} = :erlang.fun_info(fun, :name),
         {^module, beam, _path} <- :code.get_object_code(module),
         {:ok, {_, [debug_info: {:debug_info_v1, _, {:elixir_v1, info, _}}]}} <-
           :beam_lib.chunks(beam, [:debug_info]) do
      definitions = Map.new(info.definitions, fn {key, _, _, clauses} -> {key, clauses} end)

      # What a defn was written with stands in a function of another name, and deftransform has one as well.
      written(definitions, :"__defn:#{name}__", arity) || written(definitions, name, arity) || []
    else
      _ -> []
    end
  rescue
    # Of a form that other versions of Elixir write.
    _ -> []
  end

  defp written(definitions, name, arity) do
    with %{{^name, ^arity} => [{_, patterns, _, body} | _]} <- definitions do
      case {patterns, body} do
        # Made by defn, of which the other function knows more.
        {[{_, _, Nx.Defn.Compiler} | _], _} ->
          nil

        {[{_, _, :elixir_def} | _], {:super, _, all}} when length(all) > arity ->
          written_in_full(patterns, all, written(definitions, name, length(all)))

        _ ->
          patterns
      end
    else
      _ -> nil
    end
  end

  # A function with arguments left out calls the one that has them all.
  defp written_in_full(left, all, patterns) do
    for {variable, _, _} <- left do
      at = Enum.find_index(all, &match?({^variable, _, :elixir_def}, &1))
      at && patterns && Enum.at(patterns, at)
    end
  end
end
