// Programs of f32, halves and truths whose values stay in registers: a block of four vectors goes
// through all steps before the next one does, each step jumps to the next, and all inputs come from
// memory at the pace of the whole. What a step leaves is held for the next one, and another value
// is kept beside it. In vectors of the CPU at hand.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/elementwise.h"
#include "mlxnx/inline_vector.h"

namespace mlxnx::kernels {

class Chain {
 public:
  /// None where a step has no stage, or vectors are short.
  static std::optional<Chain> of(const Program& program);

  /// Elements of a block.
  std::size_t block() const { return block_; }

  /// Where a value's elements lie: one after the other, or a block of them that all blocks share.
  struct Place {
    std::byte* base = nullptr;
    std::size_t moves = 0;  ///< all bits where it moves along, else 0
  };

  /// Inputs that steps read as f32 and that are not.
  std::size_t unpacked() const { return unpacked_; }

  using Stage = void (*)();  ///< of the vectors at hand
  static constexpr std::uint16_t kNowhere = 0xFFFF;
  struct Call {
    Stage stage = nullptr;
    std::array<std::uint16_t, 3> places{kNowhere, kNowhere, kNowhere};
    Kernel kernel = nullptr;
  };
  using Calls = InlineVector<Call, 32>;

  /// What to run for inputs that move as they do in `places`; those that don't are one number.
  Calls calls(std::span<const Place> places) const;

  /// `places` are those of the inputs, of the steps, which have a block of f32 each, of the
  /// results, and of the unpacked inputs, which have one, too. A result may be the memory of an
  /// input that no later step reads, unless elements may be computed twice, which saves the last
  /// ones from being copied. `spare` has room for as many blocks as there are inputs and results.
  void run(const Calls& calls, std::span<const Place> places, std::size_t count,
           bool may_compute_twice, std::byte* spare) const;

  /// Where a stage finds an operand: in the registers of what the stage before left, in memory, in
  /// memory as one number for all elements, or in the registers of what was kept.
  enum class Source : std::uint8_t { kHeld, kMemory, kOne, kKept };
  /// What the vectors at hand do. No `block` where they have no stages.
  struct Target {
    /// Null where there is none. A step of two operands has one for all that they come from, any
    /// other one for a first operand that is held.
    Stage (*stage)(const Step& step, const std::array<Source, 3>& from) = nullptr;
    Stage (*load)(Type type) = nullptr;
    Stage (*store)(Type type) = nullptr;
    Stage (*rounding)(Type half) = nullptr;
    Stage keep = nullptr, take = nullptr;  ///< from what is held, and to it
    Stage kernel = nullptr, end = nullptr;
    void (*run)(const Call* calls, const Place* places, std::size_t begin,
                std::size_t end) = nullptr;
    std::size_t block = 0;
  };
  static Target target();

  struct Part {
    Call call;
    /// Where the first, the second, or both of its places are inputs that are one number; or null.
    std::array<Stage, 3> with_ones{};
  };

 private:
  Chain() = default;

  std::vector<Part> parts_;
  std::vector<Type> inputs_, results_;
  std::size_t steps_ = 0, unpacked_ = 0;
  std::size_t block_ = 0;
  void (*run_)(const Call* calls, const Place* places, std::size_t begin,
               std::size_t end) = nullptr;
};

}  // namespace mlxnx::kernels
