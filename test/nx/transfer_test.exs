defmodule Mlx.Backend.TransferTest do
  # Tensors in and out of Mlx.Backend.
  use ExUnit.Case, async: true

  alias Mlx.Backend
  alias Mlx.Inputs
  alias Nx.BinaryBackend

  @moduletag :capture_log

  defp mlx(value, options \\ []), do: Nx.tensor(value, [backend: Backend] ++ options)

  defp same_elements?(a, b), do: Nx.to_binary(a) == Nx.to_binary(b)

  defp assert_gone(tensor) do
    for read <- [&Nx.to_binary/1, &Nx.to_flat_list/1, &Nx.add(&1, 1), &Mlx.eval/1] do
      assert_raise ArgumentError, ~r/the tensor was deallocated/, fn -> read.(tensor) end
    end

    # Elixir's inspect catches it.
    assert inspect(tensor) =~ "the tensor was deallocated"
  end

  describe "binaries" do
    test "of every type go in and out" do
      for type <- Mlx.Dtype.all() do
        reference = Inputs.vector(type)
        binary = Nx.to_binary(reference)
        tensor = Nx.from_binary(binary, type, backend: Backend)
        assert Nx.to_binary(tensor) == binary
        assert tensor.type == type
        assert Nx.to_flat_list(tensor) == Nx.to_flat_list(reference)
      end
    end

    test "are cut to a limit" do
      tensor = Nx.iota({4, 5}, backend: Backend)
      assert Nx.to_binary(tensor, limit: 3) == <<0::32-native, 1::32-native, 2::32-native>>
      assert Nx.to_binary(tensor, limit: 100) == Nx.to_binary(tensor)
      assert Nx.to_binary(Nx.transpose(tensor), limit: 2) == <<0::32-native, 5::32-native>>
    end

    test "hold the elements row by row, whatever the layout" do
      tensor = Nx.iota({3, 4}, backend: Backend)
      reference = Nx.iota({3, 4})

      for view <- [
            &Nx.transpose/1,
            &Nx.reverse/1,
            &Nx.slice(&1, [1, 1], [2, 2]),
            &Nx.broadcast(&1[0], {3, 4}),
            &Nx.slice(&1, [0, 0], [3, 2], strides: [1, 2])
          ] do
        assert same_elements?(view.(tensor), view.(reference))
      end
    end

    test "of iodata, as Nx hands it over" do
      out = Nx.template({2}, {:u, 8})
      assert Nx.to_flat_list(Backend.from_binary(out, [<<1>>, [2]], [])) == [1, 2]
    end

    test "of the wrong length raise" do
      assert_raise ArgumentError, fn -> Nx.from_binary(<<1, 2, 3>>, :f32, backend: Backend) end
      out = Nx.template({2}, {:f, 32})

      assert_raise ArgumentError, ~r/takes 2 elements of 4 bytes, got 3 bytes/, fn ->
        Backend.from_binary(out, <<1, 2, 3>>, [])
      end
    end
  end

  describe "backend_copy" do
    test "copies to and from Nx.BinaryBackend, every type" do
      for type <- Mlx.Dtype.all(), input <- [:vector, :matrix, :scalar] do
        reference = apply(Inputs, input, [type])
        there = Nx.backend_copy(reference, Backend)
        assert %Backend{} = there.data
        back = Nx.backend_copy(there, BinaryBackend)
        assert %BinaryBackend{} = back.data
        assert back == reference
      end
    end

    test "within Mlx.Backend makes a tensor of its own" do
      tensor = mlx([1, 2])
      copy = Nx.backend_copy(tensor, Backend)
      Nx.backend_deallocate(tensor)
      assert Nx.to_flat_list(copy) == [1, 2]
      assert_gone(tensor)
    end

    test "keeps names and vectorized axes" do
      tensor = Nx.tensor([[1, 2]], names: [:x, :y]) |> Nx.vectorize(:x)
      copy = Nx.backend_copy(tensor, Backend)
      assert copy.names == tensor.names
      assert copy.vectorized_axes == tensor.vectorized_axes
      assert Nx.backend_copy(copy, BinaryBackend) == tensor
    end

    test "copies containers" do
      assert {%{data: %Backend{}}, %{a: %{data: %Backend{}}}} =
               Nx.backend_copy({Nx.tensor(1), %{a: Nx.tensor(2)}}, Backend)
    end
  end

  describe "backend_transfer" do
    test "to Nx.BinaryBackend deallocates" do
      tensor = mlx([1, 2])
      there = Nx.backend_transfer(tensor, BinaryBackend)
      assert there == Nx.tensor([1, 2])
      assert_gone(tensor)
    end

    test "from Nx.BinaryBackend keeps the elements" do
      tensor = Nx.backend_transfer(Nx.tensor([1, 2]), Backend)
      assert Nx.to_flat_list(tensor) == [1, 2]
    end

    test "within Mlx.Backend moves nothing, and takes the device" do
      tensor = mlx([1, 2])
      moved = Nx.backend_transfer(tensor, {Backend, device: :cpu})
      assert moved.data.device == :cpu
      assert moved.data.ref == tensor.data.ref
      assert Nx.to_flat_list(Nx.add(moved, tensor)) == [2, 4]
    end

    test "without a backend goes to Nx.BinaryBackend" do
      assert %BinaryBackend{} = Nx.backend_transfer(mlx([1])).data
    end
  end

  describe "backend_deallocate" do
    test "frees once" do
      tensor = mlx([1, 2])
      assert Nx.backend_deallocate(tensor) == :ok
      assert Nx.backend_deallocate(tensor) == :already_deallocated
      assert_gone(tensor)
    end

    test "frees what containers hold" do
      {a, b} = {mlx([1]), mlx([2])}
      Nx.backend_deallocate({a, %{b: b}})
      assert_gone(a)
      assert_gone(b)
    end

    test "leaves what was built of the tensor" do
      tensor = mlx([1, 2])
      sum = Nx.add(tensor, 1)
      Nx.backend_deallocate(tensor)
      assert Nx.to_flat_list(sum) == [2, 3]
    end

    test "a deallocated tensor raises in every position" do
      gone = mlx([1, 2])
      here = mlx([1, 2])
      Nx.backend_deallocate(gone)

      for use <- [
            fn -> Nx.add(here, gone) end,
            fn -> Nx.concatenate([here, gone]) end,
            fn -> Nx.select(here, here, gone) end,
            fn -> Nx.slice(here, [gone[0]], [1]) end,
            fn -> Nx.backend_copy(gone, Backend) end,
            fn -> Nx.to_pointer(gone) end,
            fn -> Nx.reduce(gone, 0, &Nx.add/2) end,
            fn -> Nx.cumulative_sum(gone) end,
            fn -> Nx.to_batched(gone, 1) |> Enum.to_list() end,
            fn -> Nx.serialize(gone) end
          ] do
        assert_raise ArgumentError, ~r/the tensor was deallocated/, use
      end
    end
  end

  describe "to_batched" do
    defp batches(tensor, size, options \\ []) do
      tensor |> Nx.to_batched(size, options) |> Enum.map(&Nx.backend_copy(&1, BinaryBackend))
    end

    test "answers what the reference answers" do
      for rows <- 2..7,
          size <- 1..rows,
          options <- [[], [leftover: :repeat], [leftover: :discard]] do
        reference = Nx.iota({rows, 2}, names: [:a, :b])
        tensor = Nx.backend_copy(reference, Backend)
        assert batches(tensor, size, options) == batches(reference, size, options)
      end
    end

    test "takes vectors and vectorized tensors" do
      for reference <- [Nx.iota({5}), Nx.iota({4, 3}) |> Nx.vectorize(:x)] do
        assert batches(Nx.backend_copy(reference, Backend), 2) == batches(reference, 2)
      end
    end

    test "is lazy, and stays on this backend" do
      stream = Nx.to_batched(Nx.iota({1000, 2}, backend: Backend), 1)
      assert [%{data: %Backend{}}, _] = Enum.take(stream, 2)
    end

    test "refuses what Nx refuses" do
      assert_raise ArgumentError, fn -> Nx.to_batched(mlx(1), 1) end
      assert_raise ArgumentError, fn -> Nx.to_batched(mlx([1]), 2) end
    end
  end

  describe "pointers" do
    test "lead to the elements" do
      for type <- Mlx.Dtype.all() do
        tensor = Nx.backend_copy(Inputs.matrix(type), Backend)
        pointer = Nx.to_pointer(tensor)
        assert %Nx.Pointer{kind: :local, data_size: size} = pointer
        assert size == Nx.byte_size(tensor)
        assert Nx.to_pointer(tensor) == pointer
        copy = Nx.from_pointer(Backend, pointer, type, {2, 4}, names: [:x, :y])
        assert copy.names == [:x, :y]
        assert same_elements?(copy, tensor)
      end
    end

    test "of views lead to their own elements, row by row" do
      tensor = Nx.transpose(Nx.iota({2, 3}, backend: Backend))
      copy = Nx.from_pointer(Backend, Nx.to_pointer(tensor), :s32, {3, 2})
      assert same_elements?(copy, tensor)
    end

    test "make tensors that outlive the first" do
      tensor = mlx([1, 2, 3])
      copy = Nx.from_pointer({Backend, device: :cpu}, Nx.to_pointer(tensor), :s32, {3})
      Nx.backend_deallocate(tensor)
      assert Nx.to_flat_list(copy) == [1, 2, 3]
      assert copy.data.device == :cpu
    end

    test "are for other processes of the operating system, once each" do
      for type <- Mlx.Dtype.all() do
        tensor = Nx.backend_copy(Inputs.matrix(type), Backend)
        pointer = Nx.to_pointer(tensor, mode: :ipc, permissions: 0o600)
        assert %Nx.Pointer{kind: :ipc, handle: "/mlxnx_" <> _, data_size: size} = pointer
        assert size == Nx.byte_size(tensor)
        copy = Nx.from_pointer(Backend, pointer, type, {2, 4}, names: [:x, :y])
        assert copy.names == [:x, :y]
        assert same_elements?(copy, tensor)

        assert_raise ArgumentError, ~r/No such file/, fn ->
          Nx.from_pointer(Backend, pointer, type, {2, 4})
        end
      end
    end

    test "of shared memory are not lost by a wrong shape" do
      pointer = Nx.to_pointer(Nx.transpose(Nx.iota({2, 3}, backend: Backend)), mode: :ipc)

      for wrong <- [pointer, %{pointer | data_size: nil}] do
        assert_raise ArgumentError, ~r/24 bytes.* 28/, fn ->
          Nx.from_pointer(Backend, wrong, :s32, {7})
        end
      end

      assert Nx.to_flat_list(Nx.from_pointer(Backend, pointer, :s32, {6})) == [0, 3, 1, 4, 2, 5]
    end

    test "are checked" do
      pointer = Nx.to_pointer(mlx([1, 2, 3]))

      assert_raise ArgumentError, ~r/the pointer has 12 bytes, and a tensor .* takes 16/, fn ->
        Nx.from_pointer(Backend, pointer, :s32, {4})
      end

      assert_raise ArgumentError, ~r/the address is 0/, fn ->
        Nx.from_pointer(Backend, %{pointer | address: 0}, :s32, {3})
      end

      assert_raise ArgumentError, ~r/of kind :local or :ipc, got: :cuda_ipc/, fn ->
        Nx.from_pointer(Backend, %Nx.Pointer{kind: :cuda_ipc, handle: "x"}, :s32, {3})
      end

      assert_raise ArgumentError, ~r/shared memory \/nothing_here: No such file/, fn ->
        Nx.from_pointer(Backend, %Nx.Pointer{kind: :ipc, handle: "/nothing_here"}, :s32, {3})
      end

      assert_raise ArgumentError, ~r/got: :remote/, fn ->
        Nx.to_pointer(mlx([1]), mode: :remote)
      end

      assert_raise ArgumentError, fn -> Nx.to_pointer(mlx([1]), permissions: 0o400) end
    end
  end

  describe "serialize" do
    test "and deserialize, every type, on either backend" do
      for type <- Mlx.Dtype.all() do
        reference = Inputs.matrix(type)
        tensor = Nx.backend_copy(reference, Backend)
        container = %{"a" => tensor, "b" => {tensor, Nx.tensor(1)}}

        for backend <- [Backend, BinaryBackend] do
          Nx.with_default_backend(backend, fn ->
            %{"a" => a, "b" => {b, _}} =
              container |> Nx.serialize() |> IO.iodata_to_binary() |> Nx.deserialize()

            assert a.data.__struct__ == backend
            assert same_elements?(a, reference)
            assert same_elements?(b, reference)
            assert a.type == type
          end)
        end
      end
    end

    test "writes what Nx.BinaryBackend writes" do
      reference = Nx.iota({2, 3}, names: [:x, nil])
      written = &(&1 |> Nx.serialize() |> IO.iodata_to_binary())
      assert written.(Nx.backend_copy(reference, Backend)) == written.(reference)
    end

    test "numpy files are loaded here" do
      header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }\n"
      data = for number <- [1.5, -2.0, 0.0, 4.0], into: "", do: <<number::float-64-little>>
      file = <<0x93, "NUMPY", 1, 0, byte_size(header)::16-little, header::binary, data::binary>>
      loaded = Nx.with_default_backend(Backend, fn -> Nx.load_numpy!(file) end)
      assert %Backend{} = loaded.data
      assert {loaded.type, loaded.shape} == {{:f, 64}, {2, 2}}
      assert Nx.to_flat_list(loaded) == [1.5, -2.0, 0.0, 4.0]
    end
  end
end
