// Elements in order along an axis, the positions that put them there, and the largest ones, in
// vectors of the CPU at hand where these help. Nothing here knows MLX or starts threads.
//
// Every order is stable. NaN are larger than everything and equal to each other, and zeros of both
// signs are equal. Descending order is that of the reversed run, reversed: NaN first.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/type.h"

namespace mlxnx::kernels {

/// Runs of one array in row-major order along one axis.
struct Runs {
  const void* in = nullptr;
  Type type = Type::kF32;
  std::int64_t length = 1;  ///< elements of a run, at least 1 and less than 2^32
  std::int64_t step = 1;    ///< between elements of a run; as many runs lie side by side
  bool descending = false;
};

/// Writes runs [first, first + count) in order to their places in `out`, of the type and shape of
/// `in`. All NaN become one. Throws: std::bad_alloc.
void sort_runs(const Runs& runs, std::int64_t first, std::int64_t count, void* out);

/// Likewise the positions of their elements in the run.
void argsort_runs(const Runs& runs, std::int64_t first, std::int64_t count, std::uint32_t* out);

/// The positions of the `k` largest elements of runs [first, first + count) whose elements are
/// neighbours, from the largest on, of equals the first; `k` of them for each run, in `out` from
/// `first * k` on. `k` is at least 1 and at most `length`.
void top_of_runs(const Runs& runs, std::int64_t k, std::int64_t first, std::int64_t count,
                 std::uint32_t* out);

/// A long run whose elements are neighbours, cut into parts to be put in order by themselves.
class LongRun {
 public:
  /// Whether runs are worth that, and can be cut, with the vectors at hand.
  static bool takes(const Runs& runs);

  /// Cuts run `number` into `parts` or fewer. Throws: std::bad_alloc.
  LongRun(const Runs& runs, std::int64_t number, std::size_t parts, void* out);
  std::int64_t parts() const { return static_cast<std::int64_t>(parts_.size()); }
  /// Writes part `i` in order to its place. From any thread.
  void sort_part(std::int64_t i) const;
  /// What is left to do when all parts are in their places.
  void finish() const;

 private:
  struct Part {
    std::int32_t *keys, *scratch, *out;  // no keys: in order already
    std::int64_t count;
  };

  std::int32_t* sorted() const { return memory_.get() + 2 * runs_.length; }

  Runs runs_;  // this one alone
  void* out_;
  bool has_both_zeros_ = false;
  std::unique_ptr<std::int32_t[]> memory_;
  std::vector<Part> parts_;
};

}  // namespace mlxnx::kernels
