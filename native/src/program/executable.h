// A program made ready to run, many times and from any thread.
//
// The list of instructions is cut at control flow and callbacks; each straight run between them is
// one closure that MLX traces once and then replays. A run that proves worth it (after some
// calls, or in a loop that takes long) has its elementwise ops fused, which on a CPU costs a run
// of the C++ compiler per new kernel; where that can't work runs are replayed unfused.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "mlxnx/tensor.h"
#include "program/callback.h"
#include "program/ir.h"

namespace mlxnx::program {

enum class Fusion : std::uint8_t {
  kWhenHot,  ///< after a number of runs, and in long loops
  kAlways,
  kNever,
};

struct ExecutableOptions {
  Fusion fusion = Fusion::kWhenHot;
};

/// Tells a running program that nobody wants its result any more. Any thread.
class Cancellation {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_release); }
  bool is_cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> cancelled_{false};
};

struct RunOptions {
  CallbackHost* host = nullptr;  ///< without one hooks do nothing, and a runtime call is an error
  /// Looked at between instructions and iterations. A program that waits for a callback notices it
  /// once the callback is answered, or its engine woken.
  const Cancellation* cancellation = nullptr;
};

class Executable {
 public:
  /// Verifies the program and evaluates the tensors it captured.
  /// Throws: as `verify`; BackendError.
  explicit Executable(Program program, ExecutableOptions options = {});
  ~Executable();
  Executable(const Executable&) = delete;
  Executable& operator=(const Executable&) = delete;

  /// The outputs for `inputs`; lazy, except for what control flow and callbacks have to know, and
  /// for small tensors, which are computed at once.
  /// Inside a job of the engine it simply runs; otherwise on the engine's own thread, or, for a
  /// short program without control flow or one of small tensors only, on the calling thread.
  /// Throws: ArgumentError for the number of inputs, ShapeError for one of another type or shape,
  /// what a callback failed with, BackendError.
  std::vector<Tensor> run(std::span<const Tensor> inputs, const RunOptions& options = {}) const;

  /// The same if that takes microseconds: a program of small tensors without loops, or a short
  /// one without control flow that was traced before, and an idle engine. Returns: nothing
  /// otherwise.
  std::optional<std::vector<Tensor>> try_run(std::span<const Tensor> inputs) const;

  /// Whether it has loops, which may go on for any time, small as their tensors may be.
  bool lasts() const;

  /// Throws: ArgumentError for the number of inputs, ShapeError for one of another type or shape.
  void check_inputs(std::span<const Tensor> inputs) const;

  const Program& program() const;

  /// What the captured tensors hold, each counted once.
  std::size_t captured_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace mlxnx::program
