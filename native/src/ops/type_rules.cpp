#include "ops/type_rules.h"

#include <algorithm>
#include <bit>
#include <string>

#include "mlxnx/error.h"

namespace mlxnx {

DType dtype_from_name(std::string_view text) {
  for (const DType type : kDTypes) {
    if (name(type) == text) return type;
  }
  for (const std::string_view known : {"c128", "f8", "f8_e4m3fn", "s2", "s4", "u2", "u4"}) {
    if (known == text)
      throw UnsupportedError("[type] MLX has no type " + std::string(text) + " on any device");
  }
  throw TypeError("[type] expected an Nx type such as f32 or s64, got \"" + std::string(text) +
                  "\"");
}

namespace ops {
namespace {

DType sized(Kind kind, int bits) {
  const int log_bytes = bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
  return static_cast<DType>(log_bytes + (kind == Kind::kSigned ? 4 : 0));
}

// The order in which Nx.Type sorts two types before it merges them.
int merge_rank(DType type) {
  if (type == DType::bf16) return 2;
  switch (kind(type)) {
    case Kind::kUnsigned:
      return 0;
    case Kind::kSigned:
      return 1;
    case Kind::kFloat:
      return 3;
    case Kind::kComplex:
      return 4;
  }
  return 0;
}

// The smallest integer size that holds `value` and `sign_bits` more; 64 at most.
int bits_needed(std::uint64_t value, int sign_bits) {
  const int used = static_cast<int>(std::bit_width(value)) + sign_bits;
  return used <= 8 ? 8 : used <= 16 ? 16 : used <= 32 ? 32 : 64;
}

}  // namespace

DType merge(DType a, DType b) {
  if (a == b) return a;
  if (merge_rank(a) == merge_rank(b)) return bits(a) >= bits(b) ? a : b;
  const DType low = merge_rank(a) < merge_rank(b) ? a : b;
  const DType high = low == a ? b : a;
  if (is_unsigned(low) && is_signed_integer(high)) {
    return sized(Kind::kSigned, std::max(std::min(bits(low) * 2, 64), bits(high)));
  }
  if (low == DType::f64)
    throw UnsupportedError("[type] f64 and c64 meet in c128, which MLX lacks on every device");
  return high;
}

DType merge_number(DType type, const Number& number) {
  if (std::holds_alternative<std::complex<double>>(number)) return merge(type, DType::c64);
  if (!is_integer(type)) return type;
  if (std::holds_alternative<double>(number)) return DType::f32;
  const auto* integer = std::get_if<std::int64_t>(&number);
  if (integer != nullptr && *integer < 0) {
    const int wide = is_unsigned(type) ? std::min(bits(type) * 2, 64) : bits(type);
    return sized(Kind::kSigned,
                 std::max(wide, bits_needed(~static_cast<std::uint64_t>(*integer), 1)));
  }
  const std::uint64_t value =
      integer != nullptr ? static_cast<std::uint64_t>(*integer) : std::get<std::uint64_t>(number);
  return sized(kind(type), std::max(bits(type), bits_needed(value, is_unsigned(type) ? 0 : 1)));
}

DType to_floating(DType type) { return is_integer(type) ? DType::f32 : type; }

DType to_wide(DType type) {
  const DType floating = to_floating(type);
  return bits(floating) == 16 ? DType::f32 : floating;
}

DType to_complex(DType type) {
  if (type == DType::f64)
    throw UnsupportedError(
        "[type] the complex form of f64 is c128, which MLX lacks on every device");
  return DType::c64;
}

DType to_real(DType type) { return is_float(type) ? type : DType::f32; }

DType to_aggregate(DType type) {
  if (!is_integer(type)) return type;
  if (bits(type) == 64) return DType::s64;
  return is_unsigned(type) ? DType::u32 : DType::s32;
}

void require_order(const Call& call) {
  if (is_complex(call.dtype(0)))
    call.type_error("complex numbers have no order; got " + to_string(call.type(0)));
}

namespace types {

DType same(const Call& call) { return call.dtype(0); }

DType merged(const Call& call) {
  DType type = call.dtype(0);
  for (std::size_t i = 1; i < call.size(); ++i) type = merge(type, call.dtype(i));
  return type;
}

DType floating(const Call& call) { return to_floating(merged(call)); }
DType predicate(const Call&) { return DType::u8; }
DType real(const Call& call) { return to_real(call.dtype(0)); }
DType attribute(const Call& call) { return call.attr<DType>("type"); }

}  // namespace types
}  // namespace ops
}  // namespace mlxnx
