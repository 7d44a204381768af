defmodule Mlx.Backend do
  @moduledoc """
  Nx tensors on Apple's MLX.

      Nx.default_backend(Mlx.Backend)

      a = Nx.tensor([1.0, 2.0, 3.0])
      b = Nx.tensor([4.0, 5.0, 6.0])
      Nx.add(a, b)

  or for single tensors:

      Nx.tensor([1, 2, 3], backend: Mlx.Backend)

  Ops are lazy: they build a graph, which is computed when a result is read (`inspect/2`, `Nx.to_binary/1`, …) or by
  `Mlx.eval/1`. Small tensors on a CPU are computed at once, which takes less time than a graph. Types, shapes and values are those of `Nx.BinaryBackend`, floats up to rounding.

  ## Options

    * `:device` - `:cpu` or `:gpu`; ops on the tensors made with it run there. Default: `Mlx.Device.default/0` at the time
      of each op.

  ## Errors

  A type that MLX lacks raises `Mlx.UnsupportedError`. Ops on f64, which no GPU has, run on the CPU
  (`Mlx.Device.set_f64_on_gpu/1`). Bad arguments raise `ArgumentError`, among them
  a tensor that was deallocated. When MLX itself fails (no memory, a device failure), `Mlx.Error` is raised.

  ## Configuration

  `config :elixir_mlx, add_backend_on_inspect: false` leaves the line `Mlx.Backend` out of inspected tensors.
  """

  @behaviour Nx.Backend

  alias Mlx.{Argument, Callback, NIF, Session}
  alias Nx.Tensor, as: T

  @enforce_keys [:ref]
  defstruct [:ref, :device]

  @type t :: %__MODULE__{ref: Mlx.handle(), device: Mlx.Device.t() | nil}

  # Callbacks of ops that need more than operands and attributes.
  @special [:constant, :eye, :iota, :reduce, :window_reduce]

  for {name, arguments} <- Mlx.Op.rows(), name not in @special do
    arguments = Enum.reject(arguments, &match?({:out, _}, &1))
    variables = Macro.generate_arguments(length(arguments), __MODULE__)
    out = Macro.var(:out, __MODULE__)

    @impl true
    # The usual case, without a detour: operands alone, all of them here and none made for a device.
    if Enum.all?(arguments, &(&1 == :tensor)) and arguments != [] and
         not Enum.any?(Mlx.Op.rows()[name], &match?({:out, _}, &1)) do
      operands =
        for variable <- variables,
            do: quote(do: %T{data: %__MODULE__{ref: unquote(variable), device: nil}})

      def unquote(name)(%{type: type, shape: shape} = unquote(out), unquote_splicing(operands)) do
        unquote(name)
        |> NIF.op(unquote(variables), [], {type, shape}, Mlx.Stream.where())
        |> answer(unquote(out), nil)
      end
    end

    def unquote(name)(unquote(out), unquote_splicing(variables)) do
      {operands, attributes} = Mlx.Op.call(unquote(name), unquote(variables), unquote(out))
      call(unquote(out), unquote(name), operands, attributes)
    end
  end

  ## Creation

  @impl true
  def init(options) do
    is_keyword = Keyword.keyword?(options)
    Argument.check!(is_keyword, "Mlx.Backend", "options as a keyword list", options)
    only = "no option but :device, which is :cpu or :gpu"
    Argument.check!(Keyword.keys(options) -- [:device] == [], "Mlx.Backend", only, options)
    validate_device(options)
  end

  defp validate_device(options) do
    case options[:device] do
      nil ->
        options

      device when device in [:cpu, :gpu] ->
        if Mlx.Device.available?(device) do
          options
        else
          raise Mlx.UnsupportedError, message: "this machine has no device #{device}"
        end

      other ->
        Argument.check!(false, "Mlx.Backend", ":device to be :cpu or :gpu", other)
    end
  end

  # Nx passes the options of single tensors on as they are.
  defp device_option([]), do: nil
  defp device_option(device: :cpu), do: :cpu
  defp device_option(options), do: init(options)[:device]

  @impl true
  def constant(%T{} = out, value, options), do: create(out, :constant, [value], options)

  @impl true
  def eye(%T{} = out, options), do: create(out, :eye, [], options)

  @impl true
  def iota(%T{} = out, axis, options), do: create(out, :iota, [axis], options)

  defp create(out, name, arguments, options) do
    {[], attributes} = Mlx.Op.call(name, arguments, out)
    device = device_option(options)
    where = Mlx.Stream.where() || device
    name |> NIF.op([], attributes, {out.type, out.shape}, where) |> answer(out, device)
  end

  @impl true
  def from_binary(%T{} = out, binary, options) do
    device = device_option(options)
    where = Mlx.Stream.where() || device
    binary = if is_list(binary), do: IO.iodata_to_binary(binary), else: binary

    {out.type, out.shape} |> NIF.from_binary(binary, where) |> answer(out, device)
  end

  ## Functions written in Elixir

  @impl true
  def reduce(out, tensor, accumulator, options, fun) do
    options = Keyword.put(options, :type, out.type)
    call_with_function(out, :reduce, [tensor, accumulator, options, fun])
  end

  @impl true
  def window_reduce(out, tensor, accumulator, window, options, fun) do
    call_with_function(out, :window_reduce, [tensor, accumulator, window, options, fun])
  end

  # A function that can be traced, which is one that looks at no numbers, becomes part of a program.
  defp call_with_function(out, name, [tensor, accumulator | options]) do
    call = fn tensor, accumulator -> apply(Nx, name, [tensor, accumulator | options]) end
    device = device([tensor, accumulator])
    chosen = if device, do: [device: device], else: []
    Nx.Defn.jit_apply(call, [tensor, accumulator], [compiler: Mlx.Compiler] ++ chosen)
  rescue
    _ -> call_by_elements(out, name, [tensor, accumulator | options])
  end

  defp call_by_elements(out, name, arguments) do
    {operands, attributes} = Mlx.Op.call(name, arguments, out)
    fun = List.last(arguments)
    device = device(operands)
    where = Mlx.Stream.where() || device
    refs = Enum.map(operands, &to_ref(&1, where))

    [ref] =
      Session.run(
        &NIF.op_with_function(&1, name, refs, attributes, {out.type, out.shape}, where),
        Callback.elementwise(fun, device)
      )

    answer(ref, out, device)
  end

  ## Blocks

  @impl true
  def block(struct, out, args, fun) do
    {tensors, _options} = Enum.split_while(args, &is_struct(&1, T))

    case Mlx.Op.block(struct) do
      {name, attributes} -> call_block(out, name, tensors, attributes)
      nil -> call_default(struct, args, tensors, fun)
    end
  end

  # Constants that the function makes must be on this backend as well.
  defp call_default(struct, args, tensors, fun) do
    device = device(tensors)
    options = if device, do: [device: device], else: []
    Nx.with_default_backend({__MODULE__, options}, fn -> apply(fun, [struct | args]) end)
  end

  defp call_block(%T{} = out, name, tensors, attributes) do
    call(out, name, tensors, attributes)
  end

  defp call_block(outs, name, tensors, attributes) when is_tuple(outs) do
    outs = Tuple.to_list(outs)
    types = Enum.map(outs, &{&1.type, &1.shape})
    tensors |> call_many(outs, &NIF.op_many(name, &1, attributes, types, &2)) |> List.to_tuple()
  end

  ## Reading

  @impl true
  def to_binary(%T{data: %__MODULE__{ref: ref}, type: {_, bits}}, limit) do
    # An event takes longer than to read a number.
    with nil <- NIF.little_binary(ref, limit) do
      Mlx.Telemetry.span(:to_binary, %{bytes: limit * div(bits, 8)}, fn ->
        NIF.to_binary(ref, limit)
      end)
    end
  end

  @impl true
  def inspect(%T{} = tensor, options) do
    limit = if options.limit == :infinity, do: Nx.size(tensor), else: options.limit + 1
    binary = to_binary(tensor, min(limit, Nx.size(tensor)))
    document = Nx.Backend.inspect(tensor, binary, options)

    if Application.get_env(:elixir_mlx, :add_backend_on_inspect, true) do
      Inspect.Algebra.concat([signature(tensor), Inspect.Algebra.line(), document])
    else
      document
    end
  end

  defp signature(%T{data: %__MODULE__{device: nil}}), do: "Mlx.Backend"
  defp signature(%T{data: %__MODULE__{device: device}}), do: "Mlx.Backend<#{device}>"

  @impl true
  def to_batched(out, tensor, options) do
    size = elem(out.shape, 0)
    rows = elem(tensor.shape, 0)
    full = div(rows, size)
    rest = rem(rows, size)
    last = if rest != 0 and options[:leftover] == :repeat, do: [full], else: []

    Stream.map(Enum.concat(0..(full - 1)//1, last), fn
      ^full ->
        tail = rows(tensor, full * size, rest)
        concatenate(out, [tail, rows(tensor, 0, size - rest)], 0)

      i ->
        rows(tensor, i * size, size)
    end)
  end

  defp rows(tensor, start, count) do
    shape = put_elem(tensor.shape, 0, count)
    [_ | others] = Tuple.to_list(tensor.shape)
    starts = [start | Enum.map(others, fn _ -> 0 end)]
    strides = List.duplicate(1, tuple_size(shape))
    slice(%{tensor | shape: shape}, tensor, starts, Tuple.to_list(shape), strides)
  end

  ## Pointers

  @impl true
  def to_pointer(%T{data: %__MODULE__{ref: ref}} = tensor, options) do
    case Keyword.get(options, :mode, :local) do
      :local ->
        Keyword.validate!(options, [:mode])

        %Nx.Pointer{
          kind: :local,
          address: NIF.address(ref),
          data_size: Nx.byte_size(tensor)
        }

      :ipc ->
        options = Keyword.validate!(options, [:mode, permissions: 0o400])

        %Nx.Pointer{
          kind: :ipc,
          handle: NIF.share(ref, options[:permissions]),
          data_size: Nx.byte_size(tensor)
        }

      other ->
        raise ArgumentError,
              "[to_pointer] expected mode: :local or :ipc, got: #{inspect(other)}"
    end
  end

  @impl true
  def from_pointer(%Nx.Pointer{} = pointer, type, shape, backend_options, options) do
    out = Nx.template(shape, type, names: options[:names])
    size = Nx.byte_size(out)

    if pointer.data_size not in [nil, size] do
      raise ArgumentError,
            "[from_pointer] the pointer has #{pointer.data_size} bytes, and a tensor of type " <>
              "#{inspect(type)} and shape #{inspect(shape)} takes #{size}: its data_size has to be that"
    end

    put_ref(out, pointed_at(pointer, {type, shape}), device_option(backend_options))
  end

  # Copies: the tensor must outlive whoever owns the memory.
  defp pointed_at(%Nx.Pointer{kind: :local, address: address}, type),
    do: NIF.from_address(address, type)

  defp pointed_at(%Nx.Pointer{kind: :ipc, handle: handle}, type), do: NIF.claim(handle, type)

  defp pointed_at(%Nx.Pointer{kind: kind}, _type) do
    raise ArgumentError,
          "[from_pointer] expected a pointer of kind :local or :ipc, got: #{inspect(kind)}"
  end

  ## Between backends

  @impl true
  def backend_copy(%T{data: %__MODULE__{ref: ref}} = tensor, __MODULE__, options) do
    put_ref(tensor, NIF.copy(ref), options[:device])
  end

  def backend_copy(%T{} = tensor, backend, options) do
    backend.from_binary(tensor, to_binary(tensor, Nx.size(tensor)), options)
  end

  @impl true
  def backend_transfer(%T{} = tensor, __MODULE__, options) do
    %{tensor | data: %{tensor.data | device: options[:device]}}
  end

  def backend_transfer(%T{} = tensor, backend, options) do
    copy = backend_copy(tensor, backend, options)
    backend_deallocate(tensor)
    copy
  end

  @impl true
  def backend_deallocate(%T{data: %__MODULE__{ref: ref}}), do: NIF.deallocate(ref)

  ## Calls

  defp call(%{type: type, shape: shape} = out, name, operands, attributes) do
    device = device(operands)
    where = Mlx.Stream.where() || device
    refs = to_refs(operands, where)
    name |> NIF.op(refs, attributes, {type, shape}, where) |> answer(out, device)
  end

  @doc false
  # The tensors, like `outs`, that a program answers.
  def run_program(handle, tensors, outs),
    do: call_many(tensors, outs, &Session.run_program(handle, &1, &2))

  defp call_many(tensors, outs, native) do
    device = device(tensors)
    where = Mlx.Stream.where() || device

    tensors
    |> to_refs(where)
    |> native.(where)
    |> Mlx.Memory.collected()
    |> Enum.zip_with(outs, &put_ref(&2, &1, device))
  end

  defp answer(ref, out, device) when is_reference(ref) do
    %{out | data: %__MODULE__{ref: ref, device: device}}
  end

  defp answer(answer, out, device), do: answer |> Mlx.Memory.collected() |> answer(out, device)

  defp put_ref(out, ref, device), do: %{out | data: %__MODULE__{ref: ref, device: device}}

  defp to_refs([%T{data: %__MODULE__{ref: ref}} | rest], where), do: [ref | to_refs(rest, where)]
  defp to_refs([tensor | rest], where), do: [to_ref(tensor, where) | to_refs(rest, where)]
  defp to_refs([], _where), do: []

  @doc false
  # The tensor of a handle.
  def wrap(ref, {type, shape}), do: put_ref(Nx.template(shape, type), ref, nil)

  @doc false
  # The handle of a tensor, with its vectorized axes, or a number, for the function called `name`.
  def ref!(%T{} = tensor, _name), do: tensor |> Nx.devectorize() |> to_ref(Mlx.Stream.where())

  def ref!(number, name) when is_number(number) or is_struct(number, Complex),
    do: number |> Nx.tensor() |> ref!(name)

  def ref!(other, name), do: Argument.check!(false, name, "a tensor", other)

  @doc false
  # The handle of a tensor of any backend.
  def to_ref(%T{data: %__MODULE__{ref: ref}}, _where), do: ref

  def to_ref(%T{data: %backend{}} = tensor, where) do
    binary = backend.to_binary(tensor, Nx.size(tensor))
    {tensor.type, tensor.shape} |> NIF.from_binary(binary, where) |> Mlx.Memory.collected()
  end

  # The device that the first tensor made with one was made for.
  defp device([%T{data: %__MODULE__{device: device}} | _]) when device != nil, do: device
  defp device([_ | rest]), do: device(rest)
  defp device([]), do: nil
end

defimpl Mlx.Handle, for: Mlx.Backend do
  def fetch(%{ref: ref}), do: ref
end

defimpl Mlx.Handle, for: Nx.Tensor do
  def fetch(%{data: %Mlx.Backend{ref: ref}}), do: ref
  def fetch(_), do: nil
end
