defmodule Mlx.Backend.CallbacksTest do
  # It counts the calls of Mlx.Backend's functions.
  use ExUnit.Case, async: false

  alias Mlx.{Backend, Compare, Inputs, Rows}

  # `{callback, kind of types, operands, function}`: the operands name functions of Mlx.Inputs; the function gets the type first
  # where it takes one argument more than there are operands.
  defp rows, do: Rows.Elementwise.rows() ++ Rows.Structure.rows() ++ Rows.Aggregate.rows()

  # Beside rounding: what an element is computed of is larger than the element.
  @tolerances %{
    # MLX sums up f16 and bf16 in their own type.
    {:conv, {:bf, 16}} => 4.0e-2
  }

  # Callbacks that are no ops. Their own tests are in other files; here each is called once.
  @others for {name, _arity} <- Nx.Backend.behaviour_info(:callbacks),
              not Keyword.has_key?(Mlx.Op.rows(), name),
              do: name

  defp call(:init), do: Nx.with_default_backend({Backend, device: :cpu}, fn -> Nx.tensor(1) end)
  defp call(:block), do: Nx.cumulative_sum(tensor())
  defp call(:from_binary), do: Nx.from_binary(<<1, 2>>, :u8, backend: Backend)
  defp call(:to_binary), do: Nx.to_binary(tensor())
  defp call(:inspect), do: inspect(tensor())
  defp call(:to_batched), do: Enum.to_list(Nx.to_batched(tensor(), 2))
  defp call(:to_pointer), do: Nx.to_pointer(tensor())

  defp call(:from_pointer) do
    tensor = tensor()
    Nx.from_pointer(Backend, Nx.to_pointer(tensor), tensor.type, tensor.shape)
  end

  defp call(name) when name in [:backend_copy, :backend_transfer, :backend_deallocate] do
    apply(Nx, name, [tensor()])
  end

  defp tensor, do: Nx.tensor([1, 2, 3, 4], backend: Backend)

  setup_all do
    Code.ensure_loaded!(Backend)
    :erlang.trace_pattern({Backend, :_, :_}, true, [:call_count])
    on_exit(fn -> :erlang.trace_pattern({Backend, :_, :_}, false, [:call_count]) end)
  end

  defp calls(name, arity) do
    {:call_count, count} = :erlang.trace_info({Backend, name, arity}, :call_count)
    count
  end

  test "every callback of the behaviour is implemented, and has a row" do
    with_row = Enum.uniq(Enum.map(rows(), &elem(&1, 0))) ++ @others

    for {name, arity} <- Nx.Backend.behaviour_info(:callbacks) do
      assert function_exported?(Backend, name, arity), "#{name}/#{arity} is missing"
      assert name in with_row, "#{name}/#{arity} has no row"
    end

    assert with_row -- Keyword.keys(Nx.Backend.behaviour_info(:callbacks)) == []
  end

  test "every op callback is a row of Mlx.Op, and every row an op of the registry" do
    names = Enum.map(rows(), &elem(&1, 0)) |> Enum.uniq()
    assert Enum.sort(names) == Enum.sort(Keyword.keys(Mlx.Op.rows()))
    for name <- names, do: assert("#{name}" in Mlx.NIF.op_names())
  end

  for {name, arity} <- Nx.Backend.behaviour_info(:callbacks), name not in @others do
    test "#{name}/#{arity} answers what Nx.BinaryBackend answers" do
      before = calls(unquote(name), unquote(arity))

      for {unquote(name), kind, operands, fun} <- rows(), type <- Inputs.types(kind) do
        compare(unquote(name), operands, fun, type)
      end

      assert calls(unquote(name), unquote(arity)) > before
    end
  end

  for {name, arity} <- Nx.Backend.behaviour_info(:callbacks), name in @others do
    test "#{name}/#{arity} is called" do
      before = calls(unquote(name), unquote(arity))
      call(unquote(name))
      assert calls(unquote(name), unquote(arity)) > before
    end
  end

  defp compare(name, operands, fun, type) do
    tensors = Enum.map(operands, &apply(Inputs, &1, [type]))

    fun =
      if is_function(fun, length(operands) + 1),
        do: fn arguments -> apply(fun, [type | arguments]) end,
        else: fn arguments -> apply(fun, arguments) end

    Compare.assert_same(tensors, fun, tolerance: @tolerances[{name, type}])
  rescue
    error in ExUnit.AssertionError ->
      message = "#{name} of #{inspect(operands)} in #{inspect(type)}: #{error.message}"
      reraise %{error | message: message}, __STACKTRACE__
  end
end
