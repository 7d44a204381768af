// Activation functions, by the names and defaults of mlx.nn.
//
// Each works element by element and keeps the type of float tensors, but for `softmax`, `softmin`,
// `log_softmax` and `glu`, which work along an axis. Integers are computed in f32; the functions
// that only choose among their values (`relu`, `relu2`, `hard_shrink`) keep them. At infinities
// they answer the limit, and NaN stays NaN. Where a function has a kink its slope is that of one
// side.
#pragma once

#include <cstdint>

#include "mlxnx/tensor.h"

namespace mlxnx::nn {

/// The larger of `x` and 0; the slope at 0 is 0. mlx: nn.relu
///
///     relu(tensor({-1.0, 2.0}));  // [0.0, 2.0]
Tensor relu(const Tensor& x);

/// The square of `relu`. mlx: nn.relu2
///
///     relu2(tensor({-1.0, 2.0}));  // [0.0, 4.0]
Tensor relu2(const Tensor& x);

/// `x` between 0 and 6; the slope at both is 0. mlx: nn.relu6
///
///     relu6(tensor({-1.0, 7.0}));  // [0.0, 6.0]
Tensor relu6(const Tensor& x);

/// `x` where it is not negative, elsewhere `negative_slope` times it. mlx: nn.leaky_relu
///
///     leaky_relu(tensor({-1.0, 2.0}));  // [-0.01, 2.0]
Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);

/// `x` where it is positive, elsewhere `alpha` times it; `alpha` is a scalar or broadcasts against
/// `x`. mlx: nn.prelu
///
///     prelu(tensor({-1.0, 2.0}), Tensor(0.25));  // [-0.25, 2.0]
Tensor prelu(const Tensor& x, const Tensor& alpha);

/// `x` where it is positive, elsewhere `alpha` (exp(x) - 1). mlx: nn.elu
///
///     elu(tensor({-1.0, 2.0}));  // [-0.632, 2.0]
Tensor elu(const Tensor& x, double alpha = 1.0);

/// `x` where it is positive, elsewhere `alpha` (exp(x / alpha) - 1), which has no kink. mlx:
/// nn.celu
///
///     celu(tensor({-1.0, 2.0}), 2.0);  // [-0.787, 2.0]
Tensor celu(const Tensor& x, double alpha = 1.0);

/// 1.0507 times `elu` of alpha 1.67326 (Klambauer and others, 2017). mlx: nn.selu
///
///     selu(tensor({-1.0, 2.0}));  // [-1.111, 2.101]
Tensor selu(const Tensor& x);

/// 1 / (1 + exp(-x)). mlx: nn.sigmoid
///
///     sigmoid(tensor({0.0, 2.0}));  // [0.5, 0.881]
Tensor sigmoid(const Tensor& x);

/// The logarithm of `sigmoid`, exact far out. mlx: nn.log_sigmoid
///
///     log_sigmoid(tensor({0.0, -100.0}));  // [-0.693, -100.0]
Tensor log_sigmoid(const Tensor& x);

/// log(1 + exp(x)). mlx: nn.softplus
///
///     softplus(tensor({0.0, 100.0}));  // [0.693, 100.0]
Tensor softplus(const Tensor& x);

/// x / (1 + |x|). mlx: nn.softsign
///
///     softsign(tensor({-1.0, 3.0}));  // [-0.5, 0.75]
Tensor softsign(const Tensor& x);

/// x sigmoid(x), also called swish. mlx: nn.silu
///
///     silu(tensor({0.0, 2.0}));  // [0.0, 1.762]
Tensor silu(const Tensor& x);

/// x times the normal distribution's share below x. mlx: nn.gelu
///
///     gelu(tensor({-1.0, 2.0}));  // [-0.159, 1.954]
Tensor gelu(const Tensor& x);

/// `gelu` by a tanh of a cubic, within 1e-3 of it. mlx: nn.gelu_approx
///
///     gelu_approx(tensor({-1.0, 2.0}));  // [-0.159, 1.955]
Tensor gelu_approx(const Tensor& x);

/// x sigmoid(1.702 x), within 0.02 of `gelu`. mlx: nn.gelu_fast_approx
///
///     gelu_fast_approx(tensor({-1.0, 2.0}));  // [-0.154, 1.936]
Tensor gelu_fast_approx(const Tensor& x);

/// x tanh(softplus(x)) (Misra, 2019). mlx: nn.mish
///
///     mish(tensor({0.0, 2.0}));  // [0.0, 1.944]
Tensor mish(const Tensor& x);

/// x relu6(x + 3) / 6. mlx: nn.hardswish
///
///     hardswish(tensor({-4.0, 1.0, 4.0}));  // [0.0, 0.667, 4.0]
Tensor hardswish(const Tensor& x);

/// `x` between `min_val` and `max_val`; the slope at both is 0. mlx: nn.hard_tanh
///
///     hard_tanh(tensor({-2.0, 0.5}));  // [-1.0, 0.5]
Tensor hard_tanh(const Tensor& x, double min_val = -1.0, double max_val = 1.0);

/// 0 within `lambd` of 0, elsewhere `x`. mlx: nn.hard_shrink
///
///     hard_shrink(tensor({-0.25, 2.0}));  // [0.0, 2.0]
Tensor hard_shrink(const Tensor& x, double lambd = 0.5);

/// 0 within `lambd` of 0, elsewhere `x` nearer to 0 by `lambd`. mlx: nn.softshrink
///
///     softshrink(tensor({-0.25, 2.0}));  // [0.0, 1.5]
Tensor softshrink(const Tensor& x, double lambd = 0.5);

/// 1 where `x` reaches `threshold`, elsewhere 0, in s32. mlx: nn.step
///
///     step(tensor({-1.0, 2.0}));  // [0, 1]
Tensor step(const Tensor& x, double threshold = 0.0);

/// The hyperbolic tangent. mlx: nn.tanh
///
///     tanh(tensor({0.0, 1.0}));  // [0.0, 0.762]
Tensor tanh(const Tensor& x);

/// exp(x) divided by its sum along `axis`; larger than any number are no numbers in between. mlx:
/// nn.softmax
///
///     softmax(tensor({0.0, 0.0}));  // [0.5, 0.5]
Tensor softmax(const Tensor& x, std::int64_t axis = -1);

/// `softmax` of -x. mlx: nn.softmin
///
///     softmin(tensor({0.0, 0.0}));  // [0.5, 0.5]
Tensor softmin(const Tensor& x, std::int64_t axis = -1);

/// The logarithm of `softmax`, exact far out. mlx: nn.log_softmax
///
///     log_softmax(tensor({0.0, 0.0}));  // [-0.693, -0.693]
Tensor log_softmax(const Tensor& x, std::int64_t axis = -1);

/// The first half of `x` along `axis` times `sigmoid` of the second half. Throws: ShapeError for an
/// axis of odd length. mlx: nn.glu
///
///     glu(tensor({3.0, 0.0}));  // [1.5]
Tensor glu(const Tensor& x, std::int64_t axis = -1);

}  // namespace mlxnx::nn
