defmodule Mlx.HooksTest do
  # What functions written in Elixir get from compiled programs, and how they end them.
  use ExUnit.Case, async: true

  alias Mlx.{NIF, Session}

  defmodule Functions do
    import Nx.Defn

    def tell(tensors) do
      send(self(), {:told, Nx.Defn.Composite.traverse(tensors, &seen/1)})
      tensors
    end

    defp seen(tensor) do
      {tensor.type, tensor.shape, tensor.names, tensor.vectorized_axes, Nx.to_flat_list(tensor)}
    end

    def print(tensor), do: Nx.Defn.Kernel.print_value(tensor)

    defn(itself(x), do: io_call(x, &tell/1))
    defn(named(x), do: io_call(x, :told))
    defn(sum(x), do: io_call(Nx.sum(x), &tell/1))
    defn(chain(x), do: x |> io_call(&tell/1) |> io_call(&tell/1))
    defn(of_gradient_stop(x), do: io_call(stop_grad(x), &tell/1))
    defn(slice_at(x), do: io_call(Nx.take(x, 0), &tell/1))

    defn used_before(x) do
      y = x + 1
      {y * 2, io_call(y, &tell/1)}
    end

    deftransform renamed_after_use(x) do
      y = Nx.add(x, 1)
      {Nx.multiply(y, 2), Nx.io_call(Nx.rename(y, [:c, :d]), &tell/1)}
    end

    deftransform renamed_before_use(x) do
      y = Nx.add(x, 1)
      {Nx.io_call(Nx.rename(y, [:c, :d]), &tell/1), Nx.multiply(y, 2)}
    end

    deftransform(renamed_argument(x), do: Nx.io_call(Nx.rename(x, [:c, :d]), &tell/1))
    deftransform(vectorized_argument(x), do: Nx.io_call(Nx.vectorize(x, :v), &tell/1))
    deftransform(vectorized_here(x), do: Nx.io_call(Nx.vectorize(Nx.add(x, 1), :v), &tell/1))

    deftransform container(x) do
      %{all: x, rest: {sum}} = Nx.io_call(%{all: x, rest: {Nx.sum(x)}}, &tell/1)
      Nx.io_call({sum, x}, &tell/1)
    end

    deftransform tuple_of_a_gradient_stop(x) do
      {a, b} = Nx.Defn.Kernel.stop_grad({x, Nx.devectorize(x)})
      Nx.io_call({b, a}, &tell/1)
    end

    defn in_loop(x) do
      {_, y} = while({i = 0, y = x}, i < 2, do: {i + 1, io_call(y, &tell/1) + 1})
      io_call(y, &tell/1)
    end

    defn in_branch(x) do
      y = if Nx.sum(Nx.devectorize(x)) > 0, do: io_call(x, &tell/1), else: -x
      io_call(y, &tell/1)
    end

    deftransform at_run_time(x) do
      Nx.runtime_call(Nx.devectorize(x), x, [], fn x, _ -> tell(Nx.devectorize(x)) && x end)
    end

    deftransform of_run_time(x) do
      x = Nx.devectorize(x)
      x |> Nx.runtime_call(x, [], fn x, _ -> x end) |> Nx.io_call(&tell/1)
    end
  end

  @functions for {name, 1} <- Functions.__info__(:functions),
                 name not in [:tell, :print] and not String.starts_with?("#{name}", "__"),
                 do: name

  # Arguments with other names and vectorized axes, where the function takes them.
  defp arguments(function) do
    plain = Nx.tensor([[1, 2], [3, 4]], backend: Nx.BinaryBackend)
    named = Nx.rename(plain, [nil, :y])

    vectorized = [Nx.vectorize(plain, :x), Nx.vectorize(named, :x)]
    takes_matrices? = "#{function}" =~ ~r/renamed|vectorized/
    [plain, Nx.rename(plain, [:a, :b])] ++ if(takes_matrices?, do: [], else: vectorized)
  end

  # What the hooks of the function were told, and that they were.
  defp told(compiler, fun, argument) do
    options = [compiler: compiler, hooks: %{told: &Functions.tell/1}]
    Nx.with_default_backend(Nx.BinaryBackend, fn -> Nx.Defn.jit(fun, options).(argument) end)
    told = received([])
    assert told != []
    told
  end

  defp received(all) do
    receive do
      {:told, told} -> received([told | all])
    after
      0 -> all
    end
  end

  for name <- @functions do
    test "#{name}: callbacks get what Nx's evaluator gives them" do
      fun = &apply(Functions, unquote(name), [&1])

      for argument <- arguments(unquote(name)) do
        assert told(Mlx.Compiler, fun, argument) == told(Nx.Defn.Evaluator, fun, argument)
      end
    end
  end

  test "print_value shows vectorized axes as names" do
    x = Nx.vectorize(Nx.tensor([[1, 2], [3, 4]]), :x)
    print = fn -> Nx.Defn.jit(&Functions.print/1, compiler: Mlx.Compiler).(x) end
    assert ExUnit.CaptureIO.capture_io(print) =~ "s32[x: 2][2]"
  end

  test "what is vectorized where it is captured or made is whole" do
    captured = Nx.vectorize(Nx.tensor([[1, 2], [3, 4]], backend: Nx.BinaryBackend), :x)
    fun = fn y -> {Nx.io_call({captured, y}, &Functions.tell/1), Nx.add(captured, y)} end
    assert told(Mlx.Compiler, fun, 1) == told(Nx.Defn.Evaluator, fun, 1)

    # The evaluator makes half of these.
    fun = fn y ->
      {Nx.iota({2, 2}), Nx.eye(2), Nx.reshape(y, {2, 2})}
      |> Nx.Defn.Composite.traverse(&Nx.vectorize(&1, :v))
      |> Nx.io_call(&Functions.tell/1)
    end

    assert [{iota, eye, reshaped}] = told(Mlx.Compiler, fun, Nx.tensor([5, 6, 7, 8]))
    type = {:s, 32}
    assert iota == {type, {2}, [nil], [v: 2], [0, 1, 2, 3]}
    assert eye == {type, {2}, [nil], [v: 2], [1, 0, 0, 1]}
    assert reshaped == {type, {2}, [nil], [v: 2], [5, 6, 7, 8]}
  end

  describe "a result that is an argument is not donatable" do
    defmodule Passing do
      import Nx.Defn
      defn(itself(x), do: x)
      defn(twice(x), do: {x, %{a: x, b: {x}}})
      defn(renamed(x), do: Nx.rename(x, [:a]))
      defn(vectorized(x), do: Nx.vectorize(x, :a))
      defn(reshaped(x), do: Nx.reshape(x, {2}))
      defn(cast(x), do: Nx.as_type(x, :s32))
      defn(stopped(x), do: stop_grad(x))
      defn(told(x), do: io_call(x, fn x -> x end))
      defn(branch(x), do: if(Nx.sum(x) > 0, do: x, else: x))
      defn(loop(x), do: while(x, Nx.sum(x) > 0, do: x - 1))

      defn loop_with(x) do
        {_, x} = while({i = 0, x}, i < 2, do: {i + 1, x})
        x
      end

      deftransform(at_run_time(x), do: Nx.runtime_call(x, x, [], fn x, _ -> x end))
    end

    for {name, 1} <- Passing.__info__(:functions), not String.starts_with?("#{name}", "__") do
      test "#{name}" do
        fun = &apply(Passing, unquote(name), [&1])
        x = Nx.donatable(Nx.tensor([1, 2]))
        templates = [Nx.to_template(x)]

        for jitted <- [
              Nx.Defn.jit(fun, compiler: Mlx.Compiler),
              Nx.Defn.jit(fun, compiler: Mlx.Compiler, cache: false),
              Nx.Defn.compile(fun, templates, compiler: Mlx.Compiler)
            ],
            tensor <- Nx.Defn.Composite.flatten_list([jitted.(x)]) do
          refute Nx.donatable?(tensor)
        end
      end
    end
  end

  describe "the first thing that a callback raises" do
    defp failing(how), do: fn x -> Nx.io_call({x, Nx.add(x, 1)}, fn _ -> fail(how) end) end

    defp fail(:raise), do: raise("first")
    defp fail(:throw), do: throw(:first)
    defp fail(:exit), do: exit(:first)

    defp caught(fun) do
      fun.()
      flunk("nothing was raised")
    catch
      kind, reason ->
        assert Enum.any?(__STACKTRACE__, &match?({__MODULE__, :fail, 1, _}, &1))
        {kind, reason}
    end

    @kinds [raise: {:error, %RuntimeError{message: "first"}}] ++
             [throw: {:throw, :first}, exit: {:exit, :first}]

    for {how, expected} <- @kinds do
      test "reaches the caller with its stack trace: #{how}" do
        how = unquote(how)
        jitted = fn fun -> fn -> Nx.Defn.jit(fun, compiler: Mlx.Compiler).(1) end end
        expected = unquote(Macro.escape(expected))

        assert caught(jitted.(failing(how))) == expected
        at_run_time = &Nx.runtime_call(&1, &1, [], fn _, _ -> fail(how) end)
        assert caught(jitted.(at_run_time)) == expected
        reduced = fn _, _ -> fail(how) end
        tensor = Nx.iota({100}, backend: Mlx.Backend)
        assert caught(fn -> Nx.reduce(tensor, 0, reduced) end) == expected
        assert caught(fn -> Nx.window_reduce(tensor, 0, {3}, reduced) end) == expected
      end

      test "is not covered by a callback that answers afterwards: #{how}" do
        vector = {{:s, 32}, {100}}
        tensor = NIF.from_binary(vector, :binary.copy(<<1::32-native>>, 100), nil)
        zero = NIF.from_binary({{:s, 32}, {}}, <<0::32-native>>, nil)
        {:ok, calls} = Agent.start_link(fn -> 0 end)

        start = fn ref ->
          session =
            NIF.op_with_function(ref, :reduce, [tensor, zero], [], {{:s, 32}, {}}, nil)

          # As a second call that is under way when the first one fails.
          receive do: ({^ref, :call, arguments} -> send(self(), {ref, :call, arguments}))
          send(self(), {ref, :call, [zero, zero]})
          session
        end

        fun = fn arguments ->
          if Agent.get_and_update(calls, &{&1, &1 + 1}) == 0, do: fail(unquote(how))
          Enum.take(arguments, 1)
        end

        assert caught(fn -> Session.run(start, fun) end) == unquote(Macro.escape(expected))
        assert Agent.get(calls, & &1) == 1
      end
    end
  end
end
