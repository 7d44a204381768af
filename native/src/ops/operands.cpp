#include "ops/operands.h"

#include <cmath>
#include <complex>
#include <limits>
#include <utility>

#include "mlxc/engine.h"
#include "tensor/element.h"

namespace mlxnx::ops {
namespace {

using mlxc::Array;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Number highest(DType type) {
  return is_unsigned(type) ? Number(~std::uint64_t{0} >> (64 - bits(type)))
                           : Number(std::numeric_limits<std::int64_t>::max() >> (64 - bits(type)));
}

Number lowest(DType type) {
  return is_unsigned(type) ? Number(std::int64_t{0})
                           : Number(std::numeric_limits<std::int64_t>::min() >> (64 - bits(type)));
}

// The largest value of `type` under 2^power; for narrow integers the largest with 32 low bits of 0,
// which is what is to become of all that lies above.
double last_under_two_to(int power, DType type, DType to) {
  const int f64_digits = bits(to) == 64 ? 53 : 31;
  const int digits = type == DType::bf16 ? 8 : type == DType::f32 ? 24 : f64_digits;
  return std::ldexp(1.0, power) - std::ldexp(1.0, power - digits);
}

// Casts by way of s64, which holds nearly all finite values; from there integers wrap by
// themselves.
Array float_to_integer(const Array& array, DType from, DType to) {
  const auto bound = [from](double value) { return constant(value, from); };
  Array finite = array;
  if (from != DType::f16) {
    finite = mlxc::minimum(mlxc::maximum(array, bound(-std::ldexp(1.0, 63))),
                           bound(last_under_two_to(63, from, to)));
  }
  // NaN becomes 0 or the lowest s64, depending on the machine; the narrower types see 0 in both.
  if (bits(to) == 64)
    finite = mlxc::where(mlxc::isnan(array), constant(std::int64_t{0}, from), finite);
  Array result = mlxc::astype(finite, DType::s64);
  if (to != DType::s64) result = mlxc::astype(result, to);
  if (to == DType::u64 && from != DType::f16) {
    const Array upper = mlxc::minimum(array, bound(last_under_two_to(64, from, to)));
    result = mlxc::where(mlxc::greater_equal(array, bound(std::ldexp(1.0, 63))),
                         mlxc::astype(upper, to), result);
  }
  result = mlxc::where(mlxc::equal(array, bound(kInfinity)), constant(highest(to), to), result);
  // The lowest s64 that -infinity has become is the lowest number of some types already.
  const bool is_lowest =
      from != DType::f16 && (to == DType::s64 || (is_unsigned(to) && bits(to) < 64));
  if (is_lowest) return result;
  return mlxc::where(mlxc::equal(array, bound(-kInfinity)), constant(lowest(to), to), result);
}

}  // namespace

Array operand(const Call& call, std::size_t i) {
  const Array& array = call.array(i);
  return array.is_bool() ? mlxc::view(array, DType::u8) : Array::view(array);
}

Array operand_as(const Call& call, std::size_t i, DType type) {
  const Array& array = call.array(i);
  if (call.dtype(i) == type) return operand(call, i);
  if (const auto value = known_scalar(call, i)) return constant(*value, type);
  return array.is_bool() ? mlxc::astype(array, type) : convert(array, call.dtype(i), type);
}

Array moved_as(const Call& call, std::size_t i, DType type) {
  return call.dtype(i) == type ? Array::view(call.array(i)) : operand_as(call, i, type);
}

std::optional<Number> known_scalar(const Call& call, std::size_t i) {
  const Operand& operand = call.operands[i];
  if (!operand.type->shape.empty()) return std::nullopt;
  const void* data = operand.known_data;
  if (data == nullptr && operand.ready != nullptr &&
      operand.ready->load(std::memory_order_acquire) && on_cpu()) {
    data = mlxc::data_pointer(*operand.array);
  }
  if (data == nullptr) return std::nullopt;
  return tensors::decode(operand.type->dtype, static_cast<const std::byte*>(data));
}

Array operand_mask(const Call& call, std::size_t i) {
  const Array& array = call.array(i);
  if (array.is_bool()) return Array::view(array);
  // MLX's own cast of a complex number looks at its real part only.
  if (is_complex(call.dtype(i))) return mlxc::not_equal(array, constant(0.0, DType::c64));
  return mlxc::asbool(array);
}

Array convert(const Array& array, DType from, DType to) {
  if (from == to) return array;
  if (is_complex(from)) return convert(mlxc::real(array), DType::f32, to);
  if (is_float(from) && is_integer(to)) return float_to_integer(array, from, to);
  return mlxc::astype(array, to);
}

Array constant(const Number& value, DType type) {
  std::byte bytes[8];
  tensors::encode(value, type, bytes);
  return mlxc::from_bytes(bytes, {}, mlxc::to_mlx(type));
}

bool same_number(const Number& a, const Number& b) {
  return std::visit(
      [](auto x, auto y) {
        using X = decltype(x);
        using Y = decltype(y);
        if constexpr (std::is_integral_v<X> && std::is_integral_v<Y>) {
          return std::cmp_equal(x, y);
        } else if constexpr (std::is_integral_v<X>) {
          // A float equals an integer when both casts give the other one back.
          const double real = std::complex<double>(y).real();
          const bool in_range = real >= -std::ldexp(1.0, 63) && real < std::ldexp(1.0, 64);
          const bool signed_range = std::is_unsigned_v<X> || real < std::ldexp(1.0, 63);
          const bool unsigned_range = std::is_signed_v<X> || real >= 0;
          return std::complex<double>(y).imag() == 0 && in_range && signed_range &&
                 unsigned_range && std::trunc(real) == real && static_cast<X>(real) == x;
        } else if constexpr (std::is_integral_v<Y>) {
          return same_number(Number(y), Number(x));
        } else {
          return std::complex<double>(x) == std::complex<double>(y);
        }
      },
      a, b);
}

bool holds(DType type, const Number& value) {
  std::byte bytes[8];
  tensors::encode(value, type, bytes);
  return same_number(tensors::decode(type, bytes), value);
}

bool on_cpu() {
  return mlxc::current_stream().ctx == mlxc::Engine::current().stream(Device::kCpu).ctx;
}

DType widest_float() { return on_cpu() ? DType::f64 : DType::f32; }

Array broadcast_to_shape(const Array& array, const Shape& shape) {
  return shape_of(array) == shape ? array : mlxc::broadcast_to(array, shape);
}

Array complex_nan() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const float parts[2] = {kNan, kNan};
  return mlxc::from_bytes(parts, {}, mlxc::to_mlx(DType::c64));
}

Array complex_is_finite(const Array& array) {
  // NaN where a part is NaN or infinite, 0 elsewhere.
  const Array difference = mlxc::subtract(array, array);
  return mlxc::equal(difference, difference);
}

Shape shape_of(const Array& array) {
  const auto dims = array.shape();
  return Shape(dims.begin(), dims.end());
}

}  // namespace mlxnx::ops
