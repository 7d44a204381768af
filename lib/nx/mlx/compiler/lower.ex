defmodule Mlx.Compiler.Lower do
  # `Nx.Defn.Expr` to a graph program, in the form that native/nif/program.cpp reads.
  #
  # Regions are closed: what a branch reads from around it becomes an input of its region and an operand of the `cond`. A
  # node that several places of a scope read is lowered once, in the innermost scope around them (`Mlx.Compiler.Scope`); so a
  # branch holds what only it reads.
  @moduledoc false

  import Mlx.Compiler.Node

  alias Mlx.Compiler.{Callbacks, Scope, Transform}
  alias Nx.Defn.{Expr, Tree}
  alias Nx.Tensor, as: T

  @typedoc """
  The region; the positions of the parameters that it reads, in the order of its inputs; the callbacks by name; and what
  custom gradients have raised, by the reasons that stand in the region.
  """
  @type lowered ::
          {region :: tuple(), [non_neg_integer()], %{String.t() => Callbacks.callback()},
           %{String.t() => {Exception.t(), Exception.stacktrace()}}}

  # A scope is a region under construction. `params`: what a parameter's position stands for: a value's id, or for the
  # program itself the position. `values`: ids of lowered nodes. `visible`: ids of the nodes that belong to this scope or to
  # one around it; `around`: of the latter. `captures`: the nodes that come from around a branch, newest first.
  defstruct params: %{},
            open_params?: false,
            branch?: false,
            values: %{},
            around: %{},
            visible: %{},
            inputs: [],
            captures: [],
            instructions: [],
            next: 0

  @doc """
  Lowers `expr`, a tensor expression or a container of such, of the parameters `vars`. `hooks` are the names of hooks whose
  functions stand in for those in the code.
  """
  @spec lower(Nx.Container.t(), [Nx.Container.t()], [atom()]) :: lowered
  def lower(expr, vars, hooks) do
    scope = %__MODULE__{open_params?: true, visible: Scope.ids(expr)}
    callbacks = %{hooks: hooks, found: %{}, seen: %{}, captured: %{}, gradients: 0, raised: %{}}
    callbacks = Callbacks.see_params(callbacks, flatten(List.to_tuple(vars)))
    {ids, [scope], callbacks} = values(flatten(expr), [scope], callbacks)
    {scope, positions} = in_order(scope)
    {region(scope, ids), positions, callbacks.found, callbacks.raised}
  end

  defp region(scope, outputs) do
    {Enum.reverse(scope.inputs), Enum.reverse(scope.instructions), outputs}
  end

  # Inputs of the program stand in the order of the arguments, not in that in which they were first read.
  defp in_order(scope) do
    {positions, ids} = scope.params |> Enum.sort() |> Enum.unzip()
    inputs = Map.new(scope.inputs, fn {id, _, _} = input -> {id, input} end)
    {%{scope | inputs: ids |> Enum.map(&Map.fetch!(inputs, &1)) |> Enum.reverse()}, positions}
  end

  ## Values: the ids of tensors in the innermost scope; a node that stands for a tuple has several

  defp values(tensors, scopes, callbacks) do
    {ids, {scopes, callbacks}} =
      Enum.flat_map_reduce(tensors, {scopes, callbacks}, fn tensor, {scopes, callbacks} ->
        {ids, scopes, callbacks} = value(tensor, scopes, callbacks)
        {ids, {scopes, callbacks}}
      end)

    {ids, scopes, callbacks}
  end

  # The ids of a node: one for a tensor, several for a node that stands for a tuple.
  defp value(%T{data: %Expr{id: id, op: op}} = tensor, [scope | outer] = scopes, callbacks) do
    case scope.values do
      %{^id => ids} ->
        {ids, scopes, callbacks}

      _ when op in [:constant, :tensor, :elem] ->
        lower_node(op, tensor, scopes, callbacks)

      _ when scope.branch? ->
        if belongs_to?(tensor, scope) do
          lower_node(op, tensor, scopes, callbacks)
        else
          {outer_ids, outer, callbacks} = value(tensor, outer, callbacks)
          {ids, scope} = capture(outer_ids, types(tensor), scope)
          {ids, [put_values(scope, id, ids) | outer], callbacks}
        end

      _ ->
        lower_node(op, tensor, scopes, callbacks)
    end
  end

  # A number or tensor that is no expression, such as an argument of a block.
  defp value(other, scopes, callbacks),
    do: other |> Nx.to_tensor() |> expression() |> value(scopes, callbacks)

  # Metadata that says nothing about gradients is looked through; any other node has its place.
  defp belongs_to?(%T{data: %Expr{op: :parameter}}, _scope), do: false

  defp belongs_to?(%T{data: %Expr{op: :metadata, args: [_expr, metadata]}}, _scope)
       when not is_map_key(metadata, :stop_grad) and not is_map_key(metadata, :custom_grad),
       do: true

  defp belongs_to?(%T{data: %Expr{id: id}}, scope),
    do: is_map_key(scope.visible, id) and not is_map_key(scope.around, id)

  defp capture(outer_ids, types, scope) do
    Enum.zip(outer_ids, types)
    |> Enum.map_reduce(scope, fn {outer_id, type}, scope ->
      id = scope.next
      input = {id, "", type}

      {id,
       %{
         scope
         | next: id + 1,
           inputs: [input | scope.inputs],
           captures: [outer_id | scope.captures]
       }}
    end)
  end

  defp put_values(scope, id, ids), do: %{scope | values: Map.put(scope.values, id, ids)}

  defp remember(ids, %T{data: %Expr{id: id}} = tensor, [scope | outer], callbacks) do
    {ids, [put_values(scope, id, ids) | outer], Callbacks.see(callbacks, id, tensor)}
  end

  defp emit(instruction, count, [scope | outer]) do
    first = scope.next
    ids = Enum.to_list(first..(first + count - 1)//1)

    {ids,
     [
       %{scope | next: first + count, instructions: [{first, instruction} | scope.instructions]}
       | outer
     ]}
  end

  ## Nodes

  defp lower_node(:parameter, %T{data: %Expr{args: [position]}} = tensor, scopes, callbacks) do
    [scope | outer] = scopes

    case scope.params do
      %{^position => id} ->
        remember([id], tensor, scopes, callbacks)

      %{} when scope.open_params? ->
        id = scope.next
        input = {id, "arg#{position}", type(tensor)}

        scope = %{
          scope
          | next: id + 1,
            inputs: [input | scope.inputs],
            params: Map.put(scope.params, position, id)
        }

        remember([id], tensor, [scope | outer], callbacks)
    end
  end

  defp lower_node(:constant, %T{data: %Expr{args: [value]}} = tensor, scopes, callbacks) do
    {[], attributes} = call(:constant, [value], tensor)
    {ids, scopes} = emit({:op, :constant, [], attributes, [type(tensor)], nil}, 1, scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(:tensor, %T{data: %Expr{args: [value]}} = tensor, scopes, callbacks) do
    value = Nx.devectorize(value)
    # A tensor that is captured in several places is copied once.
    key = {value.type, value.shape, value.data}
    ref = Map.get(callbacks.captured, key) || Mlx.Backend.to_ref(value, nil)
    callbacks = put_in(callbacks.captured[key], ref)
    {ids, scopes} = emit({:constant, ref}, 1, scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(:metadata, %T{data: %Expr{args: args}} = tensor, scopes, callbacks) do
    [expr, metadata] = args
    {ids, scopes, callbacks} = expr |> flatten() |> values(scopes, callbacks)

    case metadata do
      %{stop_grad: true} ->
        {ids, scopes} = emit({:stop_gradient, ids}, length(ids), scopes)
        remember(ids, tensor, scopes, callbacks)

      %{custom_grad: {inputs, fun}} ->
        {input_ids, scopes, callbacks} = values(inputs, see(inputs, scopes), callbacks)

        {instruction, scopes, callbacks} =
          custom_vjp({ids, tensor}, {input_ids, inputs}, fun, scopes, callbacks)

        {ids, scopes} = emit(instruction, length(ids), scopes)
        remember(ids, tensor, scopes, callbacks)

      %{} ->
        {ids, scopes, callbacks}
    end
  end

  defp lower_node(:elem, %T{data: %Expr{args: [tuple, position]}}, scopes, callbacks) do
    {ids, scopes, callbacks} = value(tuple, scopes, callbacks)
    {[Enum.at(ids, position)], scopes, callbacks}
  end

  defp lower_node(:while, %T{data: %Expr{args: args}} = tensor, scopes, callbacks) do
    [initial, arg, condition, body] = args
    {ids, scopes, callbacks} = initial |> flatten() |> values(scopes, callbacks)
    types = Enum.map(flatten(initial), &type/1)
    callbacks = Callbacks.see_params(callbacks, flatten(arg))

    {condition, callbacks} = function_region(types, condition, nil, callbacks)
    {body, callbacks} = function_region(types, body, types, callbacks)
    {ids, scopes} = emit({:while, ids, [], condition, body}, length(types), scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(
         :cond,
         %T{data: %Expr{args: [[{pred, body} | rest], last]}} = tensor,
         scopes,
         callbacks
       ) do
    {[pred], scopes, callbacks} = value(pred, scopes, callbacks)

    # Only the first predicate is sure to be asked for: the others stand in the branch of those before.
    otherwise = if rest == [], do: last, else: Tree.put_args(tensor, [rest, last])

    {branches, scopes, callbacks} = branches([body, otherwise], scopes, callbacks)
    {captures, regions} = join_captures(branches)
    {ids, scopes} = emit({:cond, [pred], captures, regions}, length(flatten(last)), scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(:block, %T{data: %Expr{args: args}} = tensor, scopes, callbacks) do
    [struct, in_args, default, _fun] = args
    {operands, _options} = Enum.split_while(in_args, &(not is_list(&1)))

    case Mlx.Op.block(struct) do
      nil when is_struct(struct, Transform) ->
        {ids, scopes, callbacks} = values(operands, scopes, callbacks)
        {instruction, scopes, callbacks} = transform(struct, ids, scopes, callbacks)
        {ids, scopes} = emit(instruction, length(types(tensor)), scopes)
        remember(ids, tensor, scopes, callbacks)

      {name, attributes} ->
        {ids, scopes, callbacks} = values(operands, scopes, callbacks)
        types = types(tensor)
        {ids, scopes} = emit({:op, name, ids, attributes, types, nil}, length(types), scopes)
        remember(ids, tensor, scopes, callbacks)

      nil ->
        inline(operands, default, tensor, scopes, callbacks)
    end
  end

  defp lower_node(:runtime_call, %T{data: %Expr{args: args}} = tensor, scopes, callbacks) do
    [expr, fun, template, options] = args
    types = Enum.map(flatten(template), &type/1)
    {ids, scopes, callbacks} = expr |> flatten() |> values(scopes, callbacks)

    callback =
      {:runtime_call, fun, options, Callbacks.without_data(template),
       Callbacks.handed(expr, callbacks)}

    {name, callbacks} = Callbacks.add(callbacks, "runtime_call", callback)
    {ids, scopes} = emit({:runtime_call, name, ids, types}, length(types), scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(op, %T{data: %Expr{args: args}} = tensor, scopes, callbacks)
       when op in [:io_call, :hook] do
    [expr, spec | _] = args
    {ids, scopes, callbacks} = expr |> flatten() |> values(scopes, callbacks)

    {told, spec} =
      case spec do
        {:token_hook, hooked, spec} -> {hooked, spec}
        spec -> {expr, spec}
      end

    case Callbacks.hook(spec, callbacks) do
      nil ->
        remember(ids, tensor, scopes, callbacks)

      hook ->
        {told_ids, scopes, callbacks} = told |> flatten() |> values(scopes, callbacks)
        callback = {:hook, hook, Callbacks.handed(told, callbacks)}
        {name, callbacks} = Callbacks.add(callbacks, Callbacks.hook_name(spec), callback)
        {passed, scopes} = emit({:hook, name, told_ids}, length(told_ids), scopes)
        # What flows on comes out of the hook, so that it stays in its place.
        remember(if(told_ids == ids, do: passed, else: ids), tensor, scopes, callbacks)
    end
  end

  defp lower_node(op, %T{data: %Expr{args: args}} = tensor, scopes, callbacks)
       when op in [:reduce, :window_reduce] do
    {operands, attributes} = call(op, args, tensor)
    {ids, scopes, callbacks} = values(operands, scopes, callbacks)
    %T{data: %Expr{op: :fun, args: [params, body, _mfa]}} = List.last(args)
    {region, callbacks} = function_region(Enum.map(params, &type/1), body, nil, callbacks)
    {ids, scopes} = emit({:op, op, ids, attributes, [type(tensor)], region}, 1, scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  defp lower_node(op, %T{data: %Expr{args: args}} = tensor, scopes, callbacks) do
    {operands, attributes} = call(op, args, tensor)
    {ids, scopes, callbacks} = values(operands, scopes, callbacks)
    {ids, scopes} = emit({:op, op, ids, attributes, [type(tensor)], nil}, 1, scopes)
    remember(ids, tensor, scopes, callbacks)
  end

  # A node that a hook reads may be vectorized, and its attributes speak of the whole.
  defp call(op, args, tensor), do: Mlx.Op.call(op, args, Nx.devectorize(tensor))

  ## Regions

  # A function of its own: a loop's condition or body, or the function of a reduction. `answers`: the types of its outputs
  # where they are given. Bodies of the loops that Nx makes for gradients answer f64 for a state of f32, and the evaluator
  # lets the state change its type; the loop's result has the state's.
  defp function_region(types, expr, answers, callbacks) do
    inputs = types |> Enum.with_index(fn type, i -> {i, "", type} end) |> Enum.reverse()
    count = length(types)

    scope = %__MODULE__{
      params: Map.new(0..(count - 1)//1, &{&1, &1}),
      visible: Scope.ids(expr),
      inputs: inputs,
      next: count
    }

    outputs = flatten(expr)
    {ids, [scope], callbacks} = values(outputs, [scope], callbacks)
    {ids, [scope]} = cast(ids, Enum.map(outputs, &type/1), answers, [scope])
    {region(scope, ids), callbacks}
  end

  defp cast(ids, types, answers, scopes) when answers in [nil, types], do: {ids, scopes}

  defp cast(ids, types, answers, scopes) do
    [ids, types, answers]
    |> Enum.zip()
    |> Enum.map_reduce(scopes, fn
      {id, {type, _}, {type, _}}, scopes ->
        {id, scopes}

      {id, {_, shape}, {type, _}}, scopes ->
        {[id], scopes} =
          emit({:op, :as_type, [id], [type: type], [{type, shape}], nil}, 1, scopes)

        {id, scopes}
    end)
  end

  # The branches of one `cond`, each with what it captures of the scopes around.
  defp branches(bodies, scopes, callbacks) do
    {branches, {scopes, callbacks}} =
      Enum.map_reduce(bodies, {scopes, callbacks}, fn body, {[scope | _] = scopes, callbacks} ->
        visible = Scope.ids(body, scope.visible)
        branch = %__MODULE__{branch?: true, around: scope.visible, visible: visible}

        {ids, [branch | scopes], callbacks} =
          body |> flatten() |> values([branch | scopes], callbacks)

        {{branch, ids}, {scopes, callbacks}}
      end)

    {branches, scopes, callbacks}
  end

  # All branches of an instruction have the same inputs.
  defp join_captures(branches) do
    all = for {scope, _} <- branches, id <- Enum.reverse(scope.captures), uniq: true, do: id
    types = captured_types(branches)

    regions =
      for {scope, outputs} <- branches do
        own = Map.new(Enum.zip(scope.captures, scope.inputs))

        {inputs, _next} =
          Enum.map_reduce(all, scope.next, fn id, next ->
            case own do
              %{^id => input} -> {input, next}
              %{} -> {{next, "", types[id]}, next + 1}
            end
          end)

        {inputs, Enum.reverse(scope.instructions), outputs}
      end

    {all, regions}
  end

  defp captured_types(branches) do
    for {scope, _} <- branches,
        {id, {_, _, type}} <- Enum.zip(scope.captures, scope.inputs),
        into: %{},
        do: {id, type}
  end

  # A custom gradient is a function of the cotangents, closed over nodes of the scopes around it: like a branch, with inputs of
  # its own. A function that raises, or calls back to Elixir, leaves word of that for those who want the gradient.
  defp custom_vjp({ids, values}, {input_ids, inputs}, fun, scopes, callbacks) do
    with {:ok, cotangents, answers} <- gradient(values, inputs, fun, callbacks),
         inner = %{callbacks | found: %{}, gradients: callbacks.gradients + 1},
         {region, captures, scopes, %{found: found, raised: raised}} when found == %{} <-
           closed_region(cotangents, answers, scopes, inner) do
      {{:custom_vjp, ids, input_ids, captures, region}, scopes, %{callbacks | raised: raised}}
    else
      {:error, reason} ->
        {{:custom_vjp, ids, input_ids, reason}, scopes, callbacks}

      {:raised, error, stacktrace} ->
        [reason | _] = error |> Exception.message() |> String.split("\n", parts: 2)
        callbacks = put_in(callbacks.raised[reason], {error, stacktrace})
        {{:custom_vjp, ids, input_ids, reason}, scopes, callbacks}

      _ ->
        {{:custom_vjp, ids, input_ids, "the gradient calls back to Elixir"}, scopes, callbacks}
    end
  end

  # The core makes the derivative of the function's region, and puts it in the instruction's place.
  defp transform(%Transform{params: params} = transform, ids, scopes, callbacks) do
    callbacks = Callbacks.see_params(callbacks, params)
    {own, others} = Enum.split(ids, length(params))

    {region, captures, scopes, callbacks} =
      closed_region(params, transform.outputs, scopes, callbacks)

    {{:transform, transform.name, transform.parameters, own ++ captures ++ others, region},
     scopes, callbacks}
  end

  # A region with inputs of its own, `params`, and what `outputs` take from the scopes around behind them.
  defp closed_region(params, outputs, [scope | _] = scopes, callbacks) do
    own = Enum.with_index(params, fn param, i -> {param.data.id, i, type(param)} end)

    region = %__MODULE__{
      branch?: true,
      around: scope.visible,
      visible: Scope.ids(List.to_tuple(outputs), scope.visible),
      values: Map.new(own, fn {id, i, _type} -> {id, [i]} end),
      inputs: own |> Enum.map(fn {_id, i, type} -> {i, "", type} end) |> Enum.reverse(),
      next: length(own)
    }

    {ids, [region | scopes], callbacks} = values(outputs, [region | scopes], callbacks)
    {region(region, ids), Enum.reverse(region.captures), scopes, callbacks}
  end

  # What only a mark reads is none of the nodes that Nx finds in a scope, and yet belongs there.
  defp see(inputs, [scope | outer]) do
    expressions = inputs |> Enum.filter(&match?(%T{data: %Expr{}}, &1)) |> List.to_tuple()
    [%{scope | visible: Scope.ids(expressions, scope.visible)} | outer]
  end

  # Functions whose gradient is made of themselves would never end.
  @most_gradients 3

  defp gradient(_values, _inputs, _fun, %{gradients: @most_gradients}) do
    {:error, "gradients of custom gradients are kept up to order #{@most_gradients}"}
  end

  defp gradient(%T{data: %Expr{context: context, args: [expr, _]}} = tensor, inputs, fun, _) do
    cotangents =
      for {{type, shape}, i} <- tensor |> types() |> Enum.with_index(),
          do: Expr.parameter(context, Transform.cotangent_type(type), shape, i)

    cotangent = if is_tuple(expr), do: List.to_tuple(cotangents), else: hd(cotangents)
    answers = inside_defn(fn -> fun.(cotangent) end)

    if length(answers) == length(inputs) do
      {:ok, cotangents, Enum.zip_with(inputs, answers, &cotangent/2)}
    else
      {:error, "it answers #{length(answers)} gradients for #{length(inputs)} inputs"}
    end
  rescue
    error -> {:raised, error, __STACKTRACE__}
  end

  # What is called there is traced, as it is while Nx traces a function, and not run.
  defp inside_defn(fun) do
    outer = Process.put(Nx.Defn.Compiler, Mlx.Compiler)

    try do
      Nx.with_default_backend(Expr, fun)
    after
      if outer,
        do: Process.put(Nx.Defn.Compiler, outer),
        else: Process.delete(Nx.Defn.Compiler)
    end
  end

  defp cotangent(input, answer) do
    {type, shape} = type(input)
    answer = Nx.devectorize(answer, keep_names: false)
    answer = if answer.shape == shape, do: answer, else: Nx.broadcast(answer, shape)
    answer |> Nx.as_type(Transform.cotangent_type(type)) |> expression()
  end

  defp expression(%T{data: %Expr{}} = tensor), do: tensor
  defp expression(tensor), do: Expr.tensor(tensor)

  # The default of a block without a row: its nodes among ours, its parameters our operands.
  defp inline(operands, default, tensor, scopes, callbacks) do
    {ids, [scope | outer], callbacks} = values(operands, scopes, callbacks)
    params = ids |> Enum.with_index() |> Map.new(fn {id, i} -> {i, id} end)

    inner = %{
      scope
      | params: params,
        open_params?: false,
        branch?: false,
        visible: Scope.ids(default, scope.visible)
    }

    {ids, [inner | outer], callbacks} = default |> flatten() |> values([inner | outer], callbacks)

    scope = %{
      inner
      | params: scope.params,
        open_params?: scope.open_params?,
        branch?: scope.branch?,
        visible: scope.visible
    }

    remember(ids, tensor, [scope | outer], callbacks)
  end
end
