defmodule Mlx do
  @moduledoc """
  Explicit control over MLX's lazy evaluation, and what is known about the MLX in use.

  Ops on `Mlx.Backend` tensors build a graph, unless they are so small that computing takes less time; the graph is computed when
  somebody reads a result, or here:

      t = Nx.tensor([1.0, 2.0, 3.0], backend: Mlx.Backend)
      t |> Nx.exp() |> Mlx.eval()

  Reading (`Nx.to_binary/1`, `inspect/2`, `Nx.to_number/1`, …) evaluates by itself.
  """

  alias Mlx.NIF

  @typedoc "A tensor handle, as `Mlx.Backend` tensors hold it."
  @type handle :: reference()

  @typedoc "A tensor, or any nesting of tuples, lists, maps and structs with tensors in it. Handles count outside of structs."
  @type container :: term()

  @doc """
  Computes every tensor in `container` and returns when all are ready.

  All of them are computed in one evaluation. What is not an `Mlx.Backend` tensor is left alone. Returns `container`.

  Raises `Mlx.Error` when MLX fails, `ArgumentError` for a deallocated tensor. MLX: `mlx.core.eval`.

  ## Examples

      iex> Mlx.eval({})
      {}
  """
  @spec eval(container) :: container
  def eval(container) do
    handles = handles(container)

    # An event takes more time and memory than a small tensor that was computed at once.
    if not NIF.evaluated?(handles) do
      Mlx.Telemetry.span(:eval, %{count: length(handles)}, fn -> NIF.eval(handles) end)
    end

    container
  end

  @doc """
  Starts computing every tensor in `container` and returns `container` at once.

  An error is raised where a result is read. MLX: `mlx.core.async_eval`.

  ## Examples

      iex> Mlx.async_eval([])
      []
  """
  @spec async_eval(container) :: container
  def async_eval(container) do
    container |> handles() |> NIF.async_eval()
    container
  end

  @doc """
  Waits until all that was started so far is done, on every device of `stream` (default: the stream of `Mlx.Stream.with_stream/2`, else the common one).

  Raises `ArgumentError` for anything but a stream or nil. MLX: `mlx.core.synchronize`.

  ## Examples

      iex> Mlx.synchronize()
      :ok
  """
  @spec synchronize(Mlx.Stream.t() | nil) :: :ok
  def synchronize(stream \\ nil)
  def synchronize(nil), do: NIF.synchronize(Mlx.Stream.where())
  def synchronize(stream), do: stream |> Mlx.Stream.ref!("synchronize") |> NIF.synchronize()

  @doc """
  The version of MLX in use.

  ## Examples

      iex> Mlx.version() =~ ~r/^\\d+\\.\\d+/
      true
  """
  @spec version() :: String.t()
  def version, do: NIF.mlx_version()

  @doc """
  The memory that tensors hold, in bytes: `Mlx.Memory.info/0`.

  ## Examples

      iex> Mlx.memory().active_bytes >= 0
      true
  """
  @spec memory() :: Mlx.Memory.info()
  def memory, do: Mlx.Memory.info()

  @doc """
  The versions in use: of this package, of MLX, and where the mlx-c functions come from (`:system`, `:fetch` or `:bundled`).

  ## Examples

      iex> %{mlx: version} = Mlx.versions()
      iex> version =~ ~r/^\\d+\\.\\d+/
      true
  """
  @spec versions() :: %{elixir_mlx: String.t(), mlx: String.t(), mlx_c: atom()}
  def versions do
    %{
      elixir_mlx: to_string(Application.spec(:elixir_mlx, :vsn)),
      mlx: NIF.mlx_version(),
      mlx_c: String.to_atom(NIF.mlxc_provider())
    }
  end

  defp handles(container), do: container |> collect(true, []) |> Enum.reverse()

  # A reference of its own is a handle; one in a struct (a task's, a stream's) belongs to whoever defined that.
  defp collect(ref, true, acc) when is_reference(ref), do: [ref | acc]
  defp collect([head | tail], bare?, acc), do: collect(tail, bare?, collect(head, bare?, acc))

  defp collect(tuple, bare?, acc) when is_tuple(tuple),
    do: collect(Tuple.to_list(tuple), bare?, acc)

  defp collect(%_{} = struct, _bare?, acc) do
    case Mlx.Handle.fetch(struct) do
      nil -> struct |> Map.values() |> collect(false, acc)
      ref -> [ref | acc]
    end
  end

  defp collect(%{} = map, bare?, acc), do: collect(Map.values(map), bare?, acc)
  defp collect(_other, _bare?, acc), do: acc
end
