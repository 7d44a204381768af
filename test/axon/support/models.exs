defmodule Mlx.AxonModels do
  @moduledoc """
  What tests of models share.
  """

  @doc "A normal tensor."
  def normal(seed, shape, type \\ :f32),
    do: seed |> Nx.Random.key() |> Nx.Random.normal(shape: shape, type: type) |> elem(0)

  @doc "The state that Axon draws for a model, the same at each call."
  def init(model, template, seed \\ 1) do
    {init_fn, _} = Axon.build(model, seed: seed)
    init_fn.(template, Axon.ModelState.empty())
  end

  @doc "Whether two tensors, or nested containers of them, are the same within `atol`, and of the same type, shape and names."
  def near?(a, b, atol \\ 1.0e-4)

  def near?(%Nx.Tensor{} = a, %Nx.Tensor{} = b, atol),
    do:
      {a.type, a.shape, a.names} == {b.type, b.shape, b.names} and
        Nx.to_number(Nx.all_close(a, b, atol: atol, rtol: atol)) == 1

  def near?(%{} = a, %{} = b, atol),
    do:
      Map.keys(a) == Map.keys(b) and
        Enum.all?(a, fn {key, value} -> near?(value, b[key], atol) end)

  @doc "The ops of the program that a model is compiled to."
  def ops(model, state, input) do
    {_, predict_fn} = Axon.build(model)
    fun = fn data, x -> predict_fn.(%{state | data: data}, x) end
    program = Mlx.Compiler.to_program(fun, [state.data, input])
    Regex.scan(~r/\bfast:\w+/, to_string(program)) |> List.flatten() |> Enum.frequencies()
  end
end
