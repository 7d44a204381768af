// Element types under their Nx names. Pure: no MLX, no device.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mlxnx {

/// An element type. The numbers are written to files: persistent, never renumber.
enum class DType : std::uint8_t {
  u8 = 0,
  u16 = 1,
  u32 = 2,
  u64 = 3,
  s8 = 4,
  s16 = 5,
  s32 = 6,
  s64 = 7,
  f16 = 8,
  bf16 = 9,
  f32 = 10,
  f64 = 11,
  c64 = 12,
};

/// All element types, in the order of their numbers.
inline constexpr std::array<DType, 13> kDTypes = {
    DType::u8,  DType::u16, DType::u32,  DType::u64, DType::s8,  DType::s16, DType::s32,
    DType::s64, DType::f16, DType::bf16, DType::f32, DType::f64, DType::c64};

/// The four families that Nx's type rules speak of.
enum class Kind : std::uint8_t { kUnsigned, kSigned, kFloat, kComplex };

/// The family of `type`.
constexpr Kind kind(DType type) {
  if (type <= DType::u64) return Kind::kUnsigned;
  if (type <= DType::s64) return Kind::kSigned;
  return type == DType::c64 ? Kind::kComplex : Kind::kFloat;
}

constexpr bool is_unsigned(DType type) { return kind(type) == Kind::kUnsigned; }
constexpr bool is_signed_integer(DType type) { return kind(type) == Kind::kSigned; }
constexpr bool is_integer(DType type) { return type <= DType::s64; }
constexpr bool is_float(DType type) { return kind(type) == Kind::kFloat; }
constexpr bool is_complex(DType type) { return type == DType::c64; }

/// Bytes of one element of `type`.
constexpr std::size_t size_bytes(DType type) {
  constexpr std::array<std::uint8_t, 13> kSizes = {1, 2, 4, 8, 1, 2, 4, 8, 2, 2, 4, 8, 8};
  return kSizes[static_cast<std::size_t>(type)];
}

/// Bits of one element of `type`, as in its name.
constexpr int bits(DType type) { return static_cast<int>(size_bytes(type)) * 8; }

/// The Nx name of `type`, such as "bf16".
constexpr std::string_view name(DType type) {
  constexpr std::array<std::string_view, 13> kNames = {
      "u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64", "f16", "bf16", "f32", "f64", "c64"};
  return kNames[static_cast<std::size_t>(type)];
}

/// The type with the Nx name `text`.
/// Throws: UnsupportedError for an Nx type that MLX lacks (c128, f8, s2, …), TypeError for anything
/// else.
DType dtype_from_name(std::string_view text);

}  // namespace mlxnx
