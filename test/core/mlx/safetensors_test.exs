defmodule Mlx.SafetensorsTest do
  use ExUnit.Case, async: true

  import Mlx.Handles
  alias Mlx.Safetensors

  doctest Mlx.Safetensors
  doctest Mlx.Tensor
  doctest Mlx.IO

  @moduletag :tmp_dir

  defp path(folder, name \\ "x.safetensors"), do: Path.join(folder, name)
  defp elements(tensor), do: tensor |> Mlx.Handle.fetch() |> values()

  # A file whose header and elements are given.
  defp write_raw!(path, header, elements, length \\ nil),
    do: File.write!(path, [<<length || byte_size(header)::64-little>>, header, elements])

  test "tensors of every type come back under their names", %{tmp_dir: folder} do
    named =
      for {_, bits} = type <- Mlx.Dtype.all(), shape <- [{}, {3}, {2, 1, 2}, {0}], into: %{} do
        bytes = :binary.copy(<<1>>, Enum.product(Tuple.to_list(shape)) * div(bits, 8))
        {inspect({type, shape}), {type, shape, bytes}}
      end

    tensors =
      Map.new(named, fn {k, {type, shape, bytes}} ->
        {k, Mlx.Tensor.from_binary(bytes, type, shape)}
      end)

    assert Safetensors.write!(path(folder), tensors, %{"é" => "ü"}) == :ok
    file = Safetensors.open!(path(folder))
    assert Safetensors.metadata(file) == %{"é" => "ü"}
    assert Enum.sort(Safetensors.names(file)) == Enum.sort(Map.keys(named))
    read = Safetensors.read(file)
    assert map_size(read) == map_size(named)

    for {name, {type, shape, bytes}} <- named do
      assert {read[name].type, read[name].shape} == {type, shape}
      assert Mlx.Tensor.to_binary(read[name]) == bytes
      assert %{type: ^type, shape: ^shape, stored: _, bytes: size} = Safetensors.info(file)[name]
      assert size == byte_size(bytes)
    end

    assert File.ls!(folder) == ["x.safetensors"]
  end

  test "what MLX lacks becomes what holds it", %{tmp_dir: folder} do
    header =
      ~s({"b": {"dtype": "BOOL", "shape": [3], "data_offsets": [0, 3]}, ) <>
        ~s("e": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [3, 5]}})

    write_raw!(path(folder), header, <<0, 1, 7, 0x38, 0xB8>>)
    file = Safetensors.open!(path(folder))

    assert Safetensors.info(file) == %{
             "b" => %{type: {:u, 8}, shape: {3}, stored: "bool", bytes: 3},
             "e" => %{type: {:bf, 16}, shape: {2}, stored: "f8_e4m3", bytes: 2}
           }

    assert Mlx.Tensor.to_binary(Safetensors.read(file, "b")) == <<0, 1, 1>>

    assert Mlx.Tensor.to_binary(Safetensors.read(file, "e")) ==
             <<0x3F80::16-native, 0xBF80::16-native>>
  end

  test "some are meant by names, by what they are like, and by a function", %{tmp_dir: folder} do
    tensors = for i <- 1..12, do: {"layers.#{i}", tensor([i])}
    Safetensors.write!(path(folder), tensors)

    names = fn only ->
      path(folder) |> Safetensors.read!(only: only) |> Map.keys() |> Enum.sort()
    end

    assert names.(~r/1$/) == ["layers.1", "layers.11"]
    assert names.(&String.ends_with?(&1, "2")) == ["layers.12", "layers.2"]
    assert names.(["layers.3", "layers.3"]) == ["layers.3"]
    assert names.([]) == []
    assert %{"layers.7" => seven} = Safetensors.read!(path(folder), only: ["layers.7"])
    assert elements(seven) == [7.0]

    for lazy <- [true, false] do
      message =
        ~r/\[read\] .*x.safetensors has no tensor "layer.3" among its 12; the nearest is "layers.3"/

      assert_raise ArgumentError, message, fn ->
        Safetensors.read!(path(folder), only: ["layer.3"], lazy: lazy)
      end
    end

    file = Safetensors.open!(path(folder))

    for bad <- ["layers.1", :all, [1], ["layers.1" | "x"], fn -> true end] do
      assert_raise ArgumentError, ~r/\[read\] expected :only to be a list of names/, fn ->
        Safetensors.read(file, only: bad)
      end
    end

    assert_raise ArgumentError, ~r/no options but :only, :lazy/, fn ->
      Safetensors.read(file, names: [])
    end

    assert_raise ArgumentError, ~r/no options but/, fn -> Safetensors.read(file, :all) end
    assert_raise ArgumentError, ~r/:lazy to be/, fn -> Safetensors.read(file, lazy: 1) end
    assert_raise ArgumentError, ~r/has no tensor/, fn -> Safetensors.read(file, <<255>>) end

    assert_raise ArgumentError, ~r/\[names\] expected a file of/, fn ->
      Safetensors.names(path(folder))
    end
  end

  test "lazy tensors are read when they are asked for", %{tmp_dir: folder} do
    Safetensors.write!(path(folder), %{"a" => tensor([1, 2])})
    assert %{"a" => lazy} = Safetensors.reader(path(folder))
    assert {lazy.type, lazy.shape} == {{:f, 32}, {2}}
    # The open file stays the one that it was.
    Safetensors.write!(path(folder), %{"b" => tensor([3])})
    assert lazy |> Mlx.LazyTensor.read() |> elements() == [1.0, 2.0]
  end

  test "a file that is replaced or removed stays what it was for who has it open", %{
    tmp_dir: folder
  } do
    # Of several pages, of which none was looked at yet.
    Safetensors.write!(path(folder), %{"a" => numbers(100_000)})
    file = Safetensors.open!(path(folder))
    before = Safetensors.read(file, "a")
    Safetensors.write!(path(folder), %{"a" => full({100_000}, 5.0)})
    after_it = Safetensors.read(file, "a")
    File.rm!(path(folder))
    assert List.last(elements(before)) == 99_999.0
    assert List.last(elements(after_it)) == 99_999.0
  end

  test "what was read can be written where it was read from", %{tmp_dir: folder} do
    Safetensors.write!(path(folder), %{"a" => numbers(100_000), "b" => tensor([1])})
    tensors = Safetensors.read!(path(folder))
    Safetensors.write!(path(folder), Map.put(tensors, "c", tensor([2])))
    read = Safetensors.read!(path(folder))
    assert Enum.sum(elements(read["a"])) == Enum.sum(0..99_999) * 1.0
    assert {elements(read["b"]), elements(read["c"])} == {[1.0], [2.0]}
  end

  test "a file that is none of the format is refused with its name and why", %{tmp_dir: folder} do
    one = ~s({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})

    for {what, header, elements, length} <- [
          {"empty", "", "", nil},
          {"cut short", one, <<0::32>>, nil},
          {"a byte too many", one, <<0::72>>, nil},
          {"a header longer than the file", one, <<0::64>>, 100_000_000},
          {"a header of 2^63 bytes", one, <<0::64>>, 0x8000000000000000},
          {"no JSON", "{]", "", nil},
          {"deep", String.duplicate("[", 100_000), "", nil},
          {"a name that is no UTF-8",
           ~s({"\xff": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}), "", nil},
          {"a size that does not fit", String.replace(one, "[2]", "[3]"), <<0::64>>, nil},
          {"a negative size", String.replace(one, "[2]", "[-2]"), <<0::64>>, nil},
          {"a huge size", String.replace(one, "[2]", "[4611686018427387904, 4]"), <<0::64>>, nil}
        ] do
      write_raw!(path(folder), header, elements, length)

      for read <- [&Safetensors.read!/1, &Safetensors.open!/1, &Mlx.IO.load/1] do
        error = assert_raise Mlx.FormatError, fn -> read.(path(folder)) end
        assert error.message =~ ~r/^\[(read|open|load)\] .*x\.safetensors: ./, what
        assert String.valid?(error.message)
      end
    end
  end

  test "types that MLX lacks are told by their names", %{tmp_dir: folder} do
    header = ~s({"a": {"dtype": "G32", "shape": [0], "data_offsets": [0, 0]}})
    write_raw!(path(folder), header, "")
    message = ~r/^\[open\] .*x.safetensors: tensor "a": .*G32/
    assert_raise Mlx.UnsupportedError, message, fn -> Safetensors.open!(path(folder)) end
  end

  test "a file that can't be read is an error of files", %{tmp_dir: folder} do
    pipe = path(folder, "pipe.safetensors")
    {_, 0} = System.cmd("mkfifo", [pipe])

    for read <- [&Safetensors.read!/1, &Safetensors.open!/1, &Mlx.IO.load/1] do
      assert %{reason: :enoent} =
               assert_raise(File.Error, ~r/none/, fn ->
                 read.(path(folder, "none.safetensors"))
               end)

      folder = path(folder, "folder.safetensors")
      File.mkdir_p!(folder)
      assert %{reason: :eisdir, path: ^folder} = assert_raise(File.Error, fn -> read.(folder) end)
      assert_raise ArgumentError, ~r/pipe.*no regular file/, fn -> read.(pipe) end
      assert_raise ArgumentError, ~r/path of a file/, fn -> read.("x\0.safetensors") end
    end

    path = path(folder, "none/x.safetensors")
    error = assert_raise File.Error, fn -> Safetensors.write!(path, %{}) end
    assert {error.reason, error.path, error.action} == {:enoent, path, "write to file"}
  end

  test "only texts name tensors, and only tensors are written", %{tmp_dir: folder} do
    write = &Safetensors.write!(path(folder), &1)

    for bad <- [<<255>>, :a, 1, nil] do
      assert_raise ArgumentError, ~r/\[write\] expected the name of a tensor/, fn ->
        write.(%{bad => tensor([1])})
      end
    end

    for bad <- [nil, "text", %{}, self()] do
      assert_raise ArgumentError, ~r/\[write\] expected a tensor/, fn -> write.(%{"a" => bad}) end
    end

    for bad <- [nil, [1], {}, tensor([1])] do
      assert_raise ArgumentError, ~r/a map of names to tensors/, fn -> write.(bad) end
    end

    assert_raise ArgumentError, ~r/two tensors are called a/, fn ->
      write.([{"a", tensor([1])}, {"a", tensor([2])}])
    end

    for bad <- [nil, [a: 1], %{"a" => 1}, %{1 => "a"}, %{"a" => <<255>>}] do
      assert_raise ArgumentError, ~r/metadata to be/, fn ->
        Safetensors.write!(path(folder), %{}, bad)
      end
    end

    gone = tensor([1])
    Mlx.NIF.deallocate(gone)
    assert_raise ArgumentError, ~r/deallocated/, fn -> write.(%{"a" => gone}) end
    assert File.ls!(folder) == []
    assert write.(%{}) == :ok
    assert Safetensors.read!(path(folder)) == %{}
  end

  test "the suffix says which format", %{tmp_dir: folder} do
    assert Mlx.IO.save(path(folder, "x.SafeTensors"), %{"a" => tensor([1])},
             metadata: %{"k" => "v"}
           ) == :ok

    assert %{"a" => a} = Mlx.IO.load(path(folder, "x.SafeTensors"), only: ["a"])
    assert elements(a) == [1.0]

    assert_raise ArgumentError, ~r/\[load\] expected a path that ends in/, fn ->
      Mlx.IO.load("x.bin")
    end

    assert_raise ArgumentError, ~r/\[save\] expected a path that ends in/, fn ->
      Mlx.IO.save("x", %{})
    end
  end

  test "numpy's files come and go by their suffix", %{tmp_dir: folder} do
    npy = path(folder, "x.npy")
    assert Mlx.IO.save(npy, tensor([1, 2])) == :ok
    assert npy |> Mlx.IO.load() |> elements() == [1.0, 2.0]
    # Numpy's own header in front of two integers, the first one last in memory.
    header =
      String.pad_trailing("{'descr': '>i2', 'fortran_order': False, 'shape': (2,), }", 117) <>
        "\n"

    File.write!(npy, ["\x93NUMPY", 1, 0, <<118::16-little>>, header, <<1::16, -2::16>>])
    assert npy |> Mlx.IO.load() |> elements() == [1, -2]
    assert_raise ArgumentError, ~r/expected no options, got/, fn -> Mlx.IO.load(npy, only: []) end

    assert_raise ArgumentError, ~r/expected no options, got/, fn ->
      Mlx.IO.save(npy, tensor([1]), compressed: true)
    end

    assert_raise ArgumentError, ~r/\[save\] expected a tensor/, fn -> Mlx.IO.save(npy, %{}) end
    half = Mlx.Tensor.from_binary(<<0, 0>>, {:bf, 16}, {1})
    assert_raise Mlx.UnsupportedError, ~r/^\[save\].*x.npy/, fn -> Mlx.IO.save(npy, half) end
    File.write!(npy, "\x93NUMPY")
    assert_raise Mlx.FormatError, ~r/^\[load\].*x.npy/, fn -> Mlx.IO.load(npy) end

    pipe = path(folder, "pipe.npy")
    {_, 0} = System.cmd("mkfifo", [pipe])
    assert_raise ArgumentError, ~r/\[load\].*no regular file/, fn -> Mlx.IO.load(pipe) end
    assert_raise File.Error, ~r/none/, fn -> Mlx.IO.load(path(folder, "none.npy")) end
    assert_raise File.Error, fn -> Mlx.IO.save(path(folder, "none/x.npy"), tensor([1])) end
  end

  test "numpy's archives come and go by their suffix", %{tmp_dir: folder} do
    npz = path(folder, "x.npz")
    tensors = %{"a" => tensor([1, 2]), "b/c" => tensor([3])}

    for options <- [[], [compressed: true]] do
      assert Mlx.IO.save(npz, tensors, options) == :ok
      assert %{"a" => a, "b/c" => c} = Mlx.IO.load(npz)
      assert {elements(a), elements(c)} == {[1.0, 2.0], [3.0]}
      assert npz |> Mlx.IO.load(only: ["a"]) |> Map.keys() == ["a"]
    end

    assert_raise ArgumentError, ~r/names among/, fn -> Mlx.IO.load(npz, only: ["d"]) end

    assert_raise ArgumentError, ~r/:compressed to be/, fn ->
      Mlx.IO.save(npz, tensors, compressed: 1)
    end

    assert_raise ArgumentError, ~r/UTF-8/, fn -> Mlx.IO.save(npz, %{<<255>> => tensor([1])}) end
    File.write!(npz, "PK")
    assert_raise Mlx.FormatError, ~r/^\[load\].*x.npz/, fn -> Mlx.IO.load(npz) end
  rescue
    error in Mlx.UnsupportedError -> assert error.message =~ "libzip"
  end

  test "many processes read one file, and killed ones leave nothing open", %{tmp_dir: folder} do
    Safetensors.write!(path(folder), %{"a" => numbers(300_000), "b" => tensor([1])})
    file = Safetensors.open!(path(folder))
    path = path(folder)

    1..100
    |> Task.async_stream(
      fn i ->
        file = if rem(i, 2) == 0, do: file, else: Safetensors.open!(path)

        {Safetensors.read(file, "a") |> elements() |> List.last(),
         Safetensors.read(file, "b") |> elements()}
      end,
      max_concurrency: 100,
      timeout: 60_000
    )
    |> Enum.each(&assert(&1 == {:ok, {299_999.0, [1.0]}}))

    for _ <- 1..50 do
      pid =
        spawn(fn ->
          Stream.repeatedly(fn ->
            path |> Safetensors.read!() |> Map.fetch!("b") |> elements()
          end)
          |> Stream.run()
        end)

      Process.sleep(2)
      Process.exit(pid, :kill)
    end

    assert eventually(fn ->
             for pid <- Process.list(), do: :erlang.garbage_collect(pid)
             # The file itself, which is still held here.
             open(path) <= 1
           end)

    assert length(Safetensors.names(file)) == 2
  end

  if match?({:unix, :linux}, :os.type()) do
    defp open(path) do
      # A descriptor may be gone by the time that it is asked about.
      for fd <- File.ls!("/proc/self/fd"), reduce: 0 do
        count ->
          if File.read_link("/proc/self/fd/#{fd}") == {:ok, path}, do: count + 1, else: count
      end
    end
  else
    defp open(_path), do: 0
  end
end
