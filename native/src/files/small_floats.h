// Floats of 8 bits (OCP's Microscaling formats, version 1.0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "files/stored.h"

namespace mlxnx::files {

/// The bf16 of the bits `element` of the type kF8E4M3, kF8E5M2 or kF8E8M0, exactly.
std::uint16_t small_float_as_bf16(StoredType type, std::uint8_t element);

/// The same of many; `out` is as long as `elements`.
void small_floats_as_bf16(StoredType type, std::span<const std::byte> elements,
                          std::span<std::uint16_t> out);

}  // namespace mlxnx::files
