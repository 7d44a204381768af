defmodule Mlx.Compare do
  @moduledoc """
  Runs the same Nx code on `Nx.BinaryBackend` and on `Mlx.Backend` and compares types, shapes, names and elements.
  """

  import ExUnit.Assertions

  # Relative to the larger of 1 and the reference's magnitude. A few units in the last place of the type: both sides compute in
  # more than half precision and round once, and f64 is left to what a chain of f64 ops loses.
  @tolerances %{
    {:bf, 16} => 1.0e-2,
    {:f, 16} => 1.0e-3,
    {:f, 32} => 2.0e-6,
    {:f, 64} => 1.0e-12,
    {:c, 64} => 2.0e-6
  }

  @doc "What Nx's evaluator answers on `Nx.BinaryBackend`."
  def by_nx(fun, args) do
    Nx.with_default_backend(Nx.BinaryBackend, fn ->
      Nx.Defn.jit_apply(fun, args, compiler: Nx.Defn.Evaluator)
    end)
  end

  @doc """
  Calls `fun` with the list `tensors` (of `Nx.BinaryBackend`) on both backends and compares. Where the reference raises, so must the
  other. Options: `:tolerance` replaces the type's own.

  Tensors with two axes or more are tried in two layouts: row by row, and as a transposed view.
  """
  def assert_same(tensors, fun, options \\ []) do
    expected = answer(Nx.BinaryBackend, tensors, fun)

    for layout <- [:rows, :view], layout == :rows or Enum.any?(tensors, &(Nx.rank(&1) > 1)) do
      actual = answer(Mlx.Backend, Enum.map(tensors, &copy(&1, layout)), fun)

      case {expected, actual} do
        {{:raised, _}, {:raised, _}} ->
          :ok

        {{:raised, reference}, {:ok, result}} ->
          flunk("Nx.BinaryBackend raises #{reference}, here is #{inspect(result)}")

        {{:ok, result}, {:raised, ours}} ->
          flunk("#{ours}\n\nNx.BinaryBackend answers #{inspect(result)}")

        {{:ok, reference}, {:ok, result}} ->
          assert_close(result, reference, options)
      end
    end
  end

  @doc """
  Compares tensors of `Mlx.Backend` with those of `Nx.BinaryBackend`, in tuples, lists and maps. Options as above.
  """
  def assert_answer(result, reference, options \\ []) do
    assert_close(force(result), force(reference), options)
  end

  defp answer(backend, tensors, fun) do
    {:ok, Nx.with_default_backend(backend, fn -> fun.(tensors) |> force() end)}
  rescue
    error -> {:raised, Exception.format(:error, error, __STACKTRACE__)}
  end

  # Reading may raise too. What comes back is on Nx.BinaryBackend, together with where it was.
  defp force(%Nx.Tensor{data: %backend{}} = tensor) do
    {backend, Nx.backend_copy(tensor, Nx.BinaryBackend)}
  end

  defp force(tuple) when is_tuple(tuple) do
    tuple |> Tuple.to_list() |> Enum.map(&force/1) |> List.to_tuple()
  end

  defp force(list) when is_list(list), do: Enum.map(list, &force/1)
  defp force(map) when is_map(map), do: map |> Enum.sort() |> force()
  defp force(other), do: other

  @doc "A copy on `Mlx.Backend`, as `:rows` or as a `:view` of its transposition."
  def copy(tensor, layout \\ :rows)

  def copy(%{shape: shape} = tensor, :view) when tuple_size(shape) > 1 do
    tensor
    |> Nx.transpose()
    |> Nx.backend_copy(Mlx.Backend)
    |> Nx.transpose()
    |> Nx.rename(tensor.names)
  end

  def copy(tensor, _layout), do: Nx.backend_copy(tensor, Mlx.Backend)

  defp assert_close({Mlx.Backend, result}, {Nx.BinaryBackend, reference}, options) do
    assert {result.type, result.shape, result.names, result.vectorized_axes} ==
             {reference.type, reference.shape, reference.names, reference.vectorized_axes}

    tolerance = options[:tolerance] || Map.get(@tolerances, result.type, 0)
    pairs = Enum.zip(elements(result), elements(reference))

    unless Enum.all?(pairs, fn {ours, theirs} -> close?(ours, theirs, tolerance) end) do
      flunk(
        "not within #{tolerance}:\n#{inspect(result)}\nNx.BinaryBackend:\n#{inspect(reference)}"
      )
    end
  end

  defp assert_close(result, reference, options) when is_tuple(reference) do
    assert_close(Tuple.to_list(result), Tuple.to_list(reference), options)
  end

  defp assert_close(result, reference, options) when is_list(reference) do
    assert length(result) == length(reference)
    Enum.zip_with(result, reference, &assert_close(&1, &2, options))
  end

  defp assert_close(result, reference, _options), do: assert(result == reference)

  defp elements(tensor), do: tensor |> Nx.devectorize() |> Nx.to_flat_list()

  defp close?(same, same, _tolerance), do: true

  defp close?(%Complex{} = a, %Complex{} = b, tolerance) do
    close?(a.re, b.re, tolerance * size(b)) and close?(a.im, b.im, tolerance * size(b))
  end

  defp close?(a, b, tolerance) when is_number(a) and is_number(b) do
    abs(a - b) <= tolerance * max(1, abs(b))
  end

  defp close?(_a, _b, _tolerance), do: false

  # A part of a complex number is as exact as its modulus.
  defp size(%Complex{re: re, im: im}) when is_number(re) and is_number(im),
    do: max(1, abs(re) + abs(im))

  defp size(_), do: 1
end
