defmodule Mlx.Compiler do
  @moduledoc """
  Compiles `defn` to MLX graphs.

      Nx.Defn.jit(&MyModel.predict/2, compiler: Mlx.Compiler).(x, w)

  or for all functions of this process, or of all processes:

      Nx.Defn.default_options(compiler: Mlx.Compiler)
      Nx.Defn.global_default_options(compiler: Mlx.Compiler)

  A function becomes a graph program: a straight line of ops is one MLX graph, loops and branches run inside one native
  call, and only the branch that is taken is computed. Results are lazy `Mlx.Backend` tensors.

  ## Options

    * `:device` - `:cpu` or `:gpu`; default: `Mlx.Device.default/0` at the time of the call
    * `:hooks` - functions for named hooks, as for `Nx.Defn.Evaluator`
    * `:max_concurrency` - the number of partitions of an `Nx.Serving`, default 1

  Others are ignored, as they are meant for other compilers.

  ## Programs are kept

  A function that was compiled for arguments of the same types and shapes is not traced again. The cache holds
  `config :elixir_mlx, program_cache_size: 256` programs and drops those that were not used for longest. Telemetry events
  `[:mlx, :compiler, :hit]` and `[:mlx, :compiler, :miss]` tell of each look-up.
  """

  @behaviour Nx.Defn.Compiler

  alias Mlx.Backend.Callback
  alias Mlx.Compiler.{Cache, Lower}
  alias Mlx.NIF
  alias Nx.Defn.Composite

  # A program made ready, its parameters' positions, what to do for its callbacks, and the shape of its result.
  @enforce_keys [:handle, :params, :callbacks, :templates]
  defstruct [:handle, :params, :callbacks, :templates]

  @impl true
  def __jit__(key, vars, fun, args_list, options) do
    __compile__(key, vars, fun, options).(args_list)
  end

  @impl true
  def __compile__(key, vars, fun, options) do
    hooks = Map.new(Keyword.get(options, :hooks, %{}))
    device = Mlx.Backend.init(Keyword.take(options, [:device]))[:device]

    program = Cache.fetch({key, signature(vars), hooks}, fn -> build(vars, fun, hooks) end)
    fn args_list -> Enum.map(args_list, &run(program, &1, device)) end
  end

  @impl true
  def __partitions_options__(options) do
    List.duplicate(options, Keyword.get(options, :max_concurrency, 1))
  end

  @impl true
  def __to_backend__(options), do: {Mlx.Backend, Keyword.take(options, [:device])}

  @impl true
  def __shard_jit__(_key, _mesh, _vars, _fun, _args_list, _options) do
    raise Mlx.UnsupportedError, message: "Mlx.Compiler does not shard functions over devices"
  end

  # What of the arguments the program depends on.
  defp signature(vars) do
    for var <- vars do
      Composite.traverse(var, fn tensor -> %{tensor | data: nil} end)
    end
  end

  defp build(vars, fun, hooks) do
    {expr, templates} =
      vars
      |> fun.()
      |> Composite.traverse([], &{Nx.devectorize(&1), [Nx.to_template(&1) | &2]})

    {region, params, callbacks} = Lower.lower(expr, hooks)

    %__MODULE__{
      handle: NIF.program_build(region, []),
      params: params,
      callbacks: callbacks,
      templates: {expr |> Composite.traverse(&%{&1 | data: nil}), Enum.reverse(templates)}
    }
  end

  defp run(%__MODULE__{} = program, args, device) do
    where = Mlx.Stream.where() || device
    args = List.to_tuple(args)
    refs = for position <- program.params, do: args |> elem(position) |> argument(where)

    refs =
      if program.callbacks == %{} do
        program.handle |> NIF.program_run(refs, where) |> Mlx.Memory.collected()
      else
        Callback.run(
          &NIF.program_run_with_callbacks(&1, program.handle, refs, where),
          fn {name, handles} -> Map.fetch!(program.callbacks, name).(handles) end
        )
      end

    {container, templates} = program.templates

    {result, {[], []}} =
      Composite.traverse(container, {templates, refs}, fn _, {[template | rest], [ref | refs]} ->
        {%{template | data: %Mlx.Backend{ref: ref, device: device}}, {rest, refs}}
      end)

    result
  end

  defp argument(fun, where) do
    case fun.() do
      %Nx.Tensor{data: %Nx.Defn.Expr{}} = tensor ->
        raise ArgumentError,
              "cannot pass a tensor expression as argument to defn, got: #{inspect(tensor)}"

      %Nx.Tensor{} = tensor ->
        tensor |> Nx.devectorize() |> Mlx.Backend.to_ref(where)
    end
  end
end
