defmodule Mlx.Files do
  # What all open files of tensors have in common: names, what is said of each, and reading by them.
  @moduledoc false

  alias Mlx.{Argument, NIF}

  @typedoc "The handle of an open file or checkpoint."
  @type source :: reference()

  @typedoc """
  What a file says of a tensor: type and shape of what reading answers, how the file stores it (`"bf16"`, `"f8_e4m3"`, `"Q4_K"`), and
  the bytes that it takes there.
  """
  @type info :: %{
          type: Mlx.Dtype.t(),
          shape: tuple(),
          stored: String.t(),
          bytes: non_neg_integer()
        }

  @doc "The opened file; its errors are those of the function `owner`."
  @spec open(String.t(), (String.t() -> source), Path.t()) :: source
  def open(owner, native, path) do
    Argument.check_path!(path, owner)
    named(owner, fn -> native.(path) end)
  end

  @doc "An opened file of tensors. Raises `Mlx.FormatError` for one of another format."
  @spec open_as(String.t(), String.t(), Path.t()) :: source
  def open_as(owner, format, path) do
    source = open(owner, &NIF.file_open/1, path)

    case NIF.file_format(source) do
      ^format ->
        source

      other ->
        raise Mlx.FormatError,
          message:
            "[#{owner}] #{String.replace_invalid(path)}: the file is in the format #{other}, not #{format}"
    end
  end

  @doc "The names of the tensors, in the file's order."
  @spec names(source) :: [String.t()]
  def names(source), do: for({name, _type, _stored, _bytes} <- NIF.file_tensors(source), do: name)

  @doc "What the file says of each tensor."
  @spec info(source) :: %{String.t() => info}
  def info(source) do
    for {name, {type, shape}, stored, bytes} <- NIF.file_tensors(source), into: %{} do
      {name, %{type: type, shape: shape, stored: stored, bytes: bytes}}
    end
  end

  @doc "The tensor of a name, or a map of those that the options mean: `:only`, and whether `:lazy`."
  @spec read(String.t(), source, String.t() | keyword()) ::
          Mlx.Tensor.like() | %{String.t() => Mlx.Tensor.like()}
  def read(owner, source, name) when is_binary(name), do: hd(read_names(owner, source, [name]))

  def read(owner, source, options) do
    Argument.check_options!(options, [:only, :lazy], owner)
    lazy? = Keyword.get(options, :lazy, false)
    Argument.check!(is_boolean(lazy?), owner, ":lazy to be true or false", lazy?)
    names = chosen(owner, names(source), options[:only])

    if lazy? do
      all = info(source)

      for name <- names, into: %{} do
        # Reading says which name there is in its place.
        info = all[name] || read(owner, source, name)
        {name, %Mlx.LazyTensor{source: source, name: name, type: info.type, shape: info.shape}}
      end
    else
      names |> Enum.zip(read_names(owner, source, names)) |> Map.new()
    end
  end

  @doc "The tensors of these names, in their order."
  @spec read_names(String.t(), source, [String.t()]) :: [Mlx.Tensor.like()]
  def read_names(owner, source, names) do
    named(owner, fn ->
      source
      |> NIF.file_read(names, Mlx.Stream.where())
      |> Mlx.Memory.collected()
      |> Mlx.Tensor.wrap_all()
    end)
  end

  @doc "Those of `names` that `only` means: all for nil, a list of names, a regular expression, or a function of a name."
  @spec chosen(String.t(), [String.t()], term()) :: [String.t()]
  def chosen(_owner, names, nil), do: names
  def chosen(_owner, names, %Regex{} = regex), do: Enum.filter(names, &Regex.match?(regex, &1))
  def chosen(_owner, names, fun) when is_function(fun, 1), do: Enum.filter(names, fun)

  def chosen(owner, _names, wanted) do
    fits? = Argument.list_of?(wanted, &is_binary/1)
    expected = ":only to be a list of names, a regular expression, or a function of a name"
    Argument.check!(fits?, owner, expected, wanted)
    Enum.uniq(wanted)
  end

  @doc "Names and handles of a map, or a list of pairs, of tensors."
  @spec named_refs!(term(), String.t()) :: {[String.t()], [Mlx.handle()]}
  def named_refs!(tensors, owner) do
    fits? =
      (is_map(tensors) and not is_struct(tensors)) or
        Argument.list_of?(tensors, &match?({_, _}, &1))

    Argument.check!(fits?, owner, "a map of names to tensors", tensors)

    tensors
    |> Enum.map(fn {name, tensor} ->
      Argument.check!(text?(name), owner, "the name of a tensor, in UTF-8", name)
      {name, Mlx.Tensor.ref!(tensor, owner)}
    end)
    |> Enum.unzip()
  end

  @doc "Whether a term is a text."
  @spec text?(term()) :: boolean()
  def text?(term), do: is_binary(term) and String.valid?(term)

  @doc "What `fun` answers; errors of the native reader are the function `owner`'s."
  @spec named(String.t(), (-> result)) :: result when result: term()
  def named(owner, fun) do
    fun.()
  rescue
    error in [Mlx.FormatError, Mlx.UnsupportedError, ArgumentError] ->
      message =
        error.message
        |> String.replace_invalid()
        |> String.replace(~r/^\[[^\]]*\]/, "[#{owner}]", global: false)

      reraise %{error | message: message}, __STACKTRACE__
  end
end
