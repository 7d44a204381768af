defmodule Mlx.NN.Callable do
  # What `mlxnx::nn` has by name, called with tensors of any kind: compiled and kept where they are concrete, as calls of Nx where a
  # `defn` is traced, so that any compiler takes them and `Nx.Defn.grad` goes through. native/nif/nn.cpp tells what a callable is.
  @moduledoc false

  alias Mlx.Compiler.{Cache, ToNx}
  alias Mlx.{Argument, NIF, Program}
  alias Nx.Tensor, as: T

  @doc """
  The program of `callable` for tensors of these types, mapped over `size` examples of each where there is one, with the names of its
  outputs and templates for them; kept for the next call.
  """
  @spec program(tuple(), [Program.tensor_type()], pos_integer() | nil) ::
          {Program.t(), [String.t()], [Nx.Tensor.t()]}
  def program(callable, types, size \\ nil) do
    build = fn ->
      program = %Program{handle: NIF.nn_program(callable, types)}
      names = program |> Program.outputs() |> Enum.map(&elem(&1, 0))
      program = if size, do: Program.transform(program, :vmap, size: size), else: program
      outs = for {_name, {type, shape}} <- Program.outputs(program), do: Nx.template(shape, type)
      {program, names, outs}
    end

    Cache.fetch({callable, types, size}, build, fn _program -> 0 end)
  end

  @doc "The operands and options of what is called `name` in `family`, and of calls on it, as texts; nil where there is no such row."
  @spec row(String.t(), atom()) ::
          %{operands: [String.t()], options: [String.t()], on_call: [String.t()]} | nil
  def row(family, name), do: Map.get(rows(), {family, Atom.to_string(name)})

  @doc "All rows of a family with their names, sorted."
  @spec rows(String.t()) :: [{String.t(), map()}]
  def rows(family),
    do: Enum.sort(for {{^family, name}, row} <- rows(), do: {name, row})

  defp rows do
    case :persistent_term.get(__MODULE__, nil) do
      nil ->
        rows =
          for {family, name, operands, options, on_call} <- NIF.nn_rows(), into: %{} do
            {{family, name}, %{operands: operands, options: options, on_call: on_call}}
          end

        :persistent_term.put(__MODULE__, rows)
        rows

      rows ->
        rows
    end
  end

  @doc "Raises unless `options` of `name` are a keyword list of what is no tensor, each there once."
  @spec check_options!(term(), atom() | String.t()) :: :ok
  def check_options!(options, name) do
    is_keyword = Keyword.keyword?(options)
    Argument.check!(is_keyword, "#{name}", "options as a keyword list", options)
    Argument.check_options!(options, Enum.uniq(Keyword.keys(options)), "#{name}")

    for {option, %T{} = value} <- options,
        do: Argument.check!(false, "#{name}", "no tensor for #{inspect(option)}", value)

    :ok
  end

  @doc """
  What `callable` answers for `tensors`, which may have vectorized axes: the outputs in their order, each with its name in the
  program. The first one has the axes' names of the tensor at `like`, if their shapes are the same.
  """
  @spec call(tuple(), [Nx.Tensor.t() | number()], keyword()) :: [{String.t(), Nx.Tensor.t()}]
  def call(callable, tensors, options \\ []) do
    tensors = Enum.map(tensors, &Nx.to_tensor/1)
    types = Enum.map(tensors, &{&1.type, &1.shape})

    {names, results} =
      if Enum.any?(tensors, &(&1.vectorized_axes != [])),
        do: call_mapped(callable, types, Nx.broadcast_vectors(tensors)),
        else: callable |> program(types) |> run(tensors)

    case {options[:like], results} do
      {nil, _} -> results
      {at, [first | rest]} -> [named_like(first, Enum.at(tensors, at)) | rest]
    end
    |> then(&Enum.zip(names, &1))
  end

  defp named_like(%T{shape: shape} = result, %T{shape: shape, names: names}),
    do: %{result | names: names}

  defp named_like(result, _other), do: result

  defp run({program, names, outs}, tensors) do
    if Nx.Defn.Compiler.current() || Enum.any?(tensors, &match?(%T{data: %Nx.Defn.Expr{}}, &1)) do
      tensors = Enum.map(tensors, &%{&1 | names: List.duplicate(nil, tuple_size(&1.shape))})
      {names, program |> ToNx.call(tensors) |> list()}
    else
      {names, Mlx.Backend.run_program(program.handle, tensors, outs)}
    end
  end

  defp list(%T{} = single), do: [single]
  defp list(tuple), do: Tuple.to_list(tuple)

  # All examples in one axis, which the program is mapped over.
  defp call_mapped(callable, types, [%T{vectorized_axes: axes} | _] = tensors) do
    size = axes |> Keyword.values() |> Enum.product()
    rows = Enum.map(tensors, &Nx.reshape(Nx.devectorize(&1), append(size, &1.shape)))
    {names, results} = callable |> program(types, size) |> run(rows)

    {names,
     for result <- results do
       [_size | shape] = Tuple.to_list(result.shape)

       result
       |> Nx.reshape(List.to_tuple(Keyword.values(axes) ++ shape))
       |> Nx.vectorize(axes)
     end}
  end

  defp append(size, shape), do: List.to_tuple([size | Tuple.to_list(shape)])
end
