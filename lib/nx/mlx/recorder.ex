defmodule Mlx.Recorder do
  @moduledoc """
  Records compiled functions with Nx's own answers, as tests that need no Elixir.

      Mlx.Recorder.record("golden", fn ->
        Nx.Defn.jit(&MyModel.predict/2, compiler: Mlx.Compiler).(x, w)
      end)

  Each run of a function that `Mlx.Compiler` compiles meanwhile, in any process, becomes a case: the program, its inputs, and
  what `Nx.Defn.Evaluator` answers for the same function and inputs on `Nx.BinaryBackend`. The command
  `mlxnx replay golden` runs the programs and compares.

  For Nx's answer the function is evaluated a second time, its runtime calls and unnamed hooks included.
  """

  alias Mlx.{Argument, NIF}
  alias Nx.Defn.Composite

  # Elixir 1.17 has none.
  @compile {:no_warn_undefined, JSON}

  @key {__MODULE__, :recorder}
  @name :mlx_recorder_name

  @doc """
  Calls `fun` and writes what it recorded into `folder`, in place of what an earlier recording left there.

  Returns the number of cases and what `fun` returned. The folder gets `programs.jsonl` with a case a line, `programs.bin`
  with the elements, and a file for each program (`docs/program_format.md`). A run that was recorded before, the same
  program with the same inputs, is not repeated.

  Options:

    * `:limit_bytes` - a case with more bytes of inputs and outputs is left out; default 65,536

  Raises `ArgumentError` for other arguments and while another recording is under way, `Mlx.UnsupportedError` before Elixir 1.18, which has no
  JSON, and `File.Error` when `folder` can't be written. What `fun` raises is raised, and nothing is written.

  ## Examples

      iex> folder = Path.join(System.tmp_dir!(), "mlx_recorder_example")
      iex> {count, result} =
      ...>   Mlx.Recorder.record(folder, fn ->
      ...>     Nx.Defn.jit(&Nx.add/2, compiler: Mlx.Compiler).(1, 2)
      ...>   end)
      iex> {count, Nx.to_number(result)}
      {1, 3}
      iex> folder |> File.ls!() |> Enum.sort()
      ["nx-add.mlxnx", "programs.bin", "programs.jsonl"]
  """
  @spec record(Path.t(), keyword(), (-> result)) :: {non_neg_integer(), result}
        when result: term()
  def record(folder, options \\ [], fun) do
    Argument.check_path!(folder, "record")
    limit = limit_bytes!(options)
    Argument.check!(is_function(fun, 0), "record", "a function without arguments", fun)

    unless Code.ensure_loaded?(JSON) do
      raise Mlx.UnsupportedError, message: "[record] recording needs Elixir 1.18 or newer"
    end

    {:ok, agent} = Agent.start_link(fn -> [] end)

    try do
      start(agent, limit)
      result = fun.()
      cases = agent |> Agent.get(& &1) |> Enum.reverse() |> Enum.uniq_by(&{&1.program, &1.in})
      write(folder, cases)
      {length(cases), result}
    after
      if match?({^agent, _}, current()), do: :persistent_term.erase(@key)
      Agent.stop(agent)
    end
  end

  defp limit_bytes!(options) do
    keys = if Keyword.keyword?(options), do: Keyword.keys(options), else: [options]
    only = "no option but :limit_bytes"
    Argument.check!(keys -- [:limit_bytes] == [], "record", only, options)
    limit = Keyword.get(options, :limit_bytes, 65_536)
    is_count = is_integer(limit) and limit >= 0
    Argument.check!(is_count, "record", ":limit_bytes to be a number of bytes", limit)
    limit
  end

  defp start(agent, limit) do
    if current(), do: raise(ArgumentError, "another recording is under way")
    :persistent_term.put(@key, {agent, limit})
  end

  @doc """
  Calls `fun`; the cases that this process records meanwhile are called `name` in place of the function's own name.

  ## Examples

      iex> Mlx.Recorder.named("sum of two numbers", fn -> 1 + 2 end)
      3
  """
  @spec named(String.t(), (-> result)) :: result when result: term()
  def named(name, fun) do
    Argument.check!(is_binary(name) and name != "", "named", "a name", name)
    Argument.check!(is_function(fun, 0), "named", "a function without arguments", fun)
    outer = Process.put(@name, name)

    try do
      fun.()
    after
      if outer, do: Process.put(@name, outer), else: Process.delete(@name)
    end
  end

  @doc false
  # The recording under way, or nil.
  def current, do: :persistent_term.get(@key, nil)

  @doc false
  # Runs a compiled function by `run.(arguments, answer)` and adds the case to the recording. `compiled` is what the compiler got: the
  # function's key, its variables, the function itself and its named hooks; `answer` is asked for callbacks.
  def run({agent, limit}, program, compiled, arguments, answer, run) do
    tensors = for argument <- arguments, do: Nx.backend_copy(argument.(), Nx.BinaryBackend)
    {:ok, calls} = Agent.start_link(fn -> [] end)
    result = run.(arguments, &told(calls, answer, &1, &2))

    entry = %{
      name: Process.get(@name) || name_of(compiled.key),
      program: NIF.program_serialize(program.handle),
      in: for(position <- program.params, do: tensors |> Enum.at(position) |> plain()),
      out: compiled |> answer_of_nx(tensors) |> flatten(),
      callbacks: calls |> Agent.get(& &1) |> Enum.reverse()
    }

    Agent.stop(calls)
    if bytes(entry) <= limit, do: Agent.update(agent, &[entry | &1])
    result
  end

  defp told(calls, answer, name, handles) do
    results = answer.(name, handles)
    call = %{name: name, in: Enum.map(handles, &plain/1), out: Enum.map(results, &plain/1)}
    Agent.update(calls, &[call | &1])
    results
  end

  # Named hooks are silent: the recorded run has told them.
  defp answer_of_nx(compiled, tensors) do
    silent = Map.new(compiled.hooks, fn {name, _} -> {name, fn _ -> :ok end} end)
    arguments = for tensor <- tensors, do: fn -> tensor end

    Nx.with_default_backend(Nx.BinaryBackend, fn ->
      run =
        Nx.Defn.Evaluator.__compile__(compiled.key, compiled.vars, compiled.fun, hooks: silent)

      [result] = run.([arguments])
      Composite.traverse(result, &Nx.backend_copy(&1, Nx.BinaryBackend))
    end)
  end

  defp flatten(result), do: [result] |> Composite.flatten_list() |> Enum.map(&plain/1)

  # A tensor's type, shape and elements.
  defp plain(%Nx.Tensor{} = tensor) do
    tensor = Nx.devectorize(tensor)
    {tensor.type, tensor.shape, Nx.to_binary(tensor)}
  end

  defp plain(handle) do
    {type, shape} = NIF.type_of(handle)
    {type, shape, NIF.to_binary(handle, Tuple.product(shape))}
  end

  defp bytes(entry) do
    for {_, _, binary} <- entry.in ++ entry.out, reduce: 0, do: (sum -> sum + byte_size(binary))
  end

  defp name_of(key) when is_function(key) do
    info = Function.info(key)
    "#{info[:module] |> inspect() |> String.split(".") |> List.last()}.#{info[:name]}"
  end

  defp name_of(_key), do: "program"

  ## Files

  defp write(folder, cases) do
    File.mkdir_p!(folder)
    for old <- Path.wildcard(Path.join(folder, "*.mlxnx")), do: File.rm!(old)
    files = files(cases)
    for {program, file} <- files, do: File.write!(Path.join(folder, file), program)

    # Keys are strings, whose order in a map is the same in every run.
    {lines, data} =
      Enum.map_reduce(cases, [], fn entry, data ->
        {inputs, data} = Enum.map_reduce(entry.in, data, &put/2)
        {outputs, data} = Enum.map_reduce(entry.out, data, &put/2)
        {callbacks, data} = Enum.map_reduce(entry.callbacks, data, &put_callback/2)

        line = %{
          "name" => entry.name,
          "program" => Map.fetch!(files, entry.program),
          "in" => inputs,
          "out" => outputs
        }

        {if(callbacks == [], do: line, else: Map.put(line, "callbacks", callbacks)), data}
      end)

    File.write!(Path.join(folder, "programs.jsonl"), Enum.map(lines, &[JSON.encode!(&1), ?\n]))
    File.write!(Path.join(folder, "programs.bin"), Enum.reverse(data))
  end

  # A file's name for each program, after the first case that runs it.
  defp files(cases) do
    {files, _used} =
      cases
      |> Enum.uniq_by(& &1.program)
      |> Enum.reduce({%{}, %{}}, fn entry, {files, used} ->
        slug = slug(entry.name)
        count = Map.get(used, slug, 0) + 1
        file = if count == 1, do: "#{slug}.mlxnx", else: "#{slug}-#{count}.mlxnx"
        {Map.put(files, entry.program, file), Map.put(used, slug, count)}
      end)

    files
  end

  defp slug(name) do
    name |> String.downcase() |> String.replace(~r/[^a-z0-9]+/, "-") |> String.trim("-")
  end

  @alignment 16

  # `data` is what was written so far, newest first.
  defp put({type, shape, binary}, data) do
    at = IO.iodata_length(data)
    gap = rem(@alignment - rem(at, @alignment), @alignment)
    dims = Tuple.to_list(shape)

    {%{"type" => Nx.Type.to_string(type), "shape" => dims, "at" => at + gap},
     [[<<0::size(gap)-unit(8)>>, binary] | data]}
  end

  defp put_callback(call, data) do
    {inputs, data} = Enum.map_reduce(call.in, data, &put/2)
    {outputs, data} = Enum.map_reduce(call.out, data, &put/2)
    {%{"name" => call.name, "in" => inputs, "out" => outputs}, data}
  end
end
