defmodule Mlx.Programs.ControlFlow do
  @moduledoc "Loops and branches, nested in each other and in functions of reductions."
  import Nx.Defn

  defn count_to(n) do
    {i, _} = while({i = 0, n}, i < n, do: {i + 1, n})
    i
  end

  defn power_by_loop(x) do
    {_, result, _} =
      while {i = 0, result = x * 0 + 1, x}, i < 5 do
        {i + 1, result * x, x}
      end

    result
  end

  defn factorial(n) do
    {result, _} = while({result = 1, n}, n > 1, do: {result * n, n - 1})
    result
  end

  defn fibonacci(n) do
    {a, _, _, _} =
      while {a = 0, b = 1, i = 0, n}, i < n do
        {b, a + b, i + 1, n}
      end

    a
  end

  defn greatest_common_divisor(a, b) do
    {a, _} = while({a, b}, b != 0, do: {b, Nx.remainder(a, b)})
    a
  end

  defn collatz(n) do
    {_, steps} =
      while {n, steps = 0}, n > 1 do
        next = if Nx.remainder(n, 2) == 0, do: Nx.quotient(n, 2), else: 3 * n + 1
        {next, steps + 1}
      end

    steps
  end

  defn newton_root(a) do
    {x, _} =
      while {x = a, a}, Nx.abs(x * x - a) > 1.0e-5 do
        {0.5 * (x + a / x), a}
      end

    x
  end

  defn halve_until_small(x) do
    while(x, Nx.reduce_max(Nx.abs(x)) > 1, do: x / 2)
  end

  defn multiplication_table(n) do
    {rows, _, _} =
      while {rows = Nx.broadcast(0, {4, 4}), i = 0, n}, i < 4 do
        {rows, _, _, _} =
          while {rows, i, j = 0, n}, j < 4 do
            value = Nx.reshape(i * j + n, {1, 1})
            {Nx.put_slice(rows, [i, j], value), i, j + 1, n}
          end

        {rows, i + 1, n}
      end

    rows
  end

  defn triangle_of_sums(x) do
    {total, _, _} =
      while {total = 0, i = 0, x}, i < Nx.axis_size(x, 0) do
        {partial, _, _, _} =
          while {partial = 0, j = 0, i, x}, j <= i do
            {partial + x[j], j + 1, i, x}
          end

        {total + partial, i + 1, x}
      end

    total
  end

  defn power_iteration(matrix) do
    start = Nx.broadcast(1.0, {Nx.axis_size(matrix, 0)})

    {vector, _, _} =
      while {vector = start, i = 0, matrix}, i < 30 do
        next = Nx.dot(matrix, vector)
        {next / Nx.sqrt(Nx.sum(next * next)), i + 1, matrix}
      end

    Nx.dot(vector, Nx.dot(matrix, vector))
  end

  defn descend(x) do
    {x, _} =
      while {x, i = 0}, i < 20 do
        {x - 0.1 * grad(x, &Nx.sum((&1 - 3) ** 2)), i + 1}
      end

    x
  end

  defn sum_over_generator(x) do
    {sum, _} =
      while {sum = 0.0, x}, i <- 0..(Nx.axis_size(x, 0) - 1) do
        {sum + x[i] * i, x}
      end

    sum
  end

  defn sum_over_elements(x) do
    while(sum = 0, element <- x, do: sum * 2 + element)
  end

  defn unrolled(x) do
    while x, _i <- 0..6, unroll: 3 do
      x * 2 - 1
    end
  end

  defn never_entered(x) do
    {x, _} = while({x, i = 10}, i < 10, do: {x * 0, i + 1})
    x
  end

  defn loop_with_branch(x) do
    {x, _, odd} =
      while {x, i = 0, odd = 0}, i < 7 do
        if Nx.remainder(i, 2) == 1, do: {x + i, i + 1, odd + 1}, else: {x - i, i + 1, odd}
      end

    {x, odd}
  end

  defn branch(x) do
    if Nx.sum(x) > 0, do: x * 2, else: Nx.negate(x)
  end

  defn three_branches(x, y) do
    doubled = x * 2

    cond do
      Nx.sum(doubled) > 30 -> doubled + y
      Nx.sum(y) > 10 -> doubled * y
      true -> Nx.sum(doubled) + y
    end
  end

  defn nested_branches(x, y) do
    z = Nx.exp(y)

    if x > 0 do
      if x > 5, do: z + x, else: z - x
    else
      if x < -5, do: z * x, else: Nx.negate(z)
    end
  end

  defn branch_of_tuples(x) do
    {a, b} = if x[0] > 0, do: {x, Nx.sum(x)}, else: {-x, Nx.product(x)}
    {a + b, b}
  end

  defn branches_with_types(x) do
    if x > 0, do: 1, else: x / 2
  end

  defn branch_shares_work(x) do
    shared = Nx.exp(x)
    left = if Nx.sum(x) > 0, do: shared + 1, else: shared - 1
    left * shared
  end

  defn branch_with_loop(n) do
    if n > 0 do
      {sum, _} = while({sum = 0, n}, n > 0, do: {sum + n, n - 1})
      sum
    else
      0
    end
  end

  defn grade(x) do
    cond do
      x > 10 -> 2
      x > 0 -> 1
      true -> 0
    end
  end

  defn fold_with_branch(x) do
    Nx.reduce(x, 0, fn a, b -> if a > 2, do: a + b, else: b end)
  end

  defn fizz_buzz_codes(n) do
    {codes, _, _} =
      while {codes = Nx.broadcast(0, {15}), i = 0, n}, i < 15 do
        value = i + n

        code =
          cond do
            Nx.remainder(value, 15) == 0 -> 3
            Nx.remainder(value, 5) == 0 -> 2
            Nx.remainder(value, 3) == 0 -> 1
            true -> 0
          end

        {Nx.put_slice(codes, [i], Nx.reshape(code, {1})), i + 1, n}
      end

    codes
  end

  defn bubble_sort(x) do
    n = Nx.axis_size(x, 0)

    {x, _} =
      while {x, i = 0}, i < n do
        {x, _} =
          while {x, j = 0}, j < n - 1 do
            pair = Nx.slice(x, [j], [2])
            {Nx.put_slice(x, [j], Nx.stack([Nx.reduce_min(pair), Nx.reduce_max(pair)])), j + 1}
          end

        {x, i + 1}
      end

    x
  end

  defn sieve(limit) do
    numbers = Nx.iota({30})
    marks = Nx.select(numbers < 2, 0, 1)

    {marks, _, _} =
      while {marks, i = 2, limit}, i * i <= limit do
        multiples = Nx.remainder(Nx.iota({30}), i) == 0 and Nx.iota({30}) > i
        {Nx.select(multiples, 0, marks), i + 1, limit}
      end

    marks
  end

  def all do
    [
      {"count to five", &count_to/1, [5]},
      {"count to nothing", &count_to/1, [0]},
      {"count backwards goes nowhere", &count_to/1, [-3]},
      {"power by a loop", &power_by_loop/1, [1.5]},
      {"power of a vector by a loop", &power_by_loop/1, [[1.0, -2.0, 0.5]]},
      {"factorial", &factorial/1, [6]},
      {"fibonacci", &fibonacci/1, [20]},
      {"greatest common divisor", &greatest_common_divisor/2, [84, 36]},
      {"collatz of 27", &collatz/1, [27]},
      {"collatz of 1", &collatz/1, [1]},
      {"newton's root", &newton_root/1, [2.0]},
      {"halve until small", &halve_until_small/1, [[100.0, -3.0, 0.5]]},
      {"multiplication table", &multiplication_table/1, [3]},
      {"triangle of sums", &triangle_of_sums/1, [[1, 2, 3, 4]]},
      {"power iteration", &power_iteration/1, [[[2.0, 1.0], [1.0, 3.0]]]},
      {"gradient descent", &descend/1, [[0.0, 10.0]]},
      {"loop over a range", &sum_over_generator/1, [[1.0, 2.0, 4.0]]},
      {"loop over elements", &sum_over_elements/1, [[1, 0, 1, 1]]},
      {"loop unrolled", &unrolled/1, [3]},
      {"loop never entered", &never_entered/1, [[1, 2]]},
      {"loop with a branch", &loop_with_branch/1, [100]},
      {"branch taken", &branch/1, [[1, 2]]},
      {"branch not taken", &branch/1, [[-1, -2]]},
      {"first of three branches", &three_branches/2, [[10, 20], [1, 2]]},
      {"second of three branches", &three_branches/2, [[1, 2], [10, 20]]},
      {"last of three branches", &three_branches/2, [[1, 2], [1, 2]]},
      {"nested branches 1", &nested_branches/2, [6, 0.5]},
      {"nested branches 2", &nested_branches/2, [3, 0.5]},
      {"nested branches 3", &nested_branches/2, [-6, 0.5]},
      {"nested branches 4", &nested_branches/2, [-3, 0.5]},
      {"branch of tuples", &branch_of_tuples/1, [[2, 3]]},
      {"other branch of tuples", &branch_of_tuples/1, [[-2, 3]]},
      {"branches of two types", &branches_with_types/1, [3.0]},
      {"branch shares work", &branch_shares_work/1, [[0.5, -0.25]]},
      {"branch with a loop", &branch_with_loop/1, [4]},
      {"branch around a loop", &branch_with_loop/1, [-4]},
      {"grades", &grade/1, [5]},
      {"fold with a branch", &fold_with_branch/1, [[1, 2, 3, 4]]},
      {"fizz buzz", &fizz_buzz_codes/1, [1]},
      {"bubble sort", &bubble_sort/1, [[5, 2, 9, 1, 3]]},
      {"sieve", &sieve/1, [30]}
    ]
  end
end
