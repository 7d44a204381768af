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
    * `:cache` - whether the program is kept for later calls, default true; or the path of a file that keeps it for later starts of
      the VM as well, see below

  Others are ignored, as they are meant for other compilers.

  ## Programs are kept

  A function that was compiled for arguments of the same types and shapes is not traced again. A program holds the tensors that
  its function captured: `fn x -> Nx.dot(x, w) end` keeps `w`, and is another program for each `w`.

  The cache is bounded by the number of programs and by the bytes that they hold, and drops those that were not used for longest;
  the one used last stays, however large it is. The defaults are

      config :elixir_mlx, program_cache_size: 256, program_cache_bytes: 1_073_741_824

  and `:infinity` is no bound. `clear_cache/0` drops all, and `Mlx.Memory.programs/0` tells what programs hold. Telemetry events
  `[:mlx, :compiler, :hit]` and `[:mlx, :compiler, :miss]` tell of each look-up.

  ## Warm starts

      Nx.Defn.jit(&MyModel.predict/2, compiler: Mlx.Compiler, cache: "cache/predict")

  With the path of a file the function is not even traced in a new VM: its program is read from there. The file may hold the
  programs of several functions and kinds of arguments. A program is built anew when the arguments' types or shapes, what the
  function captured, its module, or the versions of Nx, MLX or this package have changed. Changes in other modules that the
  function calls can't be seen: delete the file after these.

  Functions with runtime calls or unnamed hooks are not written, since no file holds their code.
  """

  @behaviour Nx.Defn.Compiler

  alias Mlx.{Callback, NIF, Recorder}
  alias Mlx.Compiler.{Cache, Disk, Key, Lower}
  alias Nx.Defn.Composite

  # A program made ready, its parameters' positions, what to do for its callbacks, and its result as a container of templates.
  @enforce_keys [:handle, :params, :callbacks, :result]
  defstruct [:handle, :params, :callbacks, :result]

  @impl true
  def __jit__(key, vars, fun, args_list, options) do
    __compile__(key, vars, fun, options).(args_list)
  end

  @impl true
  def __compile__(key, vars, fun, options) do
    hooks = Map.new(Keyword.get(options, :hooks, %{}))
    device = Mlx.Backend.init(Keyword.take(options, [:device]))[:device]
    program = fetch(key, vars, fun, Map.keys(hooks), Keyword.get(options, :cache, true))
    if told = options[:on_program], do: told.(program)
    answer = fn name, handles -> answer(program, hooks, name, handles) end

    case Recorder.current() do
      nil ->
        fn args_list -> Enum.map(args_list, &run(program, &1, device, answer)) end

      recorder ->
        compiled = %{key: key, vars: vars, fun: fun, hooks: hooks}
        run = &run(program, &1, device, &2)

        fn args_list ->
          Enum.map(args_list, &Recorder.run(recorder, program, compiled, &1, answer, run))
        end
    end
  end

  defp answer(program, hooks, name, handles) do
    program.callbacks |> Map.fetch!(name) |> Callback.answer_program(hooks, handles)
  end

  defp fetch(key, vars, fun, hooks, cache) do
    build = fn -> build(vars, fun, hooks) end
    signature = {signature(vars), hooks}

    cond do
      cache not in [true, false] and not is_binary(cache) ->
        raise ArgumentError, "expected :cache to be true, false or a path, got: #{inspect(cache)}"

      cache == false or not Key.keeps?({key, signature}) ->
        build.()

      cache == true ->
        keep(Key.stable(key), signature, build)

      true ->
        key = Key.stable(key)
        keep(key, signature, fn -> Disk.fetch(cache, key, signature, build) end)
    end
  end

  # What the function captured is mostly what its program holds, and counts once.
  defp keep(key, signature, build) do
    bytes = &max(NIF.program_bytes(&1.handle), Key.held_bytes(key))
    Cache.fetch({key, signature}, build, bytes)
  end

  @doc """
  Forgets all programs that are kept for later calls.

  Their memory is free once nobody runs them and processes have collected their garbage. Functions that `Nx.Defn.compile/3`
  made, and files of the option `:cache`, keep their programs.

  ## Examples

      iex> Mlx.Compiler.clear_cache()
      :ok
  """
  @spec clear_cache() :: :ok
  defdelegate clear_cache, to: Cache, as: :clear

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

  ## Programs as files and graphs

  @doc """
  Writes the program of `fun` for arguments like `args` (tensors or templates) to the file `path`.

  The file, described in `docs/program_format.md`, is read by `import/1`, by C++ and by the command line
  (`mlxnx run PROGRAM --input arg0=x.npy`). Its inputs are called `arg0`, `arg1`, … by their position in the flattened
  arguments; what the function does not read is left out. Raises `Mlx.UnsupportedError` for a function with hooks or runtime
  calls, whose code no file holds, and `File.Error` when the file can't be written.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "double.mlxnx")
      iex> Mlx.Compiler.export(&Nx.multiply(&1, 2), [Nx.template({3}, :f32)], path)
      :ok
      iex> double = Mlx.Compiler.import(path)
      iex> [Nx.tensor([1.0, 2.0, 3.0])] |> double.() |> Nx.to_flat_list()
      [2.0, 4.0, 6.0]
  """
  @spec export(function(), [Nx.Container.t()], Path.t()) :: :ok
  def export(fun, args, path) do
    program = program(fun, args)

    if program.callbacks != %{} do
      raise Mlx.UnsupportedError,
        message:
          "[export] the function has hooks or runtime calls " <>
            "(#{program.callbacks |> Map.keys() |> Enum.join(", ")}), which a file can't hold"
    end

    File.write!(path, NIF.program_serialize(program.handle))
  end

  @doc """
  The function in the file `path`, as `export/3` writes it: it takes the list of the flattened arguments and answers a
  tensor, or a tuple of the flattened results.

  Raises `Mlx.FormatError` for anything but such a file, `File.Error` when it can't be read.
  """
  @spec import(Path.t()) :: ([Nx.Tensor.t()] -> Nx.Tensor.t() | tuple())
  def import(path) do
    handle = path |> File.read!() |> NIF.program_deserialize()
    {inputs, outputs} = NIF.program_signature(handle)
    positions = inputs |> Enum.with_index() |> Enum.map(&position/1)
    templates = for {type, shape} <- outputs, do: %{Nx.template(shape, type) | data: nil}

    result = if match?([_], templates), do: hd(templates), else: List.to_tuple(templates)

    program = %__MODULE__{
      handle: handle,
      params: positions,
      callbacks: %{},
      result: result
    }

    fn args -> run(program, Enum.map(args, &fn -> Nx.to_tensor(&1) end), nil, nil) end
  end

  # Inputs of programs made elsewhere may have other names: then their order counts.
  defp position({{"arg" <> digits, _type}, index}) do
    case Integer.parse(digits) do
      {position, ""} -> position
      _ -> index
    end
  end

  defp position({_input, index}), do: index

  @doc """
  The program of `fun` for arguments like `args`, as a Graphviz digraph.

  ## Examples

      iex> Mlx.Compiler.to_dot(&Nx.add/2, [Nx.template({}, :f32), Nx.template({}, :f32)]) =~ "digraph"
      true
  """
  @spec to_dot(function(), [Nx.Container.t()]) :: String.t()
  def to_dot(fun, args), do: NIF.program_dot(program(fun, args).handle)

  @doc """
  The program of `fun` for arguments like `args`, a line per instruction.

  ## Examples

      iex> Mlx.Compiler.to_text(&Nx.add/2, [Nx.template({}, :f32), Nx.template({}, :f32)]) =~ "add %0, %1"
      true
  """
  @spec to_text(function(), [Nx.Container.t()]) :: String.t()
  def to_text(fun, args), do: NIF.program_text(program(fun, args).handle)

  defp program(fun, args) do
    parent = self()
    ref = make_ref()
    told = &send(parent, {ref, &1})
    Nx.Defn.compile(fun, args, compiler: __MODULE__, on_program: told)
    receive do: ({^ref, program} -> program)
  end

  # What of the arguments the program depends on.
  defp signature(vars) do
    for var <- vars do
      Composite.traverse(var, fn tensor -> %{tensor | data: nil} end)
    end
  end

  defp build(vars, fun, hooks) do
    expr = fun.(vars)

    {region, params, callbacks} =
      expr |> Composite.traverse(&Nx.devectorize/1) |> Lower.lower(vars, hooks)

    %__MODULE__{
      handle: NIF.program_build(region, []),
      params: params,
      callbacks: callbacks,
      # A result belongs to the caller, even where it is an argument that may be donated.
      result: Composite.traverse(expr, &%{&1 | data: nil, donatable?: false})
    }
  end

  # `answer` is asked for callbacks: by name and handles, for handles.
  defp run(%__MODULE__{} = program, args, device, answer) do
    where = Mlx.Stream.where() || device
    args = List.to_tuple(args)
    refs = for position <- program.params, do: args |> elem(position) |> argument(where)

    refs =
      if program.callbacks == %{} do
        program.handle |> NIF.program_run(refs, where) |> Mlx.Memory.collected()
      else
        Callback.run(
          &NIF.program_run_with_callbacks(&1, program.handle, refs, where),
          fn {name, handles} -> answer.(name, handles) end
        )
      end

    {result, []} =
      Composite.traverse(program.result, refs, fn template, [ref | refs] ->
        {%{template | data: %Mlx.Backend{ref: ref, device: device}}, refs}
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
