defmodule Mlx.Compiler.Callbacks do
  # The hooks and runtime calls that `Mlx.Compiler.Lower` finds: `found` keeps them by the names that the program calls them by.
  @moduledoc false

  import Mlx.Compiler.Node

  alias Nx.Defn.{Composite, Expr}
  alias Nx.Tensor, as: T

  @typedoc """
  What to do when the program asks for a callback: call a hook, by its name or its function, or compute a runtime call. The
  last element is the container of templates that the callback's tensors are put into.
  """
  @type callback ::
          {:hook, {:named, atom()} | {:fn, function()}, Nx.Container.t()}
          | {:runtime_call, function(), options :: term(), template :: Nx.Container.t(),
             Nx.Container.t()}

  @typedoc """
  `hooks`: names of hooks whose functions stand in for those in the code. `seen`: templates of nodes by their ids.
  """
  @type t :: %{
          :hooks => [atom()],
          :found => %{String.t() => callback},
          :seen => map(),
          optional(atom()) => term()
        }

  @doc "Keeps a callback, and answers its name."
  @spec add(t, String.t(), callback) :: {String.t(), t}
  def add(callbacks, kind, callback) do
    name = "#{kind}:#{map_size(callbacks.found)}"
    {name, %{callbacks | found: Map.put(callbacks.found, name, callback)}}
  end

  @doc "The hook that a node's specification means; nil where nobody listens."
  @spec hook(tuple(), t) :: {:named, atom()} | {:fn, function()} | nil
  def hook({:fn, fun}, _callbacks), do: {:fn, fun}

  def hook({:named, name, fun}, callbacks) do
    cond do
      name in callbacks.hooks -> {:named, name}
      fun -> {:fn, fun}
      true -> nil
    end
  end

  @doc "What a hook's name begins with."
  @spec hook_name(tuple()) :: String.t()
  def hook_name({:named, name, _}), do: to_string(name)
  def hook_name({:fn, _}), do: "hook"

  @doc """
  The container's templates. A callback is kept, and copied, with its program: it must not hold expressions, whose shared nodes a copy
  repeats.
  """
  @spec without_data(Nx.Container.t()) :: Nx.Container.t()
  def without_data(expr), do: Composite.traverse(expr, &%{&1 | data: nil})

  @doc """
  Notes how a node was first met. Nx's evaluator hands callbacks the tensors that it computed, and these have the names and vectorized
  axes under which their node was first met: renaming and vectorizing make no node.
  """
  @spec see(t, reference(), Nx.Tensor.t()) :: t
  def see(callbacks, _id, %T{type: {:tuple, _}}), do: callbacks

  def see(callbacks, id, tensor),
    do: %{callbacks | seen: Map.put_new(callbacks.seen, id, %{tensor | data: nil})}

  @doc "Notes parameters, which are devectorized."
  @spec see_params(t, [Nx.Tensor.t()]) :: t
  def see_params(callbacks, params),
    do: Enum.reduce(params, callbacks, &see(&2, &1.data.id, Nx.devectorize(&1)))

  @doc "The templates of what a callback gets for `expr`."
  @spec handed(Nx.Container.t(), t) :: Nx.Container.t()
  def handed(expr, callbacks), do: Composite.traverse(expr, &hd(handed_all(&1, callbacks)))

  # A template for each tensor that the node stands for.
  defp handed_all(%T{data: %Expr{id: id, op: op, args: args}} = tensor, callbacks) do
    case {op, args} do
      {:tensor, [captured]} ->
        [without_data(captured)]

      {:elem, [tuple, position]} ->
        [tuple |> handed_all(callbacks) |> Enum.at(position)]

      {op, [expr | _]} when op in [:metadata, :io_call, :hook, :while] ->
        handed_each(expr, callbacks)

      {:cond, [_clauses, last]} ->
        handed_each(last, callbacks)

      {:runtime_call, [_expr, _fun, template | _]} ->
        template |> flatten() |> Enum.map(&without_data/1)

      _ ->
        for out <- outputs(tensor), do: Map.get(callbacks.seen, id) || without_data(out)
    end
  end

  defp handed_each(expr, callbacks),
    do: expr |> flatten() |> Enum.flat_map(&handed_all(&1, callbacks))
end
