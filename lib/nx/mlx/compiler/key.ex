defmodule Mlx.Compiler.Key do
  # What a program is kept under: the function, by its code and by what it captured.
  @moduledoc false

  @most_terms 100_000
  # Larger binaries, such as captured tensors, stand in a key as their digest: the program holds them already.
  @large_bytes 1024

  @doc """
  Whether a program may be kept under `term`: it holds no expressions and is not very large. Copies and hashes repeat what a
  term shares, and an expression of some dozens of nodes may share exponentially much.
  """
  @spec keeps?(term()) :: boolean()
  def keeps?(term), do: is_integer(walk(term, @most_terms))

  # How many more terms may follow, or nil.
  defp walk(_term, left) when left == nil or left <= 0, do: nil
  defp walk(%Nx.Defn.Expr{}, _left), do: nil
  defp walk([head | tail], left), do: walk(tail, walk(head, left - 1))
  defp walk(tuple, left) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> walk(left)
  defp walk(%{} = map, left), do: map |> :maps.to_list() |> walk(left)

  defp walk(fun, left) when is_function(fun) do
    {:env, env} = :erlang.fun_info(fun, :env)
    walk(env, left - 1)
  end

  defp walk(_other, left), do: left - 1

  @doc """
  `term` with its functions as their code, which is the same in each VM. References and processes are not, so that a function
  which captured some is built anew in each.
  """
  @spec stable(term()) :: term()
  def stable(fun) when is_function(fun) do
    {:module, module} = :erlang.fun_info(fun, :module)
    {:arity, arity} = :erlang.fun_info(fun, :arity)

    case :erlang.fun_info(fun, :type) do
      {:type, :external} ->
        {:name, name} = :erlang.fun_info(fun, :name)
        {module, code(module), name, arity}

      {:type, :local} ->
        {:new_index, index} = :erlang.fun_info(fun, :new_index)
        {:new_uniq, code} = :erlang.fun_info(fun, :new_uniq)
        {:env, env} = :erlang.fun_info(fun, :env)
        {module, code, index, arity, stable(env)}
    end
  end

  def stable(binary) when is_binary(binary) and byte_size(binary) > @large_bytes do
    {:digest, byte_size(binary), :crypto.hash(:sha256, binary)}
  end

  def stable([head | tail]), do: [stable(head) | stable(tail)]

  def stable(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> stable() |> List.to_tuple()

  def stable(%{} = map), do: :maps.map(fn _key, value -> stable(value) end, map)
  def stable(other), do: other

  defp code(module) do
    if function_exported?(module, :module_info, 1), do: module.module_info(:md5)
  end

  @doc "The bytes of the tensors of `Mlx.Backend` that `key` holds."
  @spec held_bytes(term()) :: non_neg_integer()
  def held_bytes(%Nx.Tensor{data: %Mlx.Backend{}} = tensor),
    do: tensor |> Nx.devectorize() |> Nx.byte_size()

  def held_bytes([head | tail]), do: held_bytes(head) + held_bytes(tail)
  def held_bytes(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> held_bytes()
  def held_bytes(%{} = map), do: map |> :maps.values() |> held_bytes()
  def held_bytes(_other), do: 0
end
