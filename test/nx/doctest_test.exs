defmodule Mlx.Backend.DoctestTest do
  # The examples in Nx's own documentation, on Mlx.Backend.
  use ExUnit.Case, async: false

  alias Mlx.DocExamples

  setup do
    # Examples show tensors without their backend.
    Application.put_env(:elixir_mlx, :add_backend_on_inspect, false)
    on_exit(fn -> Application.delete_env(:elixir_mlx, :add_backend_on_inspect) end)
    Nx.default_backend(Mlx.Backend)
    :ok
  end

  # Some examples use a type that MLX lacks; those raise.
  @unsupported_types [
    {Nx, bit_size: 1, tensor: 2},
    {Nx.Constants,
     e: 2,
     epsilon: 2,
     euler_gamma: 2,
     i: 2,
     infinity: 2,
     nan: 2,
     neg_infinity: 2,
     pi: 2,
     smallest_positive_normal: 2}
  ]

  # The last digits shown depend on the order of the operations, or on the C library.
  @rounding [
    {Nx, erfc: 1, log1p: 1},
    {Nx.LinAlg,
     cholesky: 1,
     determinant: 1,
     least_squares: 3,
     matrix_power: 2,
     pinv: 2,
     qr: 2,
     solve: 2,
     svd: 2},
    {Nx.Random, gumbel: 2, multivariate_normal: 4, normal: 4}
  ]

  # An eigenvalue that occurs twice has many pairs of vectors.
  @not_unique [{Nx.LinAlg, eigh: 2}]

  # Compares tensors with `===`, which compares handles here.
  @compares_handles [{Nx.Defn.Composite, flatten_list: 2}]

  # Compiling a call of these warns.
  @deprecated_functions [{Nx, reflect: 2}]

  @modules [Nx, Nx.LinAlg, Nx.Random, Nx.Constants, Nx.Type, Nx.Shape, Nx.Batch, Nx.Floating] ++
             [Nx.Defn, Nx.Defn.Composite]

  @except @unsupported_types ++
            @rounding ++ @not_unique ++ @compares_handles ++ @deprecated_functions

  for module <- @modules do
    functions = for {^module, functions} <- @except, function <- functions, do: function
    doctest module, except: functions
  end

  describe "defn" do
    use Nx.Defn.Kernel
    doctest Nx.Defn.Kernel
  end

  # Those left out above are held to what can be asked of them. Answers that are not unique are checked by their properties in
  # blocks_test.exs.
  for {module, functions} <- @unsupported_types, function <- functions do
    test "#{inspect(module)}: #{inspect(function)}, where the type is supported" do
      assert DocExamples.run(unquote(module), unquote(function), unsupported: true) > 0
    end
  end

  for {module, functions} <- @deprecated_functions, function <- functions do
    test "#{inspect(module)}: #{inspect(function)}, which is deprecated" do
      ExUnit.CaptureIO.capture_io(:stderr, fn ->
        assert DocExamples.run(unquote(module), unquote(function), []) > 0
      end)
    end
  end

  for {module, functions} <- @rounding, function <- functions do
    test "#{inspect(module)}: #{inspect(function)}, up to rounding" do
      # least_squares and pinv lose half of f32's digits in the reference.
      assert DocExamples.run(unquote(module), unquote(function), tolerance: 1.0e-4) > 0
    end
  end
end
