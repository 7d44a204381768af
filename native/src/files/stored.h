// What tensor files say of a tensor before any of its elements is read. Pure: no MLX, no Tensor.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mlxnx/dtype.h"
#include "mlxnx/shape.h"

namespace mlxnx::files {

/// How elements are stored. A type's row in kStoredTypes has the same position.
enum class StoredType : std::uint8_t {
  kBool,
  kU8,
  kU16,
  kU32,
  kU64,
  kS8,
  kS16,
  kS32,
  kS64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kC64,
  kF8E4M3,
  kF8E5M2,
  kF8E8M0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kNVFP4,
};

/// `per_block` elements take `block_bytes` bytes. Elements of a `dtype` lie in files as they do in
/// memory; others are converted or decoded.
struct StoredTypeRow {
  StoredType type;
  std::string_view name;  ///< as `mlxnx inspect` shows it
  std::uint32_t per_block;
  std::uint32_t block_bytes;
  std::optional<DType> dtype;
};

inline constexpr std::array kStoredTypes = {
    StoredTypeRow{StoredType::kBool, "bool", 1, 1, DType::u8},
    StoredTypeRow{StoredType::kU8, "u8", 1, 1, DType::u8},
    StoredTypeRow{StoredType::kU16, "u16", 1, 2, DType::u16},
    StoredTypeRow{StoredType::kU32, "u32", 1, 4, DType::u32},
    StoredTypeRow{StoredType::kU64, "u64", 1, 8, DType::u64},
    StoredTypeRow{StoredType::kS8, "s8", 1, 1, DType::s8},
    StoredTypeRow{StoredType::kS16, "s16", 1, 2, DType::s16},
    StoredTypeRow{StoredType::kS32, "s32", 1, 4, DType::s32},
    StoredTypeRow{StoredType::kS64, "s64", 1, 8, DType::s64},
    StoredTypeRow{StoredType::kF16, "f16", 1, 2, DType::f16},
    StoredTypeRow{StoredType::kBF16, "bf16", 1, 2, DType::bf16},
    StoredTypeRow{StoredType::kF32, "f32", 1, 4, DType::f32},
    StoredTypeRow{StoredType::kF64, "f64", 1, 8, DType::f64},
    StoredTypeRow{StoredType::kC64, "c64", 1, 8, DType::c64},
    StoredTypeRow{StoredType::kF8E4M3, "f8_e4m3", 1, 1, std::nullopt},
    StoredTypeRow{StoredType::kF8E5M2, "f8_e5m2", 1, 1, std::nullopt},
    StoredTypeRow{StoredType::kF8E8M0, "f8_e8m0", 1, 1, std::nullopt},
    StoredTypeRow{StoredType::kQ4_0, "Q4_0", 32, 18, std::nullopt},
    StoredTypeRow{StoredType::kQ4_1, "Q4_1", 32, 20, std::nullopt},
    StoredTypeRow{StoredType::kQ5_0, "Q5_0", 32, 22, std::nullopt},
    StoredTypeRow{StoredType::kQ5_1, "Q5_1", 32, 24, std::nullopt},
    StoredTypeRow{StoredType::kQ8_0, "Q8_0", 32, 34, std::nullopt},
    StoredTypeRow{StoredType::kQ2_K, "Q2_K", 256, 84, std::nullopt},
    StoredTypeRow{StoredType::kQ3_K, "Q3_K", 256, 110, std::nullopt},
    StoredTypeRow{StoredType::kQ4_K, "Q4_K", 256, 144, std::nullopt},
    StoredTypeRow{StoredType::kQ5_K, "Q5_K", 256, 176, std::nullopt},
    StoredTypeRow{StoredType::kQ6_K, "Q6_K", 256, 210, std::nullopt},
    StoredTypeRow{StoredType::kIQ4_NL, "IQ4_NL", 32, 18, std::nullopt},
    StoredTypeRow{StoredType::kIQ4_XS, "IQ4_XS", 256, 136, std::nullopt},
    StoredTypeRow{StoredType::kMXFP4, "MXFP4", 32, 17, std::nullopt},
    StoredTypeRow{StoredType::kNVFP4, "NVFP4", 64, 36, std::nullopt},
};

constexpr const StoredTypeRow& row_of(StoredType type) {
  return kStoredTypes[static_cast<std::size_t>(type)];
}

/// A tensor of a file: what it is, and where its elements lie, row by row.
struct StoredTensor {
  std::string name;
  StoredType type = StoredType::kF32;
  Shape shape = {};
  std::uint64_t offset = 0;  ///< of the first byte, from the start of the file
  std::uint64_t bytes = 0;
};

/// The type that elements of `dtype` are stored as.
StoredType stored_type(DType dtype);

/// The tensor as it is written to a file; its offset is not known yet.
StoredTensor stored_tensor(std::string name, const TensorType& type);

/// How many bytes elements of a type and shape take.
/// Throws: FormatError when that is more than can be counted, or the last dimension is no multiple
/// of a block.
std::uint64_t stored_bytes(StoredType type, const Shape& shape);

}  // namespace mlxnx::files
