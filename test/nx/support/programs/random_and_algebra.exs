defmodule Mlx.Programs.RandomAndAlgebra do
  @moduledoc "Random numbers, which are Nx's to the bit up to rounding, and linear algebra, by what is unique of it."
  import Nx.Defn

  defn(key(seed), do: Nx.Random.key(seed))
  defn(split(key), do: Nx.Random.split(key))
  defn(split_many(key), do: Nx.Random.split(key, parts: 4))
  defn(fold_in(key, data), do: Nx.Random.fold_in(key, data))
  defn(uniform(key), do: Nx.Random.uniform(key, shape: {2, 3}))
  defn(uniform_range(key), do: Nx.Random.uniform(key, -2.0, 5.0, shape: {4}))
  defn(uniform_bf16(key), do: Nx.Random.uniform(key, shape: {4}, type: :bf16))
  defn(integers(key), do: Nx.Random.randint(key, 0, 100, shape: {5}))
  defn(normal(key), do: Nx.Random.normal(key, shape: {2, 3}))
  defn(normal_of(key), do: Nx.Random.normal(key, 10.0, 0.5, shape: {4}))
  defn(gumbel(key), do: Nx.Random.gumbel(key, shape: {3}))
  defn(choice(key, x), do: Nx.Random.choice(key, x, samples: 3))
  defn(shuffle(key, x), do: Nx.Random.shuffle(key, x))

  defn dropout(key, x) do
    {mask, key} = Nx.Random.uniform(key, shape: Nx.shape(x))
    {Nx.select(mask < 0.5, x * 2, 0), key}
  end

  defn walk(key) do
    {x, _, _} =
      while {x = 0, key, i = 0}, i < 5 do
        {step, key} = Nx.Random.randint(key, 0, 2)
        {x + 2 * step - 1, key, i + 1}
      end

    x
  end

  defn(cholesky(a), do: Nx.LinAlg.cholesky(a))
  defn(solve(a, b), do: Nx.LinAlg.solve(a, b))
  defn(triangular(a, b), do: Nx.LinAlg.triangular_solve(Nx.tril(a), b))
  defn(triangular_upper(a, b), do: Nx.LinAlg.triangular_solve(Nx.triu(a), b, lower: false))
  defn(invert(a), do: Nx.LinAlg.invert(a))
  defn(determinant(a), do: Nx.LinAlg.determinant(a))
  defn(norms(a), do: {Nx.LinAlg.norm(a), Nx.LinAlg.norm(a, ord: 1), Nx.LinAlg.norm(a, ord: :inf)})
  defn(power(a), do: Nx.LinAlg.matrix_power(a, 3))
  defn(adjoint(a), do: Nx.LinAlg.adjoint(a))
  defn(rank(a), do: Nx.LinAlg.matrix_rank(a))
  defn(pseudo_inverse(a), do: Nx.LinAlg.pinv(a))
  defn(least_squares(a, b), do: Nx.LinAlg.least_squares(a, b))

  defn qr(a) do
    {q, r} = Nx.LinAlg.qr(a)
    {Nx.dot(q, r), Nx.dot(Nx.transpose(q), q)}
  end

  defn lu(a) do
    {p, l, u} = Nx.LinAlg.lu(a)
    {Nx.dot(p, Nx.dot(l, u)), Nx.take_diagonal(l)}
  end

  defn svd(a) do
    {u, s, vt} = Nx.LinAlg.svd(a, full_matrices?: false)
    {s, Nx.dot(u * s, vt)}
  end

  defn eigh(a) do
    {values, vectors} = Nx.LinAlg.eigh(a)
    {Nx.sort(values), Nx.dot(vectors * values, Nx.transpose(vectors))}
  end

  defn(covariance(x), do: Nx.covariance(x))

  defn linear_regression(x, y) do
    design = Nx.concatenate([x, Nx.broadcast(1.0, {Nx.axis_size(x, 0), 1})], axis: 1)
    Nx.LinAlg.solve(Nx.dot(Nx.transpose(design), design), Nx.dot(Nx.transpose(design), y))
  end

  defn whiten(x) do
    centred = x - Nx.mean(x, axes: [0])
    factor = Nx.LinAlg.cholesky(Nx.dot(Nx.transpose(centred), centred) / Nx.axis_size(x, 0))
    Nx.transpose(Nx.LinAlg.triangular_solve(factor, Nx.transpose(centred)))
  end

  @definite [[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]]
  @general [[2.0, -1.0, 0.5], [1.0, 3.0, 0.25], [-0.5, 4.0, 1.0]]
  @tall [[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]]

  def all do
    random() ++
      [
        {"cholesky", &cholesky/1, [@definite]},
        {"cholesky of a batch", &cholesky/1, [[@definite, @definite]]},
        {"solve for a vector", &solve/2, [@general, [1.0, 2.0, 3.0]]},
        {"solve for a matrix", &solve/2, [@general, @tall]},
        {"lower triangular solve", &triangular/2, [@general, [1.0, 2.0, 3.0]]},
        {"upper triangular solve", &triangular_upper/2, [@general, @tall]},
        {"inverse", &invert/1, [@general]},
        {"determinant", &determinant/1, [@general]},
        {"determinants of a batch", &determinant/1, [[@general, @definite]]},
        {"norms", &norms/1, [@general]},
        {"power of a matrix", &power/1, [@general]},
        {"adjoint", &adjoint/1, [Nx.tensor([[Complex.new(1, 2), Complex.new(0, -1)]])]},
        {"rank", &rank/1, [[[1.0, 2.0], [2.0, 4.0], [0.0, 1.0]]]},
        {"pseudo-inverse", &pseudo_inverse/1, [@tall]},
        {"least squares", &least_squares/2, [@tall, [1.0, 2.0, 3.0]]},
        {"qr put together again", &qr/1, [@tall]},
        {"lu put together again", &lu/1, [@general]},
        {"svd put together again", &svd/1, [@tall]},
        {"eigenvectors put together again", &eigh/1, [@definite]},
        {"covariance", &covariance/1, [@general]},
        {"linear regression", &linear_regression/2, [@tall, [1.0, 2.0, 3.0]]},
        {"whitening", &whiten/1, [[[1.0, 2.0], [3.0, -1.0], [0.5, 0.25], [-2.0, 1.0]]]}
      ]
  end

  defp random do
    key = Nx.Random.key(42)

    [
      {"random key", &key/1, [Nx.tensor(1701, type: :s64)]},
      {"random split", &split/1, [key]},
      {"random split in four", &split_many/1, [key]},
      {"random fold in", &fold_in/2, [key, 7]},
      {"random uniform", &uniform/1, [key]},
      {"random uniform in a range", &uniform_range/1, [key]},
      {"random uniform bf16", &uniform_bf16/1, [key]},
      {"random integers", &integers/1, [key]},
      {"random normal", &normal/1, [key]},
      {"random normal of mean and deviation", &normal_of/1, [key]},
      {"random gumbel", &gumbel/1, [key]},
      {"random choice", &choice/2, [key, [1, 2, 3, 4, 5]]},
      {"random shuffle", &shuffle/2, [key, [1, 2, 3, 4, 5]]},
      {"dropout", &dropout/2, [key, [1.0, 2.0, 3.0, 4.0]]},
      {"random walk", &walk/1, [key]}
    ]
  end
end
