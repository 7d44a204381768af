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

  ## Donated arguments

  Results may be written into the memory of arguments that are marked by `Nx.donatable/1`, such as the parameters and the state of a
  training step, which then takes no further memory and less time. After the call those that the function reads are deallocated:
  reading one raises. So does reading what is the same tensor under another name, as `Nx.as_type/2` to its own type answers.

      {params, state} = step.(Nx.donatable(params), Nx.donatable(state), batch)

  ## Programs are kept

  A function that was compiled for arguments of the same types and shapes is not traced again. A program holds the tensors that
  its function captured: `fn x -> Nx.dot(x, w) end` keeps `w`, and is another program for each `w`. Nx lets functions capture tensors
  of `Nx.BinaryBackend` only (`Nx.tensor([1.0], backend: Nx.BinaryBackend)`); others are arguments.

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

  alias Mlx.{Argument, Callback, NIF, Recorder, Session}
  alias Mlx.Compiler.{Cache, Disk, Key, Lower, Names}
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
    hooks = options |> Keyword.get(:hooks, %{}) |> hooks!()
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

  # As for Nx's evaluator, a hook that is nil leaves the function in the code.
  defp hooks!(hooks) do
    for {name, fun} <- hooks, fun != nil, into: %{} do
      expected = "the hook #{inspect(name)} to be a function of one argument"
      Argument.check!(is_function(fun, 1), "Mlx.Compiler", expected, fun)
      {name, fun}
    end
  end

  defp answer(program, hooks, name, handles) do
    program.callbacks |> Map.fetch!(name) |> Callback.answer_program(hooks, handles)
  end

  defp fetch(key, vars, fun, hooks, cache) do
    build = fn -> build(vars, fun, hooks) end
    signature = {signature(vars), hooks}

    cond do
      cache not in [true, false] and (not is_binary(cache) or cache == "") ->
        Argument.check!(false, "Mlx.Compiler", ":cache to be true, false or a path", cache)

      cache == false or not Key.keeps?(key) ->
        build.()

      cache == true ->
        keep(Key.stable(key), signature, build)

      true ->
        key = Key.stable(key)
        templates = for var <- vars, do: Composite.traverse(var, &template/1)
        keep(key, signature, fn -> Disk.fetch(cache, key, {templates, hooks}, build) end)
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
    count = Keyword.get(options, :max_concurrency, 1)
    is_count = is_integer(count) and count > 0
    Argument.check!(is_count, "Mlx.Compiler", ":max_concurrency to be a positive integer", count)
    List.duplicate(options, count)
  end

  @impl true
  def __to_backend__(options) do
    {Mlx.Backend, options |> Keyword.take([:device]) |> Mlx.Backend.init()}
  end

  @impl true
  def __shard_jit__(_key, _mesh, _vars, _fun, _args_list, _options) do
    raise Mlx.UnsupportedError, message: "Mlx.Compiler does not shard functions over devices"
  end

  ## Programs as files and graphs

  @doc """
  Writes the program of `fun` for arguments like `args` (tensors or templates) to the file `path`.

  The file, described in `docs/program_format.md`, is read by `import/1`, by C++ and by the command line
  (`mlxnx run PROGRAM --input x=x.npy`). What the function does not read is left out.

  ## Options

    * `:names` - what the inputs are called: a list of texts or atoms, one for each tensor in the flattened arguments

  By default inputs are called after the function's own arguments where these can be known: for a captured function, such as
  `&Module.function/2`, whose module lies in a file with debug information, which releases leave out. A tensor in a container is
  called after its keys, such as `params.w`. Other inputs are called `arg0`, `arg1`, … by their position in the flattened
  arguments.

  Raises `Mlx.UnsupportedError` for a function with hooks or runtime calls, whose code no file holds, `File.Error` when the file
  can't be written, and `ArgumentError` for other arguments.

  ## Examples

      iex> path = Path.join(System.tmp_dir!(), "scale.mlxnx")
      iex> vector = Nx.template({3}, :f32)
      iex> Mlx.Compiler.export(&Nx.multiply/2, [vector, 2], path, names: [:x, :factor])
      :ok
      iex> scale = Mlx.Compiler.import(path)
      iex> [Nx.tensor([1.0, 2.0, 3.0]), 3] |> scale.() |> Nx.to_flat_list()
      [3.0, 6.0, 9.0]
  """
  @spec export(function(), [Nx.Container.t()], Path.t(), keyword()) :: :ok
  def export(fun, args, path, options \\ []) do
    check_function!(fun, args, "export")
    Argument.check_path!(path, "export")
    {program, names} = named(fun, args, options, "export")

    if program.callbacks != %{} do
      raise Mlx.UnsupportedError,
        message:
          "[export] the function has hooks or runtime calls " <>
            "(#{program.callbacks |> Map.keys() |> Enum.join(", ")}), which a file can't hold"
    end

    File.write!(path, NIF.program_serialize_as(program.handle, names))
  end

  defp named(fun, args, options, name) do
    names = Names.of(fun, args, options, name)
    program = program(fun, args)
    {program, Enum.map(program.params, &Enum.fetch!(names, &1))}
  end

  @doc """
  The program of `fun` for arguments like `args` (tensors or templates), as `export/4` writes it: an `Mlx.Program`, which can be
  shown, saved, run and differentiated. What the function does not read is left out.

  ## Options

    * `:names` - what the inputs are called, as for `export/4`

  ## Examples

      iex> program = Mlx.Compiler.to_program(&Nx.multiply/2, [Nx.template({3}, :f32), 2], names: [:x, :factor])
      #Mlx.Program<(x: f32[3], factor: s32) -> (f32[3])>
      iex> [slope] = program |> Mlx.Program.transform(:grad, wrt: :factor) |> Mlx.Program.run([Nx.tensor([1.0, 2.0, 3.0]), 2])
      iex> Nx.to_number(slope)
      6.0
  """
  @spec to_program(function(), [Nx.Container.t()], keyword()) :: Mlx.Program.t()
  def to_program(fun, args, options \\ []) do
    check_function!(fun, args, "to_program")
    {program, names} = named(fun, args, options, "to_program")
    %Mlx.Program{handle: NIF.program_renamed(program.handle, names)}
  end

  @doc """
  The function in the file `path`, as `export/4` writes it: it takes the list of the program's inputs in their order, and answers
  a tensor, or a tuple of the flattened results.

  Where the inputs are called `arg0`, `arg1`, …, they stand at these positions of the list, and what `export/4` left out between
  them is not read.

  Raises `Mlx.FormatError` for anything but such a file, `File.Error` when it can't be read. The function raises `ArgumentError`
  for other inputs than the program takes.
  """
  @spec import(Path.t()) :: ([Nx.Tensor.t()] -> Nx.Tensor.t() | tuple())
  def import(path) do
    %Mlx.Program{handle: handle} = Mlx.Program.load(path, "import")
    {inputs, outputs} = NIF.program_signature(handle)
    positions = inputs |> Enum.map(&elem(&1, 0)) |> Names.positions()
    templates = for {type, shape} <- outputs, do: %{Nx.template(shape, type) | data: nil}

    result = if match?([_], templates), do: hd(templates), else: List.to_tuple(templates)

    program = %__MODULE__{
      handle: handle,
      params: positions,
      callbacks: %{},
      result: result
    }

    count = Enum.max(positions, fn -> -1 end) + 1

    fn args ->
      check_inputs!(args, count, inputs, path)
      run(program, Enum.map(args, &fn -> Nx.to_tensor(&1) end), nil, nil)
    end
  end

  defp check_inputs!(args, count, inputs, path) do
    listed = Enum.map_join(inputs, ", ", fn {name, type} -> "#{name} (#{type_text(type)})" end)

    expected =
      "a list of #{count} #{if count == 1, do: "tensor", else: "tensors"} for the program in #{path}, which reads #{listed}"

    cond do
      not is_list(args) ->
        Argument.check!(false, "import", expected, args)

      length(args) != count ->
        raise ArgumentError, "[import] expected #{expected}, got #{length(args)}"

      not Enum.all?(args, &tensor?/1) ->
        other = Enum.reject(args, &tensor?/1) |> hd()
        Argument.check!(false, "import", expected, other)

      true ->
        :ok
    end
  end

  defp tensor?(value),
    do: is_number(value) or is_struct(value, Nx.Tensor) or is_struct(value, Complex)

  defp type_text({type, shape}) do
    Nx.Type.to_string(type) <> Enum.map_join(Tuple.to_list(shape), &"[#{&1}]")
  end

  defp check_function!(fun, args, name) do
    Argument.check!(is_list(args), name, "a list of arguments", args)
    count = length(args)
    Argument.check!(is_function(fun, count), name, "a function of arity #{count}", fun)
  end

  @doc """
  The program of `fun` for arguments like `args`, as a Graphviz digraph.

  ## Examples

      iex> Mlx.Compiler.to_dot(&Nx.add/2, [Nx.template({}, :f32), Nx.template({}, :f32)]) =~ "digraph"
      true
  """
  @spec to_dot(function(), [Nx.Container.t()]) :: String.t()
  def to_dot(fun, args) do
    check_function!(fun, args, "to_dot")
    NIF.program_dot(program(fun, args).handle)
  end

  @doc """
  The program of `fun` for arguments like `args`, a line per instruction.

  ## Examples

      iex> Mlx.Compiler.to_text(&Nx.add/2, [Nx.template({}, :f32), Nx.template({}, :f32)]) =~ "add %0, %1"
      true
  """
  @spec to_text(function(), [Nx.Container.t()]) :: String.t()
  def to_text(fun, args) do
    check_function!(fun, args, "to_text")
    NIF.program_text(program(fun, args).handle)
  end

  defp program(fun, args) do
    parent = self()
    ref = make_ref()
    told = &send(parent, {ref, &1})
    Nx.Defn.compile(fun, args, compiler: __MODULE__, on_program: told)
    receive do: ({^ref, program} -> program)
  end

  # What of the arguments the program depends on, in few words: it is hashed at each call.
  defp signature(vars) do
    for var <- vars,
        do: Composite.traverse(var, &{&1.type, &1.shape, &1.names, &1.vectorized_axes})
  end

  defp build(vars, fun, hooks) do
    expr = fun.(vars)

    {region, params, callbacks, raised} =
      expr |> Composite.traverse(&Nx.devectorize/1) |> Lower.lower(vars, hooks)

    %__MODULE__{
      handle: build_region(region, raised),
      params: params,
      callbacks: callbacks,
      # A result belongs to the caller, even where it is an argument that may be donated.
      result: Composite.traverse(expr, &template/1)
    }
  end

  defp template(tensor), do: %{tensor | data: nil, donatable?: false}

  # A custom gradient that has raised does so only for those who want it, and then as it did.
  defp build_region(region, raised) do
    NIF.program_build(region, [])
  rescue
    error in Mlx.UnsupportedError ->
      with "[custom_vjp] " <> reason <- error.message,
           %{^reason => {own, stacktrace}} <- raised do
        reraise own, stacktrace
      else
        _ -> reraise error, __STACKTRACE__
      end
  end

  # `answer` is asked for callbacks: by name and handles, for handles.
  defp run(%__MODULE__{} = program, args, device, answer) do
    where = Mlx.Stream.where() || device
    args = List.to_tuple(args)
    tensors = for position <- program.params, do: args |> elem(position) |> argument()
    refs = for tensor <- tensors, do: tensor |> Nx.devectorize() |> Mlx.Backend.to_ref(where)

    # What is under way still holds them, and may write results into their memory.
    donated = for %Nx.Tensor{donatable?: true, data: %Mlx.Backend{ref: ref}} <- tensors, do: ref

    refs =
      if program.callbacks == %{} do
        Session.run_program(program.handle, refs, donated, where)
      else
        answer = fn {name, handles} -> answer.(name, handles) end
        Session.run_program_with_callbacks(program.handle, refs, donated, where, answer)
      end

    {result, []} =
      Composite.traverse(program.result, refs, fn template, [ref | refs] ->
        {%{template | data: %Mlx.Backend{ref: ref, device: device}}, refs}
      end)

    result
  end

  defp argument(fun) do
    case fun.() do
      %Nx.Tensor{data: %Nx.Defn.Expr{}} = tensor ->
        raise ArgumentError,
              "cannot pass a tensor expression as argument to defn, got: #{inspect(tensor)}"

      %Nx.Tensor{} = tensor ->
        tensor
    end
  end
end
