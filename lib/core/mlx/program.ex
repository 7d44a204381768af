defmodule Mlx.Program do
  @moduledoc """
  A program: a function of tensors as one compiled graph, which can be saved, loaded, shown, run, and transformed: into its
  gradient and other derivatives, and into the same for many examples at once.

  Programs come from `Mlx.Compiler.to_program/3`, which traces a function, and from files (`load/1`): those of
  `Mlx.Compiler.export/4`, of `save/2`, and of `mlxnx::Program` in C++. The command line runs and shows the same files
  (`mlxnx run`, `mlxnx inspect`).

      program = Mlx.Compiler.to_program(&MyModel.loss/2, [params, x])
      Mlx.Program.inputs(program)
      #=> [{"params.w", {{:f, 32}, {2, 1}}}, {"x", {{:f, 32}, {2, 2}}}]
      gradient = Mlx.Program.transform(program, :value_and_grad, wrt: "params.w")
      [loss, slope] = Mlx.Program.run(gradient, [w, x])
      Mlx.Program.save(gradient, "gradient.mlxnx")

  `inspect/2` shows what a program takes and answers, `to_string/1` its instructions, a line for each.
  """

  alias Mlx.{Argument, NIF}

  @enforce_keys [:handle]
  defstruct [:handle]

  @type t :: %__MODULE__{handle: reference()}

  @typedoc "Type and shape of a tensor, as Nx writes them: `{{:f, 32}, {2, 3}}`."
  @type tensor_type :: {{atom(), pos_integer()}, tuple()}

  @typedoc "An input or an output: its name, which may be empty, and its type and shape."
  @type port_type :: {String.t(), tensor_type}

  @transforms [:grad, :value_and_grad, :vjp, :jvp, :vmap]

  @doc """
  The program in the file `path` (`docs/program_format.md`).

  Raises `Mlx.FormatError` for anything but such a file, `File.Error` when it can't be read.
  """
  @spec load(Path.t()) :: t
  def load(path), do: load(path, "load")

  @doc false
  def load(path, name) do
    Argument.check_path!(path, name)
    %__MODULE__{handle: path |> File.read!() |> deserialize(path, name)}
  end

  defp deserialize(bytes, path, name) do
    NIF.program_deserialize(bytes)
  rescue
    error in Mlx.FormatError ->
      # The text may quote the file, whose bytes may be no text.
      reason =
        error.message |> String.replace_invalid() |> String.replace_prefix("[program] ", "")

      reraise %{error | message: "[#{name}] #{path}: #{reason}"}, __STACKTRACE__
  end

  @doc """
  Writes the program to the file `path`, which `load/1`, C++ and the command line read.

  Raises `File.Error` when the file can't be written, and `Mlx.UnsupportedError` for a program with hooks or runtime calls,
  whose code no file holds.
  """
  @spec save(t, Path.t()) :: :ok
  def save(program, path) do
    handle = handle!(program, "save")
    Argument.check_path!(path, "save")
    refuse_callbacks!(handle, "save")
    File.write!(path, NIF.program_serialize(handle))
  end

  @doc "The inputs, in their order: `{name, {type, shape}}`."
  @spec inputs(t) :: [port_type]
  def inputs(program) do
    {inputs, _outputs} = program |> handle!("inputs") |> NIF.program_signature()
    inputs
  end

  @doc "The outputs, in their order: `{name, {type, shape}}`. A name may be empty."
  @spec outputs(t) :: [port_type]
  def outputs(program) do
    handle = handle!(program, "outputs")
    {_inputs, types} = NIF.program_signature(handle)

    case NIF.program_output_names(handle) do
      [] -> Enum.map(types, &{"", &1})
      names -> Enum.zip(names, types)
    end
  end

  @doc """
  The outputs of the program for `inputs`, as lists: tensors for tensors and numbers of Nx, or handles for handles.

  Results are lazy `Mlx.Backend` tensors.

  Raises `ArgumentError` for another number of inputs than the program takes, or others than its types and shapes, and
  `Mlx.UnsupportedError` for a program with hooks or runtime calls.
  """
  @spec run(t, [term()]) :: [term()]
  def run(program, inputs) do
    handle = check_run!(program, inputs, "run")

    if Enum.all?(inputs, &is_reference/1),
      do: Mlx.Session.run_program(handle, inputs, Mlx.Stream.where()),
      else: Mlx.WithNx.call(:Transforms, :run_program, [program, inputs])
  end

  @doc """
  The outputs of the program for the list `inputs` by calls of Nx: a tensor, or a tuple of tensors.

  Inside of `defn` the program becomes a part of the function around, whatever the compiler, and `Nx.Defn.grad` differentiates
  through it; outside, the default compiler of `defn` runs it.

  Raises as `run/2`; inputs have no vectorized axes.

  ## Examples

      iex> program = Mlx.Compiler.to_program(&Nx.multiply/2, [1.0, 2.0])
      iex> Nx.Defn.grad(Nx.tensor(3.0), fn x -> Mlx.Program.to_nx(program, [x, 5.0]) end) |> Nx.to_number()
      5.0
  """
  @spec to_nx(t, [term()]) :: term()
  def to_nx(program, inputs) do
    check_run!(program, inputs, "to_nx")
    Mlx.WithNx.call(:"Compiler.ToNx", :call, [program, inputs])
  end

  @doc false
  def unquote(:"__defn:to_nx__")(program, inputs), do: to_nx(program, inputs)

  defp check_run!(program, inputs, name) do
    handle = handle!(program, name)
    {taken, _outputs} = NIF.program_signature(handle)
    Argument.check!(is_list(inputs), name, "a list of #{count(taken)}", inputs)

    if length(inputs) != length(taken) do
      listed = Enum.map_join(taken, ", ", &text/1)
      got = length(inputs)
      raise ArgumentError, "[#{name}] expected #{count(taken)} (#{listed}), got #{got}"
    end

    refuse_callbacks!(handle, name)
    handle
  end

  defp count([_]), do: "1 tensor"
  defp count(inputs), do: "#{length(inputs)} tensors"

  defp refuse_callbacks!(handle, name) do
    case NIF.program_callbacks(handle) do
      [] ->
        :ok

      callbacks ->
        names = Enum.map_join(callbacks, ", ", &elem(&1, 0))

        raise Mlx.UnsupportedError,
          message: "[#{name}] the program has hooks or runtime calls (#{names})"
    end
  end

  @doc """
  The program of a derivative of `program`, or of `program` applied to many examples.

  | transform | inputs | outputs |
  |---|---|---|
  | `:grad` | the program's | the gradients of the first output |
  | `:value_and_grad` | the program's | the program's, then these gradients |
  | `:vjp` | the program's, then a cotangent for each output | the program's, then the cotangents of the inputs |
  | `:jvp` | the program's, then a tangent for each of the inputs in `:wrt` | the program's, then their tangents |
  | `:vmap` | the program's, with an axis of examples | the program's, with an axis of examples in front |

  A gradient has the type and shape of its input, f32 for integers. The gradient of a tensor is that of its sum. Programs keep
  `stop_grad` and `custom_grad`; hooks and runtime calls stay.

  ## Options

    * `:wrt` - of derivatives: the inputs they are by, names or positions from 0, one or a list; default: all
    * `:tape` - of all derivatives but `:jvp`: what loops keep of their iterations, as for `Mlx.grad/1`
    * `:size` - of `:vmap`: the number of examples
    * `:in_axes` - of `:vmap`: the axis of examples in all inputs, default 0; or a list with one for each input, where nil stands for
      an input that all examples share

  Raises `ArgumentError` for inputs and axes that there are not, and `Mlx.UnsupportedError` where an op has no derivative.
  """
  @spec transform(t, :grad | :value_and_grad | :vjp | :jvp | :vmap, keyword()) :: t
  def transform(program, name, options \\ []) do
    handle = handle!(program, "transform")
    expected = "one of #{Enum.map_join(@transforms, ", ", &inspect/1)}"
    Argument.check!(name in @transforms, "transform", expected, name)
    known = known_options(name)
    only = "no option but #{Enum.map_join(known, ", ", &inspect/1)}"
    keys = if Keyword.keyword?(options), do: Keyword.keys(options), else: [options]
    Argument.check!(keys -- known == [], "transform", only, options)
    parameters = parameters(name, options, inputs(program))
    %__MODULE__{handle: NIF.program_transform(handle, name, parameters)}
  end

  defp known_options(:vmap), do: [:size, :in_axes]
  defp known_options(:jvp), do: [:wrt]
  defp known_options(_backward), do: [:wrt, :tape]

  defp parameters(:vmap, options, inputs) do
    size = options[:size]
    Argument.check!(is_integer(size) and size > 0, "transform", ":size of :vmap, a number", size)
    axes = Keyword.get(options, :in_axes, 0)
    listed = if is_list(axes), do: axes, else: List.duplicate(axes, length(inputs))
    fits? = length(listed) == length(inputs) and Enum.all?(listed, &(is_integer(&1) or &1 == nil))
    expected = ":in_axes to be an axis, or a list of #{length(inputs)} axes or nils"
    Argument.check!(fits?, "transform", expected, axes)
    {listed, size, []}
  end

  defp parameters(_derivative, options, inputs) do
    {positions(options[:wrt], inputs), tape!(options, "transform")}
  end

  @doc false
  def tape!(options, name) do
    tape = Keyword.get(options, :tape, :all)

    Argument.check!(
      tape in [:all, :sqrt, :recompute],
      name,
      ":tape to be :all, :sqrt or :recompute",
      tape
    )

    tape
  end

  defp positions(nil, inputs), do: Enum.to_list(0..(length(inputs) - 1)//1)
  defp positions(wrt, inputs), do: wrt |> List.wrap() |> Enum.map(&position(&1, inputs))

  defp position(position, inputs) when is_integer(position) do
    fits? = position in 0..(length(inputs) - 1)//1
    Argument.check!(fits?, "transform", "positions of #{count(inputs)} in :wrt", position)
    position
  end

  defp position(name, inputs) when is_binary(name) or is_atom(name) do
    names = Enum.map(inputs, &elem(&1, 0))
    position = Enum.find_index(names, &(&1 == to_string(name)))
    Argument.check!(position != nil, "transform", "inputs (#{Enum.join(names, ", ")})", name)
    position
  end

  defp position(other, _inputs),
    do: Argument.check!(false, "transform", "names or positions in :wrt", other)

  @doc "The program as a Graphviz digraph."
  @spec to_dot(t) :: String.t()
  def to_dot(program), do: program |> handle!("to_dot") |> NIF.program_dot()

  defp handle!(%__MODULE__{handle: handle}, _name), do: handle
  defp handle!(other, name), do: Argument.check!(false, name, "a program", other)

  @doc false
  def text({name, {{kind, bits}, shape}}) do
    axes = shape |> Tuple.to_list() |> Enum.map_join(&"[#{&1}]")
    Enum.join(if(name == "", do: [], else: [name]) ++ ["#{kind}#{bits}#{axes}"], ": ")
  end

  defimpl String.Chars do
    def to_string(program), do: NIF.program_text(program.handle)
  end

  defimpl Inspect do
    def inspect(program, _options) do
      [inputs, outputs] =
        for ports <- [Mlx.Program.inputs(program), Mlx.Program.outputs(program)],
            do: Enum.map_join(ports, ", ", &Mlx.Program.text/1)

      "#Mlx.Program<(#{inputs}) -> (#{outputs})>"
    end
  end
end
