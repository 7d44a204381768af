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

  ## Transforms of functions, which need Nx

  @typedoc "A function of tensors and containers of tensors."
  @type transformable :: function()

  @doc """
  The gradient of a function that answers one tensor.

    * `grad(vars, fun)` answers the gradient of `fun` at `vars`, as `Nx.Defn.grad/2`
    * `grad(fun)` and `grad(fun, options)` answer a function of the same arguments, which answers the gradient

  `vars` and arguments are tensors or containers of tensors: tuples, maps, structs that derive `Nx.Container`. The gradient is such
  a container, with the types (f32 for integers), shapes, names and vectorized axes of the tensors it is by. The gradient of a
  tensor that is no scalar is that of its sum.

  The function is compiled by `Mlx.Compiler` and differentiated natively: loops of any number of iterations, branches,
  `stop_grad` and `custom_grad` in it, gradients of gradients. Inside of `defn` a call becomes a part of the function around;
  compilers other than `Mlx.Compiler` call `Nx.Defn.grad/2` there.

  ## Options

    * `:wrt` - with `grad(fun, options)`: the position of the argument that the gradient is by, default 0, or a list of positions,
      for which it is a tuple
    * `:transform` - a function from what `fun` answers to the tensor that is differentiated, as for `value_and_grad/3`
    * `:tape` - what a loop of n iterations keeps of them until its gradient comes back to them: `:all` states (the default),
      `:sqrt`, each √n-th, between which it runs again, or `:recompute`, only the first, in time that grows with n²
    * `:cache`, `:device`, `:hooks` - as for `Mlx.Compiler`

  Raises `ArgumentError` for other arguments, and where the function answers no tensor; `Mlx.UnsupportedError` where an op in it
  has no derivative.

  ## Examples

      iex> Mlx.grad(Nx.tensor([1.0, 2.0]), fn x -> Nx.sum(Nx.pow(x, 3)) end) |> Nx.to_list()
      [3.0, 12.0]

      iex> slope = Mlx.grad(fn x, y -> Nx.multiply(x, Nx.sin(y)) end, wrt: [0, 1])
      iex> {by_x, by_y} = slope.(3.0, 0.0)
      iex> {Nx.to_number(by_x), Nx.to_number(by_y)}
      {0.0, 3.0}
  """
  @doc type: :transforms
  @spec grad(transformable) :: function()
  def grad(fun), do: transforms(:grad, [fun])

  @doc "See `grad/1`."
  @doc type: :transforms
  @spec grad(transformable | container, keyword() | transformable) :: function() | container
  def grad(fun_or_vars, options_or_fun), do: transforms(:grad, [fun_or_vars, options_or_fun])

  @doc "See `grad/1`."
  @doc type: :transforms
  @spec grad(container, transformable, keyword()) :: container
  def grad(vars, fun, options), do: transforms(:grad, [vars, fun, options])

  @doc """
  As `grad/1`, and answers what the function answers beside the gradient: `{result, gradient}`.

  With `:transform`, also as the third argument, the function may answer any container, of which `transform` chooses or computes
  what is differentiated.

  ## Examples

      iex> {value, slope} = Mlx.value_and_grad(Nx.tensor(3.0), &Nx.multiply(&1, &1))
      iex> {Nx.to_number(value), Nx.to_number(slope)}
      {9.0, 6.0}

      iex> step = fn x -> {Nx.exp(x), Nx.multiply(x, 2)} end
      iex> {{_exp, _double}, slope} = Mlx.value_and_grad(Nx.tensor(0.0), step, &elem(&1, 1))
      iex> Nx.to_number(slope)
      2.0
  """
  @doc type: :transforms
  @spec value_and_grad(transformable) :: function()
  def value_and_grad(fun), do: transforms(:value_and_grad, [fun])

  @doc "See `value_and_grad/1`."
  @doc type: :transforms
  @spec value_and_grad(transformable | container, keyword() | transformable) ::
          function() | {container, container}
  def value_and_grad(fun_or_vars, options_or_fun),
    do: transforms(:value_and_grad, [fun_or_vars, options_or_fun])

  @doc "See `value_and_grad/1`."
  @doc type: :transforms
  @spec value_and_grad(container, transformable, keyword() | (container -> term())) ::
          {container, container}
  def value_and_grad(vars, fun, transform_or_options),
    do: transforms(:value_and_grad, [vars, fun, transform_or_options])

  @doc """
  The vector-Jacobian product of `fun` at the list of arguments `args`: `{result, gradients}`.

  `cotangents` is a container like the result, of tensors that broadcast to those of the result. The gradients are a tuple with one
  for each argument, or for those that the option `:wrt` names; for one position they are that argument's alone. Otherwise as
  `grad/1`, with its option `:tape`.

  ## Examples

      iex> x = Nx.tensor([1.0, 2.0])
      iex> {_result, {by_x}} = Mlx.vjp(&Nx.multiply(&1, &1), [x], Nx.tensor([1.0, 10.0]))
      iex> Nx.to_list(by_x)
      [2.0, 40.0]
  """
  @doc type: :transforms
  @spec vjp(transformable, [container], container, keyword()) :: {container, container}
  def vjp(fun, args, cotangents, options \\ []),
    do: transforms(:vjp, [fun, args, cotangents, options])

  @doc """
  The Jacobian-vector product of `fun` at the list of arguments `args`: `{result, tangents of the result}`.

  `tangents` is a list with one for each argument, or for those that the option `:wrt` names: containers like the argument, of
  tensors that broadcast to its. Otherwise as `grad/1`.

  ## Examples

      iex> x = Nx.tensor([1.0, 2.0])
      iex> {_result, tangent} = Mlx.jvp(&Nx.multiply(&1, &1), [x], [Nx.tensor([1.0, 0.0])])
      iex> Nx.to_list(tangent)
      [2.0, 0.0]
  """
  @doc type: :transforms
  @spec jvp(transformable, [container], [container], keyword()) :: {container, container}
  def jvp(fun, args, tangents, options \\ []),
    do: transforms(:jvp, [fun, args, tangents, options])

  @doc """
  The Jacobian of a function, called in the forms of `grad/1`.

  For a function of a tensor that answers one it has the result's axes, then the argument's. For containers it is the result's
  container with one like the argument in place of each tensor. It is computed for all elements of the result at once. Options
  are those of `grad/1` but `:transform`.

  ## Examples

      iex> Mlx.jacobian(Nx.tensor([1.0, 2.0]), fn x -> Nx.multiply(x, x) end) |> Nx.to_list()
      [[2.0, 0.0], [0.0, 4.0]]
  """
  @doc type: :transforms
  @spec jacobian(transformable) :: function()
  def jacobian(fun), do: transforms(:jacobian, [fun])

  @doc "See `jacobian/1`."
  @doc type: :transforms
  @spec jacobian(transformable | container, keyword() | transformable) :: function() | container
  def jacobian(fun_or_vars, options_or_fun),
    do: transforms(:jacobian, [fun_or_vars, options_or_fun])

  @doc "See `jacobian/1`."
  @doc type: :transforms
  @spec jacobian(container, transformable, keyword()) :: container
  def jacobian(vars, fun, options), do: transforms(:jacobian, [vars, fun, options])

  @doc """
  The second derivatives of a function that answers one tensor: the Jacobian of its gradient, called in the forms of `grad/1`.

  ## Examples

      iex> Mlx.hessian(Nx.tensor([1.0, 2.0]), fn x -> Nx.product(Nx.pow(x, 2)) end) |> Nx.to_list()
      [[8.0, 8.0], [8.0, 2.0]]
  """
  @doc type: :transforms
  @spec hessian(transformable) :: function()
  def hessian(fun), do: transforms(:hessian, [fun])

  @doc "See `hessian/1`."
  @doc type: :transforms
  @spec hessian(transformable | container, keyword() | transformable) :: function() | container
  def hessian(fun_or_vars, options_or_fun),
    do: transforms(:hessian, [fun_or_vars, options_or_fun])

  @doc "See `hessian/1`."
  @doc type: :transforms
  @spec hessian(container, transformable, keyword()) :: container
  def hessian(vars, fun, options), do: transforms(:hessian, [vars, fun, options])

  @doc """
  A function of one example as a function of many, which answers the results of all.

  The examples lie along an axis of the arguments and of the results; the function sees tensors without it. Nothing is called for
  each example by itself: ops work on all at once.

  ## Options

    * `:in_axes` - the axis of the examples in all tensors of the arguments, default 0; or a list with one for each argument, where
      nil stands for an argument that all examples share
    * `:out_axes` - the axis of the examples in all tensors of the result, default 0; or a tuple with one for each element of it
    * `:cache`, `:device`, `:hooks` - as for `Mlx.Compiler`

  Inside of `defn`, compilers other than `Mlx.Compiler` vectorize the arguments (`Nx.vectorize/2`).

  Raises `ArgumentError` for axes that there are not and examples of different numbers.

  ## Examples

      iex> rows = Nx.tensor([[1.0, 2.0], [3.0, 4.0]])
      iex> Mlx.vmap(&Nx.dot/2, in_axes: [0, nil]).(rows, Nx.tensor([1.0, 10.0])) |> Nx.to_list()
      [21.0, 43.0]

      iex> loss = fn x -> Nx.sum(Nx.pow(x, 3)) end
      iex> Mlx.vmap(Mlx.grad(loss)).(Nx.tensor([[1.0, 2.0], [0.0, 1.0]])) |> Nx.to_list()
      [[3.0, 12.0], [0.0, 3.0]]
  """
  @doc type: :transforms
  @spec vmap(transformable, keyword()) :: function()
  def vmap(fun, options \\ []), do: transforms(:vmap, [fun, options])

  @doc """
  `fun` as a piece whose gradient runs it again instead of keeping what it computed: less memory, more time.

  Without a gradient, and under other compilers than `Mlx.Compiler`, it is the function itself.

  ## Examples

      iex> block = Mlx.checkpoint(fn x -> Nx.exp(Nx.sin(x)) end)
      iex> Mlx.grad(block).(0.0) |> Nx.to_number()
      1.0
  """
  @doc type: :transforms
  @spec checkpoint(transformable) :: function()
  def checkpoint(fun), do: transforms(:checkpoint, [fun])

  @doc """
  `container` as it is, through which no gradient goes.

  ## Examples

      iex> Mlx.grad(Nx.tensor(3.0), fn x -> Nx.multiply(x, Mlx.stop_gradient(x)) end) |> Nx.to_number()
      3.0
  """
  @doc type: :transforms
  @spec stop_gradient(container) :: container
  def stop_gradient(container), do: transforms(:stop_gradient, [container])

  @doc """
  `fun` with another gradient.

  `backward` takes the cotangents of the result, which have its form, the arguments as a tuple, and the result, and answers the
  cotangents of the arguments: a tuple with one for each, containers like these. `Nx.Defn.grad` uses it as well.

  ## Examples

      iex> square = Mlx.custom_vjp(fn x -> Nx.multiply(x, x) end, fn g, {x}, _y -> {Nx.clip(Nx.multiply(g, x), -1, 1)} end)
      iex> Mlx.grad(square).(3.0) |> Nx.to_number()
      1.0
  """
  @doc type: :transforms
  @spec custom_vjp(transformable, (container, tuple(), container -> tuple())) :: function()
  def custom_vjp(fun, backward), do: transforms(:custom_vjp, [fun, backward])

  defp transforms(name, args), do: Mlx.WithNx.call(:Transforms, name, args)

  # What defn calls, where it reads such a function.
  @transforms [
    grad: 1..3,
    value_and_grad: 1..3,
    vjp: 3..4,
    jvp: 3..4,
    jacobian: 1..3,
    hessian: 1..3,
    vmap: 1..2,
    checkpoint: 1..1,
    stop_gradient: 1..1,
    custom_vjp: 2..2
  ]
  for {name, arities} <- @transforms,
      arity <- arities do
    arguments = Macro.generate_arguments(arity, __MODULE__)

    @doc false
    def unquote(:"__defn:#{name}__")(unquote_splicing(arguments)),
      do: transforms(unquote(name), unquote(arguments))
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
