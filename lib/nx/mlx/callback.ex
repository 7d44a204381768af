defmodule Mlx.Callback do
  # What Elixir functions answer that native code calls (Mlx.Session): while it builds an op, or from a running program.
  @moduledoc false

  alias Mlx.NIF
  alias Nx.Defn.Composite
  alias Nx.Tensor, as: T

  @doc """
  Answers a program's callback (`t:Mlx.Compiler.Callbacks.callback/0`), from handles to handles. `hooks` are the functions of the
  named ones.
  """
  def answer_program({:hook, hook, container}, hooks, handles) do
    fun =
      case hook do
        {:named, name} -> Map.fetch!(hooks, name)
        {:fn, fun} -> fun
      end

    fun.(rebuild(container, handles))
    []
  end

  def answer_program({:runtime_call, fun, options, template, container}, _hooks, handles) do
    result = fun.(rebuild(container, handles), options)

    if not Nx.compatible?(template, result) do
      raise "expected the runtime_call function to match the given output template"
    end

    [result]
    |> Composite.flatten_list()
    |> Enum.map(&Mlx.Backend.to_ref(Nx.devectorize(&1), nil))
  end

  # The container with tensors in place of the templates.
  defp rebuild(container, handles) do
    {container, []} =
      Composite.traverse(container, handles, fn template, [handle | rest] ->
        {%{template | data: %Mlx.Backend{ref: handle}}, rest}
      end)

    container
  end

  @doc """
  A function of two scalars as one of two tensors of handles: `fun` gets vectorized scalars, all elements at once. A
  function that can't work so (it looks at numbers) is called for each pair of elements.
  """
  def elementwise(fun, device) do
    fn [element, accumulator] ->
      {_, shape} = NIF.type_of(accumulator)
      arguments = [flat(element, device), flat(accumulator, device)]

      %T{} =
        result =
        try do
          arguments
          |> Enum.map(&Nx.vectorize(&1, :element))
          |> then(&apply(fun, &1))
          |> devectorize()
        rescue
          _ -> one_by_one(fun, arguments)
        end

      result = if result.shape == {}, do: result, else: Nx.reshape(result, shape)
      [Mlx.Backend.to_ref(result, device)]
    end
  end

  defp flat(handle, device) do
    {type, shape} = NIF.type_of(handle)
    tensor = %{Nx.template(shape, type) | data: %Mlx.Backend{ref: handle, device: device}}
    Nx.flatten(tensor)
  end

  defp devectorize(%T{vectorized_axes: []} = scalar), do: scalar
  defp devectorize(%T{} = tensor), do: Nx.devectorize(tensor, keep_names: false)
  defp devectorize(number), do: Nx.tensor(number, backend: Mlx.Backend)

  defp one_by_one(fun, [elements, accumulators]) do
    for i <- 0..(Nx.size(elements) - 1)//1 do
      Nx.to_tensor(fun.(elements[i], accumulators[i]))
    end
    |> Nx.stack()
  end
end
