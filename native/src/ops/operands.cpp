#include "ops/operands.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>

#include "mlxc/elementwise.h"
#include "mlxc/engine.h"
#include "mlxc/memory.h"
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

// The largest value of `type` under 2^63 whose 32 low bits as an integer are 0.
double last_under_two_to_63(DType type) {
  const int digits = type == DType::bf16 ? 8 : 24;
  return std::ldexp(1.0, 63) - std::ldexp(1.0, 63 - digits);
}

// The finite values of `array` as an integer of 32 bits or less, by way of s64, which holds nearly
// all of them; those of 2^63 and more are multiples of 2^32 in the types that come here. NaN
// becomes 0 or the lowest s64, depending on the machine; the narrower types see 0 in both.
Array finite_to_narrow(const Array& array, DType from, DType to) {
  if (from == DType::f16) return mlxc::astype(mlxc::astype(array, DType::s64), to);
  const Array inside = mlxc::minimum(mlxc::maximum(array, constant(-std::ldexp(1.0, 63), from)),
                                     constant(last_under_two_to_63(from), from));
  return mlxc::astype(mlxc::astype(inside, DType::s64), to);
}

// The finite values of `array`, wrapped as the low bits of whole numbers are; 0 for the others. The
// quotient by 2^64 and the rest are exact.
Array finite_to_wide(const Array& array, DType from, DType to) {
  const DType type = from == DType::f64 ? from : DType::f32;
  const Array x = mlxc::astype(array, type);
  const Array zero = constant(0.0, type);
  const Array size = mlxc::abs(x);
  const Array turns = mlxc::floor(mlxc::multiply(size, constant(std::ldexp(1.0, -64), type)));
  const Array rest =
      mlxc::subtract(size, mlxc::multiply(turns, constant(std::ldexp(1.0, 64), type)));
  // Of an infinity and of NaN the rest is NaN.
  const Array bits =
      mlxc::astype(mlxc::where(mlxc::greater_equal(rest, zero), rest, zero), DType::u64);
  return mlxc::astype(mlxc::where(mlxc::less(x, zero), mlxc::negative(bits), bits), to);
}

Array float_to_integer(const Array& array, DType from, DType to) {
  if (Array own = mlxc::elementwise_cast(array, mlxc::to_mlx(to)); !own.empty()) return own;
  const bool is_narrow = bits(to) < 64 && from != DType::f64;
  const Array finite =
      is_narrow ? finite_to_narrow(array, from, to) : finite_to_wide(array, from, to);
  const auto is = [&](double value) { return mlxc::equal(array, constant(value, from)); };
  const Array result = mlxc::where(is(kInfinity), constant(highest(to), to), finite);
  // What -infinity has become by way of the lowest s64 is the lowest number of unsigned types.
  if (is_narrow && is_unsigned(to) && from != DType::f16) return result;
  return mlxc::where(is(-kInfinity), constant(lowest(to), to), result);
}

// An f64 in f32 so that rounding it once more gives what rounding it once would: where it lies
// between two f32, the one whose last bit is 1.
Array rounded_to_odd(const Array& array) {
  const Array nearest = mlxc::astype(array, DType::f32);
  const Array bits = mlxc::view(nearest, DType::s32);
  const Array one = constant(std::int64_t{1}, DType::s32);
  const Array is_even =
      mlxc::equal(mlxc::bitwise_and(bits, one), constant(std::int64_t{0}, DType::s32));
  const Array given = mlxc::abs(array);
  const Array found = mlxc::abs(mlxc::astype(nearest, DType::f64));
  const Array raised = mlxc::where(mlxc::greater(given, found), mlxc::add(bits, one), bits);
  const Array odd = mlxc::where(mlxc::less(given, found), mlxc::subtract(bits, one), raised);
  return mlxc::view(mlxc::where(is_even, odd, bits), DType::f32);
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

Array kernel_operand(const Call& call, std::size_t i) {
  return is_kernel_float(call.dtype(i)) ? operand(call, i) : operand_as(call, i, DType::f32);
}

Array moved_as(const Call& call, std::size_t i, DType type) {
  return call.dtype(i) == type ? Array::view(call.array(i)) : operand_as(call, i, type);
}

Shape shape_attr(const Call& call) {
  Shape shape = call.attr<Axes>("shape");
  if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; }))
    call.shape_error("a dimension is negative in " + to_string(shape));
  mlxc::check_countable({call.attr<DType>("type"), shape}, call.op.name);
  element_count(shape);
  return shape;
}

std::optional<Number> known_scalar(const Call& call, std::size_t i) {
  const Operand& operand = call.operands[i];
  if (!operand.type->shape.empty()) return std::nullopt;
  const void* data = operand.known_data;
  if (data == nullptr && operand.known != nullptr &&
      operand.known->load(std::memory_order_acquire) && on_cpu()) {
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
  // MLX goes from f64 to half floats by way of f32, which rounds twice.
  if (from == DType::f64 && bits(to) == 16) return mlxc::astype(rounded_to_odd(array), to);
  return mlxc::astype(array, to);
}

Array zeros(const TensorType& type) {
  return mlxc::full(type.shape, mlxc::scalar(std::int64_t{0}, type.dtype), type.dtype);
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

bool on_cpu() { return mlxc::current_device() == Device::kCpu; }

Array realigned(const Array& array) { return mlxc::multiply(array, constant(1.0, array.dtype())); }

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
