defmodule Mlx.Defn do
  @moduledoc """
  `use Mlx.Defn` in place of `import Nx.Defn` makes the module attribute `@defn_compiler` choose the compiler of the
  module's `defn` functions. Without the attribute it is `Mlx.Compiler`.

      iex> defmodule Predictor do
      ...>   use Mlx.Defn
      ...>
      ...>   @defn_compiler Mlx.Compiler
      ...>   defn predict(x, w), do: x |> Nx.dot(w) |> Nx.sigmoid()
      ...> end
      iex> result = Predictor.predict(Nx.tensor([1.0, 2.0]), Nx.tensor([0.5, -0.25]))
      iex> {Nx.to_number(result), result.data.__struct__}
      {0.5, Mlx.Backend}

  Nx itself takes the compiler from `Nx.Defn.default_options/1` or from the `:compiler` option of `Nx.Defn.jit/2`, and does
  not read the attribute. A function called inside another `defn` becomes part of that one, whatever the attribute says.
  """

  defmacro __using__(_options) do
    quote do
      import Nx.Defn

      # Nx writes the functions in a hook that the first definition registers; ours has to come after it.
      @doc false
      deftransform(__mlx_defn__(), do: :ok)

      @before_compile Mlx.Defn
    end
  end

  @doc false
  defmacro __before_compile__(env) do
    compiler = Module.get_attribute(env.module, :defn_compiler) || Mlx.Compiler

    for {name, arity} <- Module.definitions_in(env.module, :def),
        traced = :"__defn:#{name}__",
        Module.defines?(env.module, {traced, arity}) do
      arguments = Macro.generate_arguments(arity, __MODULE__)

      quote do
        defoverridable [{unquote(name), unquote(arity)}]

        def unquote(name)(unquote_splicing(arguments)) do
          if Nx.Defn.Compiler.current() do
            super(unquote_splicing(arguments))
          else
            Nx.Defn.jit_apply(
              &(unquote(Macro.var(traced, nil)) / unquote(arity)),
              unquote(arguments),
              compiler: unquote(compiler)
            )
          end
        end
      end
    end
  end
end
