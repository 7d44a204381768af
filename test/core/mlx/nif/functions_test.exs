defmodule Mlx.NIF.FunctionsTest do
  # It changes the memory limits.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.NIF

  @s32 {:s, 32}

  # What each function answers to good arguments.
  @answers [
    from_binary: "from_binary makes a tensor of type, shape and bytes",
    to_binary: "to_binary answers the first elements, at most all",
    little_binary: "little_binary answers up to 1 KiB of what is computed, and nil for all else",
    eval: "eval and async_eval compute a list of tensors",
    async_eval: "eval and async_eval compute a list of tensors",
    evaluated?: "evaluated? tells whether all of a list are computed",
    deallocate: "deallocate frees once",
    type_of: "from_binary makes a tensor of type, shape and bytes",
    copy: "a copy outlives the tensor",
    address: "address and from_address read where the elements lie",
    from_address: "address and from_address read where the elements lie",
    share: "share and claim hand elements over once",
    claim: "share and claim hand elements over once",
    op_composed: "op_composed tells an op that Nx lacks by others",
    nn_program: "nn_program makes programs of functions and layers",
    nn_rows: "nn_rows tells what there is by name",
    nn_matrices:
      "nn_matrices names the matrices of a layer, and nn_program brings them into other forms",
    nn_roles: "nn_roles and nn_summary tell what names are to training",
    nn_summary: "nn_roles and nn_summary tell what names are to training",
    safetensors_write: "safetensors_write and file_open keep tensors by name",
    file_open: "safetensors_write and file_open keep tensors by name",
    file_format: "safetensors_write and file_open keep tensors by name",
    file_tensors: "safetensors_write and file_open keep tensors by name",
    file_metadata: "safetensors_write and file_open keep tensors by name",
    file_read: "safetensors_write and file_open keep tensors by name",
    npy_read: "numpy's files and archives keep tensors",
    npy_write: "numpy's files and archives keep tensors",
    npz_read: "numpy's files and archives keep tensors",
    npz_write: "numpy's files and archives keep tensors",
    gguf_metadata: "gguf functions tell what only such files have",
    gguf_value: "gguf functions tell what only such files have",
    gguf_read_quantized: "gguf functions tell what only such files have",
    checkpoint_open: "checkpoints tell settings beside tensors",
    checkpoint_config: "checkpoints tell settings beside tensors",
    checkpoint_quantization: "checkpoints tell settings beside tensors",
    checkpoint_chat_template: "checkpoints tell settings beside tensors",
    adapter_read: "adapter_read answers what an adapter is",
    hub_pull: "hub_pull, hub_stop and hub_find bring files of hubs",
    hub_stop: "hub_pull, hub_stop and hub_find bring files of hubs",
    hub_find: "hub_pull, hub_stop and hub_find bring files of hubs",
    hub_is_repository: "hub_pull, hub_stop and hub_find bring files of hubs",
    hub_default_patterns: "hub_pull, hub_stop and hub_find bring files of hubs",
    llm_available: "llm functions load a model, ask it, and follow its texts",
    llm_load: "llm functions load a model, ask it, and follow its texts",
    llm_config: "llm functions load a model, ask it, and follow its texts",
    llm_info: "llm functions load a model, ask it, and follow its texts",
    llm_encode: "llm functions load a model, ask it, and follow its texts",
    llm_decode: "llm functions load a model, ask it, and follow its texts",
    llm_chat_prompt: "llm functions load a model, ask it, and follow its texts",
    llm_request: "llm functions load a model, ask it, and follow its texts",
    llm_start: "llm functions load a model, ask it, and follow its texts",
    llm_next: "llm functions load a model, ask it, and follow its texts",
    llm_stats: "llm functions load a model, ask it, and follow its texts",
    llm_close: "llm functions load a model, ask it, and follow its texts",
    llm_cache_prompt: "llm functions load a model, ask it, and follow its texts",
    llm_new_cache: "llm functions load a model, ask it, and follow its texts",
    llm_cache_info: "llm functions load a model, ask it, and follow its texts",
    llm_embedder_load: "embeddings come from a model of their own",
    llm_embed: "embeddings come from a model of their own",
    op: "op takes operands, attributes and the type of the result",
    op_many: "op_many answers all results",
    op_names: "op_names and op_attributes tell the registry",
    op_attributes: "op_names and op_attributes tell the registry",
    op_with_function: "op_with_function asks the process for the function's results",
    callback_reply: "op_with_function asks the process for the function's results",
    callback_failed: "callback_failed ends the op",
    stream_new: "a stream is a place for tensors and ops",
    synchronize: "a stream is a place for tensors and ops",
    default_device: "the default device is set and told",
    set_default_device: "the default device is set and told",
    set_f64_on_gpu: "f64 is computed in full, or an error on a GPU",
    available_devices: "the default device is set and told",
    memory: "memory counts what tensors hold",
    reset_peak_memory: "memory counts what tensors hold",
    clear_cache: "memory counts what tensors hold",
    set_cache_limit: "limits answer the ones before",
    set_memory_limit: "limits answer the ones before",
    mlx_version: "versions are texts",
    mlxc_provider: "versions are texts"
  ]

  test "every function of Mlx.NIF has a test here" do
    functions = Keyword.drop(NIF.__info__(:functions), [:load])
    tests = for test <- __MODULE__.__ex_unit__().tests, do: to_string(test.name)

    # Programs have a file of their own: program_test.exs.
    for {name, _arity} <- functions, not String.starts_with?("#{name}", "program_") do
      assert "test #{@answers[name]}" in tests, "no test of Mlx.NIF.#{name}"
    end
  end

  test "from_binary makes a tensor of type, shape and bytes" do
    for type <- Mlx.Dtype.all(), shape <- [{}, {3}, {2, 1, 2}, {0}] do
      {_, bits} = type
      bytes = :binary.copy(<<0>>, Enum.product(Tuple.to_list(shape)) * div(bits, 8))
      handle = NIF.from_binary({type, shape}, bytes, nil)
      assert NIF.type_of(handle) == {type, shape}
      assert NIF.to_binary(handle, 100) == bytes
    end

    assert NIF.type_of(NIF.from_binary({@s32, [1]}, <<7::32>>, :cpu)) == {@s32, {1}}
  end

  test "to_binary answers the first elements, at most all" do
    handle = tensor([1, 2, 3], {:s, 16})
    assert NIF.to_binary(handle, 0) == ""
    assert NIF.to_binary(handle, 2) == <<1::16-native, 2::16-native>>

    assert NIF.to_binary(handle, 0x7FFFFFFFFFFFFFFF) ==
             <<1::16-native, 2::16-native, 3::16-native>>

    # Long ones are not copied; the binary keeps the elements when the tensor goes.
    long = op(:iota, [], {@s32, {100_000}}, shape: {100_000}, type: @s32, axis: 0)
    binary = NIF.to_binary(long, 99_999)
    NIF.deallocate(long)
    :erlang.garbage_collect()
    assert binary == for(i <- 0..99_998, into: "", do: <<i::32-native>>)
  end

  test "eval and async_eval compute a list of tensors" do
    for eval <- [&NIF.eval/1, &NIF.async_eval/1] do
      a = tensor([1.0, 2.0])
      b = op(:add, [a, a], {{:f, 32}, {2}})
      c = op(:multiply, [b, a], {{:f, 32}, {2}})
      assert eval.([]) == :ok
      assert eval.([a, b, c, c]) == :ok
      assert values(c) == [2.0, 8.0]
      assert eval.([c]) == :ok
    end
  end

  test "little_binary answers up to 1 KiB of what is computed, and nil for all else" do
    handle = NIF.from_binary({@s32, {257}}, <<7::32-native, 0::size(256 * 32)>>, nil)
    assert NIF.little_binary(handle, 1) == <<7::32-native>>
    assert NIF.little_binary(handle, 0) == ""
    assert byte_size(NIF.little_binary(handle, 256)) == 1024
    assert NIF.little_binary(handle, 257) == nil
    assert NIF.little_binary(handle, -1) == nil
    assert NIF.little_binary(make_ref(), 1) == nil
    NIF.deallocate(handle)
    assert NIF.little_binary(handle, 1) == nil
  end

  test "evaluated? tells whether all of a list are computed" do
    a = tensor([1.0])
    b = op(:iota, [], {@s32, {100_000}}, shape: {100_000}, type: @s32, axis: 0)
    assert NIF.evaluated?([])
    assert NIF.evaluated?([a])
    refute NIF.evaluated?([a, b])
    NIF.eval([b])
    assert NIF.evaluated?([a, b])

    # Refusing is eval's.
    NIF.deallocate(a)
    refute NIF.evaluated?([a, b])
    refute NIF.evaluated?([make_ref()])
    refute NIF.evaluated?(:not_a_list)
  end

  test "deallocate frees once" do
    handle = tensor([1.0])
    assert NIF.deallocate(handle) == :ok
    assert NIF.deallocate(handle) == :already_deallocated
    assert_raise ArgumentError, ~r/deallocated/, fn -> NIF.to_binary(handle, 1) end
  end

  test "a graph keeps what it was built of" do
    handle = tensor([1.0, 2.0])
    sum = op(:add, [handle, handle], {{:f, 32}, {2}})
    NIF.deallocate(handle)
    assert values(sum) == [2.0, 4.0]
  end

  test "a copy outlives the tensor" do
    handle = tensor([1.0, 2.0])
    copy = NIF.copy(handle)
    NIF.deallocate(handle)
    assert values(copy) == [1.0, 2.0]
  end

  test "address and from_address read where the elements lie" do
    handle = tensor([1, 2, 3])
    doubled = op(:add, [handle, handle], {{:f, 32}, {3}})
    address = NIF.address(doubled)
    assert is_integer(address) and address > 0
    assert NIF.address(doubled) == address
    copy = NIF.from_address(address, {{:f, 32}, {3, 1}})
    NIF.deallocate(doubled)
    assert NIF.type_of(copy) == {{:f, 32}, {3, 1}}
    assert values(copy) == [2.0, 4.0, 6.0]

    # Nothing lies at 0, and nothing is read there.
    assert values(NIF.from_address(0, {{:f, 32}, {0}})) == []
  end

  test "share and claim hand elements over once" do
    name = NIF.share(tensor([1, 2, 3]), 0o400)
    assert "/mlxnx_" <> _ = name
    assert values(NIF.claim(name, {{:f, 32}, {3, 1}})) == [1.0, 2.0, 3.0]
    assert_raise ArgumentError, ~r/No such file/, fn -> NIF.claim(name, {{:f, 32}, {3, 1}}) end
  end

  test "op_composed tells an op that Nx lacks by others" do
    key = NIF.from_binary({{:u, 32}, {2}}, <<0::32, 42::native-32>>, nil)

    for {type, shape} <- [{{:u, 32}, {5}}, {{:u, 16}, {3}}, {{:u, 8}, {2, 3}}] do
      attributes = [shape: Tuple.to_list(shape), type: type]
      bits = NIF.op(:random_bits, [key], attributes, {type, shape}, nil)
      types = [{{:u, 32}, {2}}]
      program = NIF.op_composed(:random_bits, types, attributes, [{type, shape}])
      assert [same] = NIF.program_run(program, [key], [], nil)
      assert NIF.to_binary(same, 100) == NIF.to_binary(bits, 100)
    end

    assert_raise Mlx.UnsupportedError, ~r/made of no other ops/, fn ->
      NIF.op_composed(:add, [{@s32, {1}}, {@s32, {1}}], [], [{@s32, {1}}])
    end
  end

  test "nn_program makes programs of functions and layers" do
    elu = NIF.nn_program({:function, :activation, :elu, [true], [alpha: 2.0]}, [{{:f, 32}, {2}}])
    [y] = NIF.program_run(elu, [tensor([-1.0e3, 3.0])], [], nil)
    assert values(y) == [-2.0, 3.0]

    options = [input_dims: 2, output_dims: 1]
    key = {{:u, 32}, {2}}
    init = NIF.nn_program({:layer_init, :linear, options, []}, [key])
    assert {[{_, ^key}], [{{:f, 32}, {1, 2}}, {{:f, 32}, {1}}]} = NIF.program_signature(init)
    assert NIF.program_output_names(init) == ["weight", "bias"]

    types = [{{:f, 32}, {1}}, {{:f, 32}, {1, 2}}, {{:f, 32}, {2}}]
    layer = NIF.nn_program({:layer, :linear, options, [], ["bias", "weight"], [true], []}, types)

    inputs = [
      tensor([0.5]),
      NIF.from_binary({{:f, 32}, {1, 2}}, <<1.0::float-32-native, 10.0::float-32-native>>, nil)
    ]

    [y] = NIF.program_run(layer, inputs ++ [tensor([2.0, 3.0])], [], nil)
    assert values(y) == [32.5]
  end

  test "nn_program refuses what is no callable, and tensors that do not fit it" do
    type = {{:f, 32}, {2}}

    for {callable, types, text} <- [
          {:elu, [type], ~r/expected a callable, got elu/},
          {{:function, :activation, :elu}, [type], ~r/expected a callable/},
          {{:function, :song, :elu, [true], []}, [type], ~r/no family of functions called song/},
          {{:function, :activation, :elu, [true], []}, [], ~r/too few tensors/},
          {{:function, :activation, :elu, [true], []}, [type, type], ~r/too many tensors/},
          {{:function, :activation, :elu, [true, true], []}, [type, type], ~r/takes at most 1/},
          {{:function, :activation, :elu, [false], []}, [], ~r/needs the operand x/},
          {{:function, :activation, :elu, [true], [beta: 1]}, [type], ~r/has no attribute beta/},
          {{:layer, :linear, [input_dims: 2, output_dims: 1], [], ["a"], [true], []},
           [type, type], ~r/weight/},
          {{:layer, :linear, [input_dims: 2, output_dims: 1], [], ["a", "b"], [], []}, [type],
           ~r/too few tensors/},
          {{:layer_init, :linear, [input_dims: 2, output_dims: 1], []}, [], ~r/too few tensors/},
          {{:layer_init, :linear, [input_dims: 2, output_dims: 1], []}, [type], ~r/u32/}
        ] do
      assert_raise ArgumentError, text, fn -> NIF.nn_program(callable, types) end
    end

    assert_raise Mlx.UnsupportedError, ~r/no such activation/, fn ->
      NIF.nn_program({:function, :activation, :song, [true], []}, [type])
    end
  end

  test "nn_matrices names the matrices of a layer, and nn_program brings them into other forms" do
    options = [input_dims: 64, output_dims: 2]
    assert NIF.nn_matrices(:linear, options) == [""]
    assert NIF.nn_matrices(:relu, []) == []
    layer = [dims: 4, num_heads: 2]

    assert NIF.nn_matrices(:transformer_encoder_layer, layer) ==
             ~w(attention.query_proj attention.key_proj attention.value_proj attention.out_proj linear1 linear2)

    key = {{:u, 32}, {2}}
    form = {"", [bits: 8], :to_lora, [rank: 3]}
    names = ["weight", "bias"]
    types = [{{:f, 32}, {2, 64}}, {{:f, 32}, {2}}, key]
    reform = &{:layer_reform, :linear, options, &1, &2, "", names}
    program = NIF.nn_program(reform.([], [form]), types)
    outputs = ~w(weight bias scales biases lora_a lora_b)
    assert NIF.program_output_names(program) == outputs
    assert {_, [{{:u, 32}, {2, 16}} | _]} = NIF.program_signature(program)
    init = NIF.nn_program({:layer_init, :linear, options, [form]}, [key])
    assert NIF.program_output_names(init) == outputs

    for {forms, text} <- [
          {[{"head", nil, nil, []}], ~r/\[linear\] there is no matrix head/},
          {[{"", [bits: 7], nil, []}], ~r/bits/},
          {[{"", [rank: 7], nil, []}], ~r/no attribute rank/},
          {[{"", nil, :to_lora, [bits: 7]}], ~r/\[to_lora\].*no attribute bits/},
          {[{"", nil, :to_dora, [rank: 0]}], ~r/\[to_dora\] rank is 0/},
          {[{"", nil, nil}], ~r/a form/},
          {["head"], ~r/a form/}
        ],
        do: assert_raise(ArgumentError, text, fn -> NIF.nn_program(reform.([], forms), types) end)

    assert_raise ArgumentError, ~r/too few tensors/, fn ->
      NIF.nn_program(reform.([], [form]), Enum.take(types, 2))
    end
  end

  test "nn_roles and nn_summary tell what names are to training" do
    assert NIF.nn_roles(~w(a.weight a.lora_b bn.running_var m)) ==
             ~w(parameter adapter statistic adapter)

    table = NIF.nn_summary(["a", "b"], [{{:f, 32}, {2, 3}}, {@s32, {}}], ["a"])
    assert [_, a, b, total] = String.split(table, "\n", trim: true)
    assert String.split(a) == ["a", "f32", "{2,", "3}", "yes", "24"]
    assert String.split(b) == ~w(b s32 {} no 4)
    assert String.split(total) == ~w(total 6 of 7 28)
    assert_raise ArgumentError, fn -> NIF.nn_summary(["a"], [], []) end
  end

  @tag :tmp_dir
  test "safetensors_write and file_open keep tensors by name", %{tmp_dir: folder} do
    path = Path.join(folder, "x.safetensors")
    tensors = [tensor([1, 2]), tensor([3])]
    assert NIF.safetensors_write(path, ["a", "b.c"], tensors, ["step", "7"]) == :ok
    file = NIF.file_open(path)
    assert NIF.file_format(file) == "safetensors"
    one = {"a", {{:f, 32}, {2}}, "f32", 8}
    assert NIF.file_tensors(file) == [one, {"b.c", {{:f, 32}, {1}}, "f32", 4}]
    assert NIF.file_metadata(file) == [{"step", "7"}]

    assert [{c, {{:f, 32}, {1}}}, {a, {{:f, 32}, {2}}}] = NIF.file_read(file, ["b.c", "a"], nil)
    assert {values(a), values(c)} == {[1.0, 2.0], [3.0]}
    assert NIF.file_read(file, [], nil) == []

    assert_raise ArgumentError, ~r/has no tensor "d" among its 2/, fn ->
      NIF.file_read(file, ["a", "d"], nil)
    end

    write = &NIF.safetensors_write(path, &1, &2, &3)
    assert_raise ArgumentError, fn -> write.(["a"], [], []) end
    assert_raise ArgumentError, fn -> write.(["a"], [tensor([1])], ["key"]) end
    assert_raise ArgumentError, ~r/two tensors/, fn -> write.(["a", "a"], tensors, []) end
    assert_raise ArgumentError, ~r/UTF-8/, fn -> write.([<<255>>], [tensor([1])], []) end
    assert File.ls!(folder) == ["x.safetensors"]

    for other <- [make_ref(), tensor([1]), nil] do
      assert_raise ArgumentError, ~r/expected an open file/, fn -> NIF.file_tensors(other) end
    end
  end

  @tag :tmp_dir
  test "numpy's files and archives keep tensors", %{tmp_dir: folder} do
    path = Path.join(folder, "x")
    assert NIF.npy_write(path, tensor([1, 2])) == :ok
    assert {x, {{:f, 32}, {2}}} = NIF.npy_read(path, nil)
    assert values(x) == [1.0, 2.0]

    try do
      for compressed? <- [true, false] do
        assert NIF.npz_write(path, ["a"], [tensor([3])], compressed?) == :ok
        assert [{"a", {a, {{:f, 32}, {1}}}}] = NIF.npz_read(path, nil)
        assert values(a) == [3.0]
      end

      assert_raise ArgumentError, fn -> NIF.npz_write(path, ["a"], [], true) end
    rescue
      error in Mlx.UnsupportedError -> assert error.message =~ "libzip"
    end
  end

  @tag :tmp_dir
  test "gguf functions tell what only such files have", %{tmp_dir: folder} do
    path = Path.join(folder, "x.gguf")
    # A block of 32 of Q8_0: a scale of 2 and integers.
    block = <<2.0::float-16-little>> <> for(i <- 1..32, into: "", do: <<i>>)

    tensors = [
      {"q", 8, {2, 32}, block <> block},
      {"v", 0, {2}, <<1.0::float-32-little, 2.0::float-32-little>>}
    ]

    Mlx.GgufFiles.write!(path, [{"a", {:text, "x"}}, {"b", {:list, {:s8, [1, -1]}}}], tensors)
    file = NIF.file_open(path)
    assert NIF.gguf_metadata(file) == [{"a", "x"}, {"b", [1, -1]}]
    assert {NIF.gguf_value(file, "b"), NIF.gguf_value(file, "c")} == {[[1, -1]], []}

    assert [{{"affine", 8, 32}, [{words, {{:u, 32}, {2, 8}}}, {scales, _}, {_biases, _}]}, nil] =
             NIF.gguf_read_quantized(file, ["q", "v"], nil)

    assert values(words) |> length() == 16
    assert {{:f, 16}, {2, 1}} = NIF.type_of(scales)
    other = Path.join(folder, "x.safetensors")
    NIF.safetensors_write(other, [], [], [])

    assert_raise ArgumentError, ~r/a .gguf file/, fn ->
      NIF.gguf_metadata(NIF.file_open(other))
    end

    assert NIF.gguf_read_quantized(file, [], nil) == []
  end

  @tag :tmp_dir
  test "checkpoints tell settings beside tensors", %{tmp_dir: folder} do
    words = NIF.from_binary({{:u, 32}, {2, 8}}, <<0::512>>, nil)
    scales = NIF.from_binary({{:f, 32}, {2, 1}}, <<0::64>>, nil)
    path = Path.join(folder, "model.safetensors")
    NIF.safetensors_write(path, ["p.weight", "p.scales"], [words, scales], [])
    settings = ~s({"bits": 4, "group_size": 64, "p": {"bits": 4, "group_size": 64}})

    json =
      ~s({"a": [1, -2, 1.5, "x", null, true, {}], "big": 18446744073709551615, "quantization": #{settings}})

    File.write!(Path.join(folder, "config.json"), json)
    File.write!(Path.join(folder, "chat_template.jinja"), "{{ messages }}")
    checkpoint = NIF.checkpoint_open(folder, false)
    assert NIF.file_format(checkpoint) == "folder"

    assert %{"a" => [1, -2, 1.5, "x", nil, true, %{}], "big" => 18_446_744_073_709_551_615} =
             NIF.checkpoint_config(checkpoint)

    assert [{"p.scales", {{:f, 32}, {2, 1}}, "f32", 8}, {"p.weight", _, "u32", 64}] =
             NIF.file_tensors(checkpoint)

    assert NIF.file_metadata(checkpoint) == []
    assert [{_, {{:u, 32}, {2, 8}}}] = NIF.file_read(checkpoint, ["p.weight"], nil)
    assert NIF.checkpoint_quantization(checkpoint, "p") == {"affine", 4, 64}
    assert NIF.checkpoint_quantization(checkpoint, "q") == nil
    assert NIF.checkpoint_chat_template(checkpoint) == "{{ messages }}"
    alone = NIF.checkpoint_open(path, true)
    assert NIF.checkpoint_chat_template(alone) == nil
    assert NIF.file_format(alone) == "safetensors"
    file = NIF.file_open(path)
    assert_raise ArgumentError, ~r/a checkpoint/, fn -> NIF.checkpoint_config(file) end
  end

  @tag :tmp_dir
  test "adapter_read answers what an adapter is", %{tmp_dir: folder} do
    config = ~s({"fine_tune_type": "dora", "lora_parameters": {"scale": 20}})
    File.write!(Path.join(folder, "adapter_config.json"), config)
    path = Path.join(folder, "adapters.safetensors")
    NIF.safetensors_write(path, ["q.m"], [tensor([1])], [])

    assert {:dora, %{"fine_tune_type" => "dora"}, 20.0, [{"q.m", {m, {{:f, 32}, {1}}}}]} =
             NIF.adapter_read(folder, nil)

    assert values(m) == [1.0]
  end

  test "hub_pull, hub_stop and hub_find bring files of hubs" do
    options =
      {"main", NIF.hub_default_patterns(), [], nil, "http://127.0.0.1:9", "/none", true, false}

    assert NIF.hub_is_repository("owner/name")
    refute NIF.hub_is_repository("./owner/name")
    assert NIF.hub_find("owner/name", nil, options) == nil
    assert NIF.hub_find("owner/name", "config.json", options) == nil
    ref = make_ref()
    download = NIF.hub_pull(ref, "owner/name", nil, options, true)
    assert_receive {^ref, :failed, %Mlx.HubError{message: "[hub] owner/name at main is not" <> _}}
    assert NIF.hub_stop(download) == :ok

    assert_raise ArgumentError, ~r/a download, got/, fn -> NIF.hub_stop(make_ref()) end
    assert_raise ArgumentError, ~r/options of a hub/, fn -> NIF.hub_find("a/b", nil, {}) end
    assert_raise ArgumentError, ~r/name of a repo/, fn -> NIF.hub_find("", nil, options) end
  end

  @tag :tmp_dir
  test "llm functions load a model, ask it, and follow its texts", %{tmp_dir: folder} do
    Mlx.TinyModel.write!(folder)

    if NIF.llm_available() do
      model = NIF.llm_load(folder, nil, false, nil) |> Mlx.Memory.collected()
      assert NIF.llm_config(model)["model_type"] == "llama"
      assert NIF.llm_info(model) == {"llama", [257]}
      assert NIF.llm_encode(model, "ab", true) == ~c"ab"
      assert NIF.llm_decode(model, ~c"ab", false) == "ab"
      chat = &NIF.llm_chat_prompt(model, [%{role: "user", content: "a"}], [], &1)
      assert NIF.llm_encode(model, chat.(false), false) == chat.(true)

      request = NIF.llm_request(model, {:tokens, ~c"abc"}, [max_tokens: 1], false, nil)
      generation = NIF.llm_start(request, nil)
      assert NIF.llm_next(generation, 0) == [{:prompt, 2, 3}]
      assert [{:piece, token, _text, :length, nil, nil}] = NIF.llm_next(generation, 0)
      assert token in 0..257
      assert NIF.llm_next(generation, 1000) == []
      again = NIF.llm_start(request, nil)
      assert [{:prompt, 2, 3}, {:piece, ^token, _, _, _, _}] = NIF.llm_next(again, 10_000)
      assert %{prompt_tokens: 3, generation_tokens: 1} = NIF.llm_stats(generation)
      assert NIF.llm_close(generation) == :ok
      assert NIF.llm_close(generation) == :ok
      assert NIF.llm_stats(generation) == nil
      path = Path.join(folder, "cache.safetensors")
      assert NIF.llm_cache_prompt(model, {:text, "abc"}, [], path, nil) == 3

      cache = NIF.llm_new_cache(model)
      options = [max_tokens: 1, cache: cache]

      generation =
        model |> NIF.llm_request({:tokens, ~c"abc"}, options, false, nil) |> NIF.llm_start(nil)

      assert [_, _] = NIF.llm_next(generation, 10_000)
      assert {3, bytes} = NIF.llm_cache_info(cache)
      assert bytes > 0

      for {prompt, text} <- [{{:song, ""}, ~r/a prompt/}, {:text, ~r/a prompt/}] do
        assert_raise ArgumentError, text, fn ->
          NIF.llm_request(model, prompt, [], false, nil)
        end
      end
    else
      assert_raise Mlx.UnsupportedError, ~r/cargo/, fn ->
        NIF.llm_load(folder, nil, false, nil)
      end
    end

    assert_raise ArgumentError, ~r/a language model, got/, fn -> NIF.llm_config(make_ref()) end
    assert_raise ArgumentError, ~r/a cache of/, fn -> NIF.llm_cache_info(make_ref()) end
    assert_raise ArgumentError, ~r/a request, got/, fn -> NIF.llm_start(nil, nil) end
    assert_raise ArgumentError, ~r/a generation, got/, fn -> NIF.llm_next(make_ref(), 0) end
  end

  @tag :tmp_dir
  test "embeddings come from a model of their own", %{tmp_dir: folder} do
    Mlx.TinyBert.write!(folder)

    if NIF.llm_available() do
      {model, defaults} = NIF.llm_embedder_load(folder, nil, false, nil) |> Mlx.Memory.collected()
      assert defaults == {:mean, true, 16}

      {ref, type} =
        NIF.llm_embed(model, ["the cat"], [pooling: :cls], nil) |> Mlx.Memory.collected()

      assert type == {{:f, 32}, {1, 8}}
      assert NIF.type_of(ref) == type
      assert_raise ArgumentError, ~r/a text, got/, fn -> NIF.llm_embed(model, [1], [], nil) end
    else
      assert_raise Mlx.UnsupportedError, fn -> NIF.llm_embedder_load(folder, nil, false, nil) end
    end

    assert_raise ArgumentError, ~r/a model of embeddings, got/, fn ->
      NIF.llm_embed(make_ref(), ["a"], [], nil)
    end
  end

  test "nn_rows tells what there is by name" do
    rows = NIF.nn_rows()
    assert {"activation", "prelu", ["x", "alpha"], [], []} in rows
    assert {"layer", "linear", ["x"], ["input_dims", "output_dims", "bias"], []} in rows
  end

  test "op takes operands, attributes and the type of the result" do
    handle = tensor([1, 2, 3], @s32)
    assert values(op(:add, [handle, handle], {@s32, {3}})) == [2, 4, 6]
    assert values(op(:add, [handle, handle], {{:f, 64}, {3}})) == [2.0, 4.0, 6.0]
    assert values(op(:sum, [handle], {@s32, {1}}, axes: [-1], keep_axes: true)) == [6]
    assert values(op(:sum, [handle], {@s32, {}}, axes: nil)) == [6]
    assert values(op(:slice, [handle], {@s32, {1}}, starts: [2], lengths: [1])) == [3]

    # A start that is computed is an operand.
    start = tensor([1], @s32) |> then(&op(:reshape, [&1], {@s32, {}}, shape: {}))
    starts = [starts: [{:operand, 1}], lengths: [2]]
    assert values(op(:slice, [handle, start], {@s32, {2}}, starts)) == [2, 3]
  end

  test "attributes hold every kind of number" do
    for {value, type, expected} <- [
          {18_446_744_073_709_551_615, {:u, 64}, [18_446_744_073_709_551_615]},
          {-9_223_372_036_854_775_808, {:s, 64}, [-9_223_372_036_854_775_808]},
          {1.0e300, {:f, 64}, [1.0e300]}
        ] do
      out = {type, {}}
      assert values(op(:constant, [], out, value: value, type: type, shape: {})) == expected
    end

    bits =
      for value <- [:nan, :infinity, :neg_infinity] do
        attributes = [value: value, type: {:f, 32}, shape: {}]
        <<bits::32-native>> = NIF.to_binary(op(:constant, [], {{:f, 32}, {}}, attributes), 1)
        bits
      end

    assert bits == [0x7FC00000, 0x7F800000, 0xFF800000]

    complex = %{__struct__: Complex, re: 1.0, im: :neg_infinity}
    attributes = [value: complex, type: {:c, 64}, shape: {}]

    assert <<1.0::float-32-native, 0xFF800000::32-native>> =
             NIF.to_binary(op(:constant, [], {{:c, 64}, {}}, attributes), 1)
  end

  test "op_many answers all results" do
    identity = op(:eye, [], {{:f, 32}, {2, 2}}, shape: {2, 2}, type: {:f, 32})
    type = {{:f, 32}, {2, 2}}

    assert [q, r] =
             NIF.op_many(
               :"block:LinAlg.QR",
               [identity],
               [mode: :reduced, eps: 1.0e-10],
               [type, type],
               nil
             )

    assert Enum.map(values(q), &abs/1) == [1.0, 0.0, 0.0, 1.0]
    assert Enum.map(values(r), &abs/1) == [1.0, 0.0, 0.0, 1.0]
  end

  test "op_names and op_attributes tell the registry" do
    names = NIF.op_names()
    assert length(names) == length(Enum.uniq(names))
    assert "add" in names and "block:LinAlg.SVD" in names

    for name <- names do
      attributes = NIF.op_attributes(String.to_atom(name))
      assert Enum.all?(attributes, &is_binary/1)
    end

    assert NIF.op_attributes(:add) == []
    assert NIF.op_attributes(:sum) == ["axes", "keep_axes"]
  end

  test "op_with_function asks the process for the function's results" do
    handle = tensor([1, 2, 3], @s32)
    zero = op(:constant, [], {@s32, {}}, value: 0, type: @s32, shape: {})
    ref = make_ref()
    session = NIF.op_with_function(ref, :reduce, [handle, zero], [axes: [0]], {@s32, {}}, nil)

    results =
      Stream.repeatedly(fn ->
        receive do
          {^ref, :call, [element, accumulator]} ->
            {_, shape} = NIF.type_of(accumulator)
            sum = op(:add, [element, accumulator], {@s32, shape})
            assert NIF.callback_reply(session, [sum]) == :ok
            nil

          {^ref, :done, [result]} ->
            result
        after
          5000 -> flunk("no answer")
        end
      end)

    assert values(Enum.find(results, & &1)) == [6]
  end

  test "callback_failed ends the op" do
    handle = tensor([1, 2, 3], @s32)
    zero = op(:constant, [], {@s32, {}}, value: 0, type: @s32, shape: {})
    ref = make_ref()
    session = NIF.op_with_function(ref, :reduce, [handle, zero], [axes: [0]], {@s32, {}}, nil)
    assert_receive {^ref, :call, [_, _]}, 5000
    assert NIF.callback_failed(session) == :ok
    assert_receive {^ref, :failed, %Mlx.Error{message: "[callback] the function raised"}}, 5000
    # Too late, and harmless.
    assert NIF.callback_reply(session, [handle]) == :ok
    assert NIF.callback_failed(session) == :ok
  end

  test "a stream is a place for tensors and ops" do
    for device <- NIF.available_devices() do
      stream = NIF.stream_new(device)
      handle = NIF.from_binary({@s32, {2}}, <<1::32-native, 2::32-native>>, stream)
      assert values(op(:add, [handle, handle], {@s32, {2}}, [], stream)) == [2, 4]
      assert NIF.synchronize(stream) == :ok
      assert NIF.synchronize(device) == :ok
    end

    assert NIF.synchronize(nil) == :ok
  end

  test "the default device is set and told" do
    devices = NIF.available_devices()
    assert :cpu in devices
    before = NIF.default_device()
    assert before in devices
    on_exit(fn -> NIF.set_default_device(before) end)

    for device <- devices do
      assert NIF.set_default_device(device) == :ok
      assert NIF.default_device() == device
    end
  end

  test "f64 is computed in full, or an error on a GPU" do
    on_exit(fn -> NIF.set_f64_on_gpu(:cpu) end)
    f64 = fn -> NIF.from_binary({{:f, 64}, {}}, <<3.0::float-native>>, nil) end

    assert NIF.set_f64_on_gpu(:cpu) == :ok
    negated = NIF.op(:negate, [f64.()], [], {{:f, 64}, {}}, nil)
    assert negated |> Mlx.Memory.collected() |> NIF.to_binary(1) == <<-3.0::float-native>>

    assert NIF.set_f64_on_gpu(:raise) == :ok

    if NIF.default_device() == :gpu do
      assert_raise Mlx.UnsupportedError, f64
    else
      assert NIF.to_binary(f64.(), 1) == <<3.0::float-native>>
    end
  end

  test "memory counts what tensors hold" do
    before = settled_memory()
    assert NIF.reset_peak_memory() == :ok
    handle = numbers(1_000_000)
    NIF.eval([handle])
    info = NIF.memory()
    assert Enum.sort(Map.keys(info)) == [:active_bytes, :cache_bytes, :limit_bytes, :peak_bytes]
    assert info.active_bytes >= before + 4_000_000
    assert info.peak_bytes >= info.active_bytes
    NIF.deallocate(handle)
    assert settled_memory() < before + 4_000_000
    assert NIF.clear_cache() == :ok
    assert NIF.memory().cache_bytes == 0
  end

  test "limits answer the ones before" do
    for set <- [&NIF.set_memory_limit/1, &NIF.set_cache_limit/1] do
      before = set.(1_000_000_000)
      assert is_integer(before) and before >= 0
      on_exit(fn -> set.(before) end)
      # MLX 0.31 has no cache on the CPU and answers 0.
      assert set.(before) in [1_000_000_000, 0]
    end
  end

  test "versions are texts" do
    assert NIF.mlx_version() =~ ~r/^\d+\.\d+/
    assert NIF.mlxc_provider() in ["system", "fetch", "bundled"]
  end
end
