#include "ops/real_math.h"

#include <limits>
#include <numbers>

#include "mlxc/elementwise.h"
#include "mlxc/version.h"
#include "ops/operands.h"

namespace mlxnx::ops::math {
namespace {

using kernels::Function;
using mlxc::Array;

// MLX's f32 exp on the CPU is wrong by 8 units in the last place at 10 and by more beyond. Where
// its kernels have no vector instructions, pow in f64 is exact after rounding, and takes less time.
#if defined(__aarch64__) || defined(__APPLE__)
constexpr bool kHasVectorKernels = true;
#else
constexpr bool kHasVectorKernels = false;
#endif

// tan(x / 2), from which sin and cos follow without cancellation. MLX's tan calls libm, which
// reduces arguments of any size.
struct HalfAngle {
  DType type;
  Array tangent;
  HalfAngle(const Array& x, DType from)
      : type(from == DType::bf16 ? DType::f32 : from),
        tangent(mlxc::tan(times(convert(x, from, type), 0.5, type))) {}
};

bool takes_half_angle(DType type) {
  if (type == DType::f64) return true;
  // Before 0.32 MLX's f32 kernels for the CPU leave [-1, 1] above 2^23; later ones ask libm there.
  return type != DType::f16 && mlxc::mlx_is_older_than(0, 32) && on_cpu();
}

}  // namespace

Array plus(const Array& x, double number, DType type) {
  return mlxc::add(x, constant(number, type));
}

Array times(const Array& x, double number, DType type) {
  return mlxc::multiply(x, constant(number, type));
}

Array polynomial(const Array& x, std::span<const double> c, DType type) {
  Array sum = constant(c.back(), type);
  for (std::size_t i = c.size() - 1; i-- > 0;) sum = plus(mlxc::multiply(sum, x), c[i], type);
  return sum;
}

Array exp(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_exp, {&x}); !own.empty()) return own;
  if (type == DType::f32 && !kHasVectorKernels && on_cpu()) {
    const Array wide = mlxc::astype(x, DType::f64);
    return mlxc::astype(mlxc::power(constant(std::numbers::e, DType::f64), wide), type);
  }
  if (type != DType::f64) return mlxc::exp(x);
  // e itself is 5e-17 away from its double; this double is off by 1e-17, shared by 256 powers.
  constexpr double kExpOf256 = 1.5114276650041035e111;
  return mlxc::power(constant(kExpOf256, type), times(x, 1.0 / 256, type));
}

Array sigmoid(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_sigmoid, {&x}); !own.empty()) return own;
  if (type != DType::f64) return mlxc::sigmoid(x);
  return mlxc::divide(constant(1.0, type), plus(exp(mlxc::negative(x), type), 1, type));
}

Array sin(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_sin, {&x}); !own.empty()) return own;
  if (!takes_half_angle(type)) return mlxc::sin(x);
  const HalfAngle half(x, type);
  const Array cotangent = mlxc::divide(constant(1.0, half.type), half.tangent);
  return mlxc::divide(constant(2.0, half.type), mlxc::add(half.tangent, cotangent));
}

Array cos(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_cos, {&x}); !own.empty()) return own;
  if (!takes_half_angle(type)) return mlxc::cos(x);
  const HalfAngle half(x, type);
  const Array square = mlxc::square(half.tangent);
  const Array one = constant(1.0, half.type);
  return mlxc::divide(mlxc::subtract(one, square), mlxc::add(one, square));
}

Array cbrt(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_cbrt, {&x}); !own.empty()) return own;
  // A third is not exact enough in half floats: the error grows with the logarithm of x.
  if (bits(type) == 16) return cbrt(convert(x, type, DType::f32), DType::f32);
  const Array root = mlxc::power(mlxc::abs(x), constant(1.0 / 3, type));
  return mlxc::where(mlxc::less(x, constant(0.0, type)), mlxc::negative(root), root);
}

Array round(const Array& x, DType type) {
  if (Array own = mlxc::elementwise(Function::k_round, {&x}); !own.empty()) return own;
  // Adding a half first would round a second time, as for the largest float under 0.5.
  const Array magnitude = mlxc::abs(x);
  const Array whole = mlxc::floor(magnitude);
  const Array rest = mlxc::subtract(magnitude, whole);
  const Array up = mlxc::greater_equal(rest, constant(0.5, type));
  return mlxc::multiply(mlxc::sign(x), mlxc::where(up, plus(whole, 1, type), whole));
}

Array sign(const Array& x, DType type) {
  const Array has_sign = mlxc::greater(x, constant(-std::numeric_limits<double>::infinity(), type));
  return mlxc::sign(mlxc::where(has_sign, x, constant(1.0, type)));
}

}  // namespace mlxnx::ops::math
