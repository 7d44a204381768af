defmodule Mlx.Compiler.ToNx do
  # A program as calls of Nx, in an expression: the inverse of `Mlx.Compiler.Lower`. Regions come as native/nif/program.cpp reads them.
  @moduledoc false

  alias Mlx.{Argument, NIF}
  alias Nx.Defn.{Composite, Expr}
  alias Nx.Tensor, as: T

  # Rows that are blocks, as the functions of Nx which make them.
  @blocks %{
    "block:LogicalNot": {Nx, :logical_not},
    "block:Phase": {Nx, :phase},
    "block:AllClose": {Nx, :all_close},
    "block:Take": {Nx, :take},
    "block:TakeAlongAxis": {Nx, :take_along_axis},
    "block:CumulativeSum": {Nx, :cumulative_sum},
    "block:CumulativeProduct": {Nx, :cumulative_product},
    "block:CumulativeMin": {Nx, :cumulative_min},
    "block:CumulativeMax": {Nx, :cumulative_max},
    "block:TopK": {Nx, :top_k},
    "block:FFT2": {Nx, :fft2},
    "block:IFFT2": {Nx, :ifft2},
    "block:RFFT": {Nx, :rfft},
    "block:IRFFT": {Nx, :irfft},
    "block:LinAlg.Cholesky": {Nx.LinAlg, :cholesky},
    "block:LinAlg.Determinant": {Nx.LinAlg, :determinant},
    "block:LinAlg.Eigh": {Nx.LinAlg, :eigh},
    "block:LinAlg.LU": {Nx.LinAlg, :lu},
    "block:LinAlg.QR": {Nx.LinAlg, :qr},
    "block:LinAlg.SVD": {Nx.LinAlg, :svd},
    "block:LinAlg.Solve": {Nx.LinAlg, :solve}
  }

  @of_nx Keyword.keys(Mlx.Op.rows())

  @doc "The outputs of `program` for `inputs`, by calls of Nx: a tensor, or a tuple."
  @spec call(Mlx.Program.t(), [Nx.Tensor.t()]) :: Nx.Tensor.t() | tuple()
  def call(program, inputs) do
    ports = Mlx.Program.inputs(program)
    inputs = ports |> Enum.zip(inputs) |> Enum.map(&input!/1) |> List.to_tuple()

    Nx.Defn.jit_apply(
      fn inputs ->
        program.handle |> NIF.program_region() |> region(Tuple.to_list(inputs)) |> container()
      end,
      [inputs],
      on_conflict: :reuse
    )
  end

  defp input!({{_name, {type, {}}}, number})
       when is_number(number) or is_struct(number, Complex),
       do: Nx.tensor(number, type: type)

  defp input!(
         {{_name, {type, shape}}, %T{type: type, shape: shape, vectorized_axes: []} = tensor}
       ),
       do: %{tensor | names: List.duplicate(nil, tuple_size(shape))}

  defp input!({port, other}),
    do: Argument.check!(false, "to_nx", "a tensor for #{Mlx.Program.text(port)}", other)

  defp container([single]), do: single
  defp container(list), do: List.to_tuple(list)

  defp list(%T{} = single), do: [single]
  defp list(tuple), do: Tuple.to_list(tuple)

  @doc "The outputs of a region for `tensors`, by calls of Nx."
  @spec region(tuple(), [Nx.Tensor.t()]) :: [Nx.Tensor.t()]
  def region({inputs, instructions, outputs}, tensors) do
    values = Map.new(Enum.zip_with(inputs, tensors, fn {id, _, _}, tensor -> {id, tensor} end))

    values =
      Enum.reduce(instructions, values, fn {first, instruction}, values ->
        instruction
        |> results(&Enum.map(&1, fn id -> Map.fetch!(values, id) end))
        |> Enum.with_index(first)
        |> Enum.reduce(values, fn {tensor, id}, values -> Map.put(values, id, tensor) end)
      end)

    Enum.map(outputs, &Map.fetch!(values, &1))
  end

  ## Instructions; `get` answers the tensors of ids

  # Rows that Nx has nothing for.
  defp results({:op, name, operands, attributes, types, nil}, get)
       when name not in @of_nx and not is_map_key(@blocks, name),
       do: Mlx.Compiler.Row.call(name, attributes, types, get.(operands))

  defp results({:op, name, operands, attributes, types, nil}, get)
       when is_map_key(@blocks, name) do
    {module, function} = Map.fetch!(@blocks, name)
    # The row of `lu` has an option that the function has not.
    attributes = if function == :lu, do: [], else: attributes
    options = for {key, value} <- attributes, value != nil, do: {key, option(value)}
    options = if options == [], do: [], else: [options]
    results = module |> apply(function, get.(operands) ++ options) |> list()
    Enum.zip_with(results, types, fn tensor, {type, _} -> as_type(tensor, type) end)
  end

  defp results({:op, name, operands, attributes, [{type, shape}], function}, get) do
    out = %T{type: type, shape: shape, names: List.duplicate(nil, tuple_size(shape))}
    operands = get.(operands)
    attributes = for {key, value} <- attributes, do: {key, given(name, key, value, operands, out)}
    own = if function, do: function_of(function, name, operands)
    operands = if function, do: Enum.take(operands, 2), else: operands
    arguments = Mlx.Op.arguments(name, operands, whole(name, attributes, out), own)
    # Those that create tensors take the backend's options.
    arguments = if name in [:constant, :eye, :iota], do: arguments ++ [[]], else: arguments
    [apply(Expr, name, [out | arguments])]
  end

  defp results({:constant, ref}, _get) do
    {type, shape} = NIF.type_of(ref)
    tensor = %{Nx.template(shape, type) | data: %Mlx.Backend{ref: ref}}

    # Other compilers know no tensors of this backend.
    if Nx.Defn.Compiler.current() == Mlx.Compiler do
      [%{tensor | data: %Expr{id: Expr.id(), op: :tensor, args: [tensor], context: nil}}]
    else
      [tensor |> Nx.backend_copy(Nx.BinaryBackend) |> Expr.tensor()]
    end
  end

  defp results({:while, initial, captures, condition, body}, get) do
    loop(get.(initial), get.(captures), &one(condition, &1), &region(body, &1))
  end

  # Counts the iterations, and goes back by as many, for each of which the loop begins anew.
  defp results({:while_reverse, initial, captures, carried, condition, body, backward}, get) do
    {initial, captures, carried} = {get.(initial), get.(captures), get.(carried)}
    state_count = length(initial)
    ahead = fn values -> region(body, values) end
    zero = Nx.tensor(0, type: :s64)

    [count | _] =
      loop([zero | initial], captures, &one(condition, tl(&1)), fn [count | state] ->
        [Nx.add(count, 1) | ahead.(state)]
      end)

    before_last = fn [count | state], constants ->
      [_, _ | state] =
        loop(
          [zero, Nx.subtract(count, 1) | state],
          constants,
          &Nx.less(hd(&1), Enum.at(&1, 1)),
          fn
            [done, all | state] -> [Nx.add(done, 1), all | ahead.(state)]
          end
        )

      state
    end

    loop([count | carried], initial ++ captures, &Nx.greater(hd(&1), 0), fn [count | values] ->
      {carried, values} = Enum.split(values, length(carried))
      {initial, captures} = Enum.split(values, state_count)
      state = before_last.([count | initial], captures)
      [Nx.subtract(count, 1) | region(backward, state ++ captures ++ carried)]
    end)
    |> tl()
  end

  defp results({:checkpoint, operands, body}, get), do: region(body, get.(operands))

  defp results({:cond, predicates, captures, branches}, get) do
    captures = get.(captures)
    branches = Enum.map(branches, &(&1 |> region(captures) |> container()))
    {branches, [last]} = Enum.split(branches, -1)
    predicates |> get.() |> Enum.zip(branches) |> Expr.cond(last) |> list()
  end

  defp results({:stop_gradient, values}, get),
    do: values |> get.() |> Enum.map(&Nx.Defn.Kernel.stop_grad/1)

  defp results({:custom_vjp, values, inputs, captures, backward}, get) do
    captures = get.(captures)

    values
    |> get.()
    |> container()
    |> Nx.Defn.Kernel.custom_grad(get.(inputs), fn cotangents ->
      region(backward, Composite.flatten_list([cotangents]) ++ captures)
    end)
    |> list()
  end

  defp results({:custom_vjp, values, inputs, reason}, get) do
    values
    |> get.()
    |> container()
    |> Nx.Defn.Kernel.custom_grad(get.(inputs), fn _ ->
      raise Mlx.UnsupportedError, message: reason
    end)
    |> list()
  end

  # `condition` and `body` take the state and then the captures.
  defp loop(initial, captures, condition, body) do
    count = length(initial)

    step = fn
      :condition, values ->
        condition.(Tuple.to_list(values))

      :body, values ->
        values = Tuple.to_list(values)
        List.to_tuple(body.(values) ++ Enum.drop(values, count))
    end

    __ENV__.file
    |> Expr.defn_while(__ENV__.line, List.to_tuple(initial ++ captures), :none, step, [])
    |> Tuple.to_list()
    |> Enum.take(count)
  end

  defp one(region, values), do: region |> region(values) |> hd()

  defp function_of(function, name, operands) do
    if length(operands) > 2 do
      raise Mlx.UnsupportedError,
        message: "[to_nx] the function of #{name} takes tensors from around it, which Nx's can't"
    end

    fn element, accumulator -> function |> region([element, accumulator]) |> hd() end
  end

  ## Attributes as Nx hands them to backends: complete, and axes counted from the front

  defp whole(name, attributes, out) when name in [:fft, :ifft] do
    length = attributes[:length] || elem(out.shape, attributes[:axis])
    Keyword.put(attributes, :length, length)
  end

  defp whole(_name, attributes, _out), do: attributes

  @fill_in_all [:reverse, :squeeze, :transpose, :broadcast, :gather, :indexed_add, :indexed_put]

  defp given(:stack, :axis, axis, _operands, out), do: from_front(axis, tuple_size(out.shape))

  defp given(:dot, key, axes, [a, b], _out) do
    tensor = if key in [:contract_axes1, :batch_axes1], do: a, else: b
    from_front(axes, Nx.rank(tensor))
  end

  defp given(name, :axes, nil, [t | rest], out) when name in @fill_in_all do
    last = Nx.rank(t) - 1

    case name do
      :reverse -> Enum.to_list(0..last//1)
      :squeeze -> for axis <- 0..last//1, elem(t.shape, axis) == 1, do: axis
      :transpose -> Enum.to_list(last..0//-1)
      :broadcast -> Enum.map(0..last//1, &(&1 + tuple_size(out.shape) - last - 1))
      _ -> Enum.to_list(0..(Nx.axis_size(hd(rest), -1) - 1)//1)
    end
  end

  defp given(:broadcast, :axes, axes, _operands, out), do: from_front(axes, tuple_size(out.shape))
  defp given(:iota, :axis, axis, [], out), do: from_front(axis, tuple_size(out.shape))

  defp given(:slice, :strides, nil, [t | _], _out), do: List.duplicate(1, Nx.rank(t))

  defp given(:conv, key, nil, [t | _], _out) do
    case key do
      :padding ->
        List.duplicate({0, 0}, Nx.rank(t) - 2)

      _ when key in [:strides, :input_dilation, :kernel_dilation] ->
        List.duplicate(1, Nx.rank(t) - 2)

      _permutation ->
        Enum.to_list(0..(Nx.rank(t) - 1)//1)
    end
  end

  defp given(_name, :padding, [], [t | _], _out), do: List.duplicate({0, 0}, Nx.rank(t))

  defp given(_name, key, [], [t | _], _out) when key in [:strides, :window_dilations],
    do: List.duplicate(1, Nx.rank(t))

  defp given(_name, key, value, [t | _], _out) when key in [:axes, :axis],
    do: from_front(value, Nx.rank(t))

  defp given(_name, _key, value, _operands, _out), do: option(value)

  defp from_front(nil, _rank), do: nil
  defp from_front(axes, rank) when is_list(axes), do: Enum.map(axes, &from_front(&1, rank))
  defp from_front(axis, rank) when axis < 0, do: axis + rank
  defp from_front(axis, _rank), do: axis

  # Texts are names that Nx knows as atoms.
  defp option(value) when is_binary(value), do: String.to_existing_atom(value)
  defp option(value), do: value

  defp as_type(%T{type: type} = tensor, type), do: tensor
  defp as_type(tensor, type), do: Nx.as_type(tensor, type)
end
