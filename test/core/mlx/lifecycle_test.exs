defmodule Mlx.LifecycleTest do
  # It reloads the module and stops the application.
  use ExUnit.Case, async: false

  import Mlx.Handles
  alias Mlx.{NIF, VM}

  @f32 {:f, 32}

  # Each call changes schedulers twice, which a busy machine lets wait for milliseconds.
  @tag timeout: 300_000
  test "what could not be made leaves no memory" do
    open = fn -> for _ <- 1..10_000, do: catch_error(NIF.file_open("/none")) end
    binaries = fn -> for(_ <- 1..2, do: :erlang.garbage_collect()) && :erlang.memory(:binary) end
    open.()
    before = binaries.()
    open.()
    assert binaries.() - before < 100_000
  end

  describe "hot reload" do
    # What a program holds while its code is replaced: each kind of resource, computed and not.
    defp resources do
      a = tensor([1.0, 2.0])
      stream = Mlx.Stream.new()
      sum = op(:add, [a, a], {@f32, {2}})
      queued = Mlx.Stream.with_stream(stream, fn -> op(:add, [sum, a], {@f32, {2}}) end)
      binary = NIF.to_binary(numbers(100_000), 100_000)
      %{ready: a, sum: sum, stream: stream, queued: queued, binary: binary}
    end

    defp assert_usable(held) do
      assert values(held.sum) == [2.0, 4.0]
      assert values(held.queued) == [3.0, 6.0]
      assert values(held.ready) == [1.0, 2.0]
      assert binary_part(held.binary, 4, 8) == <<1.0::float-32-native, 2.0::float-32-native>>

      Mlx.Stream.with_stream(held.stream, fn ->
        assert values(op(:add, [held.ready, held.sum], {@f32, {2}})) == [3.0, 6.0]
      end)

      assert_raise ArgumentError, ~r/expected a tensor/, fn -> NIF.type_of(make_ref()) end
      assert NIF.deallocate(held.ready) == :ok
    end

    defp reload do
      :code.purge(NIF)
      assert {:module, NIF} = :code.load_file(NIF)
    end

    test "resources made before stay usable" do
      held = resources()
      reload()
      assert_usable(held)
    end

    test "any number of times, also after the old code is purged" do
      generations =
        for _ <- 1..5 do
          held = resources()
          reload()
          held
        end

      :code.purge(NIF)
      Enum.each(generations, &assert_usable/1)
      assert_usable(resources())
    end

    test "while processes are in native calls" do
      one = tensor([1.0])
      pid = self()

      workers =
        for _ <- 1..4 do
          spawn_monitor(fn ->
            send(pid, {self(), :started})

            Enum.reduce(1..2000, one, fn _, acc ->
              sum = op(:add, [acc, one], {@f32, {1}})
              Mlx.eval(sum)
              sum
            end)
            |> then(&send(pid, {self(), values(&1)}))
          end)
        end

      for {worker, _} <- workers, do: assert_receive({^worker, :started})
      # A process that is in code loaded two times ago is killed by a purge, which waits for it.
      for _ <- 1..3, do: :code.soft_purge(NIF) && :code.load_file(NIF)

      for {worker, monitor} <- workers do
        assert_receive {^worker, [2001.0]}, 30_000
        assert_receive {:DOWN, ^monitor, :process, ^worker, :normal}
      end
    end
  end

  describe "the application" do
    test "stops and starts; tensors survive it" do
      ExUnit.CaptureLog.capture_log(fn ->
        held = {tensor([1.0, 2.0]), Mlx.Stream.new()}

        for _ <- 1..3 do
          assert :ok = Application.stop(:elixir_mlx)
          refute Process.whereis(Mlx.Supervisor)
          # The native side needs no process of the application.
          {a, stream} = held
          assert values(op(:add, [a, a], {@f32, {2}})) == [2.0, 4.0]
          assert {:ok, _} = Application.ensure_all_started(:elixir_mlx)
          assert Process.whereis(Mlx.Supervisor)

          Mlx.Stream.with_stream(stream, fn ->
            assert values(op(:multiply, [a, a], {@f32, {2}})) == [1.0, 4.0]
          end)
        end
      end)
    end

    test "has its version and modules" do
      assert Application.spec(:elixir_mlx, :vsn)
      assert NIF in Application.spec(:elixir_mlx, :modules)
    end
  end

  describe "another VM" do
    @start """
    import Mlx.Handles
    {:ok, _} = Application.ensure_all_started(:elixir_mlx)
    a = tensor([1.0, 2.0])
    sum = op(:add, [a, a], {{:f, 32}, {2}})
    """

    test "ends well with tensors alive" do
      assert {output, 0} = VM.run(@start <> "IO.inspect(values(sum))\nSystem.halt(0)")
      assert output =~ "[2.0, 4.0]"
      assert {"", 3} = VM.run(@start <> "Mlx.eval(sum)\nSystem.stop(3)\nProcess.sleep(:infinity)")
    end

    test "ends while it evaluates, on the common stream and on others" do
      for ending <- ["System.halt(7)", "System.stop(7)\nProcess.sleep(:infinity)"] do
        code =
          @start <>
            """
            on_stream = fn fun -> Mlx.Stream.with_stream(Mlx.Stream.new(), fun) end
            spawn(fn -> Mlx.eval(slow(10)) end)
            spawn(fn -> on_stream.(fn -> Mlx.eval(slow(10)) end) end)
            Mlx.async_eval(slow(10))
            on_stream.(fn -> Mlx.async_eval(slow(10)) end)
            Process.sleep(50)
            """ <> ending

        assert {"", 7} = VM.run(code)
      end
    end

    test "survives that the module is deleted and loaded again; what it made is no tensor any more" do
      code =
        @start <>
          """
          Mlx.eval(sum)
          uncomputed = op(:add, [a, sum], {{:f, 32}, {2}})
          stream = Mlx.Stream.new()

          for _ <- 1..3 do
            :code.purge(Mlx.NIF)
            :code.delete(Mlx.NIF)
            :code.purge(Mlx.NIF)
            {:module, _} = :code.load_file(Mlx.NIF)
          end

          for handle <- [sum, uncomputed, stream.ref] do
            try do
              Mlx.NIF.type_of(handle)
            rescue
              error -> IO.puts(error.message)
            end
          end

          handle = nil
          :erlang.garbage_collect()
          IO.inspect({handle, values(op(:add, [tensor([1.0]), tensor([1.0])], {{:f, 32}, {1}}))})
          System.halt(5)
          """

      assert {output, 5} = VM.run(code)
      assert length(Regex.scan(~r/^\[type_of\] expected a tensor, got #Ref/m, output)) == 3
      assert output =~ "{nil, [2.0]}"
    end

    test "survives that the library leaves memory and comes back" do
      code = """
      for _ <- 1..3 do
        Mlx.NIF.synchronize(nil)
        :code.purge(Mlx.NIF)
        :code.delete(Mlx.NIF)
        :code.purge(Mlx.NIF)
      end

      IO.inspect(is_map(Mlx.NIF.memory()))
      System.halt(6)
      """

      assert {"true\n", 6} = VM.run(code)
    end

    test "says what to do when the library can't be loaded" do
      code = "try do Mlx.NIF.mlx_version() rescue e -> IO.inspect(e) end"
      {output, 0} = VM.run(code, [{"MLXNX_NIF", "/nowhere/mlxnx_nif"}])
      assert output =~ "Mlx.NIF: the native library /nowhere/mlxnx_nif.so can't be loaded"
      assert output =~ "mix compile"
      assert output =~ "UndefinedFunctionError"
    end
  end
end
