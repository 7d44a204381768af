#pragma once

#include <cstdint>

namespace mlxnx {

/// What a loop keeps of its iterations until its gradient comes back to them. Times are those of n
/// iterations, memory that of their states.
enum class Tape : std::uint8_t {
  kAll,        ///< every state: time O(n), memory O(n)
  kSqrt,       ///< every √n-th, between which it runs again: time O(n), memory O(√n)
  kRecompute,  ///< only the first: time O(n²), memory O(1)
};

}  // namespace mlxnx
