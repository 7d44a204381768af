// Types of elements that kernels know.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mlxnx::kernels {

enum class Type : std::uint8_t {
  kBool,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF32,
  kF64,
  kF16,
  kBf16
};
constexpr std::size_t kTypeCount = 13;

constexpr bool is_half(Type type) { return type == Type::kF16 || type == Type::kBf16; }

/// What f<the C++ type>() answers; for halves, which C++ has not, with the integer of their bits.
template <typename F>
auto with_type(Type type, const F& f) {
  switch (type) {
    case Type::kBool:
      return f.template operator()<bool>();
    case Type::kU8:
      return f.template operator()<std::uint8_t>();
    case Type::kU16:
    case Type::kF16:
    case Type::kBf16:
      return f.template operator()<std::uint16_t>();
    case Type::kU32:
      return f.template operator()<std::uint32_t>();
    case Type::kU64:
      return f.template operator()<std::uint64_t>();
    case Type::kS8:
      return f.template operator()<std::int8_t>();
    case Type::kS16:
      return f.template operator()<std::int16_t>();
    case Type::kS32:
      return f.template operator()<std::int32_t>();
    case Type::kS64:
      return f.template operator()<std::int64_t>();
    case Type::kF64:
      return f.template operator()<double>();
    default:
      return f.template operator()<float>();
  }
}

inline std::size_t size_of(Type type) {
  return with_type(type, []<typename T>() { return sizeof(T); });
}

}  // namespace mlxnx::kernels
