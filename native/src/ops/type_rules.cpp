#include "ops/type_rules.h"

#include <algorithm>
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

DType to_floating(DType type) { return is_integer(type) ? DType::f32 : type; }

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
