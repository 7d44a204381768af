defmodule Mlx.ArgumentsTest do
  # What the public functions say to arguments of every wrong kind. It changes the memory limits where one is taken.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.{Checkpoint, Device, GGUF, Memory, Program, Quantized, Safetensors, Stream}

  # Values of every kind, of which each function takes some.
  defp values do
    gone = tensor([1.0])
    Mlx.NIF.deallocate(gone)

    [
      nil,
      true,
      1,
      -1,
      1.5,
      2 ** 64,
      :atom,
      :tpu,
      "",
      "text",
      [],
      [1],
      {},
      %{},
      self(),
      make_ref()
    ] ++
      [
        gone,
        tensor([1.0]),
        fn -> 1 end,
        fn x -> x end,
        %{ref: nil},
        %Stream{ref: nil, device: :cpu}
      ]
  end

  defp stream(fun), do: Stream.with_stream(Stream.new(), fun)

  # Each function with what it refuses, and what it says. A value is refused unless the row takes it.
  defp rows do
    [
      {:synchronize, &Mlx.synchronize/1, &is_nil/1, "[synchronize] expected a stream"},
      {:set_default, &Device.set_default/1, fn _ -> false end, "expected :cpu or :gpu, got"},
      {:set_f64_on_gpu, &Device.set_f64_on_gpu/1, fn _ -> false end,
       "expected :cpu or :raise, got"},
      {:new, &Stream.new/1, fn _ -> false end, "[stream_new] expected :cpu or :gpu, got"},
      {:with_stream, &Stream.with_stream(&1, fn -> 1 end), fn _ -> false end,
       "[with_stream] expected a stream"},
      {:with_stream, &stream/1, &is_function(&1, 0),
       "[with_stream] expected a function without arguments"},
      {:set_cache_limit, &Memory.set_cache_limit/1, &size?/1, "expected a non-negative integer"},
      {:set_memory_limit, &Memory.set_memory_limit/1, &size?/1,
       "expected a non-negative integer"},
      {:load, &Program.load/1, &(is_binary(&1) and &1 != ""),
       "[load] expected the path of a file"},
      {:save, &Program.save(&1, "path"), fn _ -> false end, "[save] expected a program"},
      {:save, &Program.save(program(), &1), &(is_binary(&1) and &1 != ""),
       "[save] expected the path"},
      {:inputs, &Program.inputs/1, fn _ -> false end, "[inputs] expected a program"},
      {:outputs, &Program.outputs/1, fn _ -> false end, "[outputs] expected a program"},
      {:to_dot, &Program.to_dot/1, fn _ -> false end, "[to_dot] expected a program"},
      {:to_nx, &Program.to_nx(&1, []), fn _ -> false end, "[to_nx] expected a program"},
      {:to_nx, &Program.to_nx(program(), &1), &is_list/1, "[to_nx] expected a list of 1 tensor"},
      {:run, &Program.run(&1, []), fn _ -> false end, "[run] expected a program"},
      {:run, &Program.run(program(), &1), &is_list/1, "[run] expected a list of 1 tensor"},
      {:transform, &Program.transform(&1, :grad), fn _ -> false end,
       "[transform] expected a program"},
      {:transform, &Program.transform(program(), &1), fn _ -> false end,
       "[transform] expected one of :grad, :value_and_grad, :vjp, :jvp, :vmap"},
      {:transform, &Program.transform(program(), :grad, &1), &(&1 == []),
       "[transform] expected no option but :wrt, :tape"},
      {:transform, &Program.transform(program(), :grad, wrt: &1), &(&1 in [nil, []]),
       "[transform] expected"},
      {:transform, &Program.transform(program(), :grad, tape: &1), fn _ -> false end,
       "[transform] expected :tape to be :all, :sqrt or :recompute"},
      {:transform, &Program.transform(program(), :jvp, tape: &1), fn _ -> false end,
       "[transform] expected no option but :wrt"},
      {:transform, &Program.transform(program(), :vmap, &1), fn _ -> false end,
       "[transform] expected"},
      {:transform, &Program.transform(program(), :vmap, size: &1), &(is_integer(&1) and &1 > 0),
       "[transform] expected :size of :vmap, a number"},
      {:transform, &Program.transform(program(), :vmap, size: 2, in_axes: &1),
       &(is_integer(&1) or &1 in [nil, [1]]), "[transform] expected :in_axes to be an axis"}
    ] ++ file_rows()
  end

  defp file_rows do
    none = fn _ -> false end
    options = &(&1 == [])
    text = &(is_binary(&1) and &1 != "")
    # Numbers where Nx is there.
    tensor = &(is_reference(&1) or is_number(&1))

    opened =
      for {module, what} <- [
            {Safetensors, "a file of Mlx.Safetensors.open!/1"},
            {GGUF, "a file of Mlx.GGUF.open!/1"},
            {Checkpoint, "a checkpoint of Mlx.Checkpoint.open!/2"}
          ],
          name <- ~w(names info metadata read read_quantized format config chat_template)a,
          function_exported?(module, name, 1) do
        {name, &apply(module, name, [&1]), none, "[#{name}] expected #{what}"}
      end

    paths =
      for {module, name} <- [
            {Safetensors, :read!},
            {Safetensors, :open!},
            {Safetensors, :reader},
            {GGUF, :open!},
            {Checkpoint, :open!},
            {Checkpoint, :read_adapter!},
            {Mlx.IO, :load}
          ] do
        {name, &apply(module, name, [&1]), text, "expected the path of a file"}
      end

    opened ++
      paths ++
      [
        {:write!, &Safetensors.write!(&1, %{}), text, "[write] expected the path of a file"},
        {:write!, &Safetensors.write!("x", &1), &(&1 in [[], %{}, %{ref: nil}]),
         "[write] expected a map of names to tensors"},
        {:write!, &Safetensors.write!("x", %{"a" => &1}), tensor, "[write] expected a tensor"},
        {:write!, &Safetensors.write!("x", %{}, &1), &(&1 == %{}),
         "[write] expected metadata to be"},
        {:read!, &Safetensors.read!("x", &1), options, "[read] expected no options but"},
        {:load, &Mlx.IO.load("x.gguf", &1), options, "[load] expected no options but :only"},
        {:save, &Mlx.IO.save(&1, %{}), text, "[save] expected the path of a file"},
        {:save, &Mlx.IO.save("x.npy", &1), tensor, "[save] expected a tensor"},
        {:save, &Mlx.IO.save("x.npz", %{}, &1), options, "[save] expected no options but"},
        {:open!, &Checkpoint.open!("x", &1), options, "[open] expected no options but"},
        {:quantization, &Checkpoint.quantization(&1, "p"), none, "expected a checkpoint"},
        {:options, &Quantized.options/1, none, "[options] expected a Mlx.Quantized"},
        {:to_parameters, &Quantized.to_parameters/1, none, "expected a Mlx.Quantized"},
        {:from_parameters, &Quantized.from_parameters/1, none, ~s("weight" and "scales")},
        {:quantize, &Quantized.quantize(tensor([1.0]), &1), options, "expected no options but"},
        {:from_binary, &Mlx.Tensor.from_binary(&1, {:u, 8}, {0}), &is_binary/1,
         "[from_binary] expected a binary"},
        {:to_binary, &Mlx.Tensor.to_binary/1, tensor, "[to_binary] expected a tensor"}
      ]
  end

  defp program do
    type = {{:f, 32}, {}}
    %Program{handle: Mlx.NIF.program_build({[{0, "x", type}], [], [0]}, [])}
  end

  defp size?(value), do: is_integer(value) and value >= 0 and value < 2 ** 64

  # These answer whatever they get: a container, or false.
  @takes_all [:eval, :async_eval, :available?]
  # These need Nx, and have rows in test/nx.
  @need_nx [:grad, :value_and_grad, :vjp, :jvp, :jacobian, :hessian, :vmap] ++
             [:checkpoint, :stop_gradient, :custom_vjp]

  test "every public function has a row" do
    names = Enum.map(rows(), &elem(&1, 0)) ++ @takes_all ++ @need_nx

    for module <- [
          Mlx,
          Checkpoint,
          Device,
          GGUF,
          Mlx.IO,
          Mlx.Tensor,
          Memory,
          Program,
          Quantized,
          Safetensors,
          Stream
        ],
        {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(module),
        {{:function, name, arity}, _, _, doc, _} <- docs,
        arity > 0 and doc != :hidden do
      assert name in names, "no row for #{inspect(module)}.#{name}/#{arity}"
    end
  end

  test "arguments of every wrong kind raise, and the text names the function and what it wants" do
    for {name, function, takes?, text} <- rows(), value <- values(), not takes?.(value) do
      error = assert_raise ArgumentError, fn -> function.(value) end
      assert error.message =~ text, "#{name} of #{inspect(value)}: #{error.message}"
      assert error.message =~ ~r/^\[\w+\] .*got/s
    end
  end

  test "eval refuses what is no tensor any more, or never was one" do
    gone = tensor([1.0])
    Mlx.NIF.deallocate(gone)

    for eval <- [&Mlx.eval/1, &Mlx.async_eval/1],
        make <- [& &1, &[1, &1], &{&1, nil}, &%{a: &1}] do
      assert_raise ArgumentError, ~r/deallocated/, fn -> eval.(make.(gone)) end

      assert_raise ArgumentError, ~r/expected a tensor, got #Ref/, fn ->
        eval.(make.(make_ref()))
      end

      for other <- [nil, 1, "text", self()], do: assert(eval.(make.(other)) == make.(other))
    end
  end

  test "available? of anything else is false" do
    for value <- values(), do: refute(Device.available?(value))
  end
end
