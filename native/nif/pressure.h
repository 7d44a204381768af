// The BEAM's garbage collector counts the words of a term, not the memory of the tensor behind it:
// a process that makes large tensors and little garbage would keep them for long. So ops count the
// bytes they build, and now and then the answer of one asks the calling process to collect its
// garbage.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nif/atoms.h"

namespace mlxnx::nif {

enum class Pressure : std::uint8_t {
  kNone,
  kMinor,  ///< young terms
  kMajor,  ///< all terms: memory has doubled since the last time
};

/// Counts `bytes` of a new tensor. Any thread.
Pressure note_built(std::size_t bytes);

/// `result`, or `{:collect, major?, result}` where memory asks for it; and in its place
/// `{:f64_on_cpu, count, result}` where so many ops went from a GPU to the CPU since that was last
/// told.
Term with_pressure(ErlNifEnv* env, Pressure pressure, Term result);

}  // namespace mlxnx::nif
