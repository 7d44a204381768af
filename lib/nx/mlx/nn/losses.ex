defmodule Mlx.NN.Losses do
  @moduledoc """
  The loss functions of `mlx.nn.losses`, from the definitions of the C++ library.

  They take tensors of any backend, inside of `defn` and outside, and are differentiated by `Nx.Defn.grad` and `Mlx.grad`. Gradients
  are finite wherever the loss has one: at logits far out or of minus infinity, at equal values, at probabilities of 0.

  All raise `ArgumentError` for shapes that do not fit and for options that they do not have.
  """

  import Mlx.NN.Functions

  @doc """
  Minus the logarithm of the probability that the softmax of `logits` gives to `targets`: numbers of classes in the shape of `logits`
  without the axis of classes, or probabilities in its whole shape. mlx: `nn.losses.cross_entropy`.

  ## Options

    * `:axis` - that of the classes, default -1
    * `:label_smoothing` - the share of the targets that all classes get alike, from 0, the default, to below 1
    * `:weights` - of each example, a tensor in the shape of the losses
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.cross_entropy(Nx.tensor([[2.0, -1.0]]), Nx.tensor([0]), reduction: :mean) |> Nx.to_number() |> Float.round(4)
      0.0486
  """
  defrow(:loss, :cross_entropy, [:logits, :targets], [
    :axis,
    :label_smoothing,
    :weights,
    :reduction
  ])

  @doc """
  The cross entropy of yes and no. Without logits, `inputs` are probabilities, whose logarithms are held at -100. mlx: `nn.losses.binary_cross_entropy`.

  ## Options

    * `:with_logits` - whether `inputs` are logits, default true
    * `:weights` - of each element, a tensor in the shape of `inputs`
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:mean`

  ## Examples

      iex> Mlx.NN.Losses.binary_cross_entropy(Nx.tensor([0.0, 100.0]), Nx.tensor([1, 1])) |> Nx.to_number() |> Float.round(3)
      0.347
  """
  defrow(:loss, :binary_cross_entropy, [:inputs, :targets], [:with_logits, :weights, :reduction])

  @doc """
  The size of the difference; the slope where both are equal is 0. mlx: `nn.losses.l1_loss`.

  ## Options

    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:mean`

  ## Examples

      iex> Mlx.NN.Losses.l1_loss(Nx.tensor([1.0, 4.0]), Nx.tensor([2.0, 2.0])) |> Nx.to_number()
      1.5
  """
  defrow(:loss, :l1_loss, [:predictions, :targets], [:reduction])

  @doc """
  The square of the difference. mlx: `nn.losses.mse_loss`.

  ## Options

    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:mean`

  ## Examples

      iex> Mlx.NN.Losses.mse_loss(Nx.tensor([1.0, 4.0]), Nx.tensor([2.0, 2.0])) |> Nx.to_number()
      2.5
  """
  defrow(:loss, :mse_loss, [:predictions, :targets], [:reduction])

  @doc """
  Minus the element of `inputs`, logarithms of probabilities, at each target's class. mlx: `nn.losses.nll_loss`.

  ## Options

    * `:axis` - that of the classes, default -1
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.nll_loss(Nx.tensor([[-0.5, -1.0]]), Nx.tensor([1])) |> Nx.to_list()
      [1.0]
  """
  defrow(:loss, :nll_loss, [:inputs, :targets], [:axis, :reduction])

  @doc """
  Minus the logarithm of the density of `targets` under normal distributions with means `inputs` and variances `vars`, but for a constant. mlx: `nn.losses.gaussian_nll_loss`.

  ## Options

    * `:full` - whether to add that constant, log(2 pi) / 2; default false
    * `:eps` - the least variance, default 1.0e-6
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:mean`

  ## Examples

      iex> Mlx.NN.Losses.gaussian_nll_loss(Nx.tensor([1.0]), Nx.tensor([3.0]), Nx.tensor([2.0])) |> Nx.to_number() |> Float.round(3)
      1.347
  """
  defrow(:loss, :gaussian_nll_loss, [:inputs, :targets, :vars], [:full, :eps, :reduction])

  @doc """
  How far the distribution `inputs` is from `targets`, summed along an axis; both are logarithms of probabilities. mlx: `nn.losses.kl_div_loss`.

  ## Options

    * `:axis` - of the distributions, default -1
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.kl_div_loss(Nx.log(Nx.tensor([0.5, 0.5])), Nx.log(Nx.tensor([0.5, 0.5]))) |> Nx.to_number()
      0.0
  """
  defrow(:loss, :kl_div_loss, [:inputs, :targets], [:axis, :reduction])

  @doc """
  The square of the difference over 2 `:beta` where that is below `:beta`, elsewhere its size less half of `:beta`. mlx: `nn.losses.smooth_l1_loss`.

  ## Options

    * `:beta` - default 1.0
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:mean`

  ## Examples

      iex> Mlx.NN.Losses.smooth_l1_loss(Nx.tensor([0.5, 3.0]), Nx.tensor([0.0, 0.0])) |> Nx.to_number()
      1.3125
  """
  defrow(:loss, :smooth_l1_loss, [:predictions, :targets], [:beta, :reduction])

  @doc """
  By how much the distance of `anchors` to `positives` falls short of being smaller than that to `negatives` by the margin. mlx: `nn.losses.triplet_loss`.

  ## Options

    * `:axis` - default -1
    * `:p` - of the norm, at least 1; default 2
    * `:margin` - default 1.0
    * `:eps` - added to the sum of p-th powers, default 1.0e-6
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.triplet_loss(Nx.tensor([0.0]), Nx.tensor([2.0]), Nx.tensor([1.0])) |> Nx.to_number() |> Float.round(3)
      2.0
  """
  defrow(:loss, :triplet_loss, [:anchors, :positives, :negatives], [
    :axis,
    :p,
    :margin,
    :eps,
    :reduction
  ])

  @doc """
  1 - inputs * targets where that is positive, else 0; targets are 1 and -1. mlx: `nn.losses.hinge_loss`.

  ## Options

    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.hinge_loss(Nx.tensor([0.25, 3.0]), Nx.tensor([1.0, 1.0])) |> Nx.to_list()
      [0.75, 0.0]
  """
  defrow(:loss, :hinge_loss, [:inputs, :targets], [:reduction])

  @doc """
  Half the square of the difference as long as that is at most `:delta`, from there on straight. mlx: `nn.losses.huber_loss`.

  ## Options

    * `:delta` - default 1.0
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.huber_loss(Nx.tensor([0.5, 3.0]), Nx.tensor([0.0, 0.0])) |> Nx.to_list()
      [0.125, 2.5]
  """
  defrow(:loss, :huber_loss, [:inputs, :targets], [:delta, :reduction])

  @doc """
  log(cosh(inputs - targets)), exact near 0 and far out. mlx: `nn.losses.log_cosh_loss`.

  ## Options

    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.log_cosh_loss(Nx.tensor([1.0]), Nx.tensor([1.0])) |> Nx.to_list()
      [0.0]
  """
  defrow(:loss, :log_cosh_loss, [:inputs, :targets], [:reduction])

  @doc """
  The cosine of the angle between `x1` and `x2` along an axis; not 1 minus it. mlx: `nn.losses.cosine_similarity_loss`.

  ## Options

    * `:axis` - default 1
    * `:eps` - the least product of the norms, default 1.0e-8
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.cosine_similarity_loss(Nx.tensor([[3.0, 4.0]]), Nx.tensor([[0.0, 1.0]])) |> Nx.to_list() |> Enum.map(&Float.round(&1, 3))
      [0.8]
  """
  defrow(:loss, :cosine_similarity_loss, [:x1, :x2], [:axis, :eps, :reduction])

  @doc """
  `:margin` - targets * (inputs1 - inputs2) where that is positive, else 0; targets are 1 where `inputs1` ought to be larger, and -1. mlx: `nn.losses.margin_ranking_loss`.

  ## Options

    * `:margin` - default 0.0
    * `:reduction` - `:none`, `:mean` or `:sum` of the losses, default `:none`

  ## Examples

      iex> Mlx.NN.Losses.margin_ranking_loss(Nx.tensor([1.0]), Nx.tensor([3.0]), Nx.tensor([1.0])) |> Nx.to_list()
      [2.0]
  """
  defrow(:loss, :margin_ranking_loss, [:inputs1, :inputs2, :targets], [:margin, :reduction])
end
