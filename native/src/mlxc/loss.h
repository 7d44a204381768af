// What happens when a kernel fails on the thread of its stream, where nobody can catch it: memory
// ran out in its midst. Results that were being computed are lost then, on all streams, and which
// they are can't be told from MLX's arrays. So values carry a generation. A loss begins a new one;
// kernels of older ones are left out, and older values that were not evaluated raise.
#pragma once

#include <atomic>
#include <cstdint>

namespace mlxnx::mlxc {

using Generation = std::uint32_t;

extern constinit std::atomic<Generation> newest_generation;

/// Of what the calling thread builds now: inside a job the newest when the job began.
Generation generation();

/// Throws: BackendError when values of `generation` are lost.
void require_kept(Generation generation);

/// A kernel has failed with the exception that is in flight.
void note_loss() noexcept;

/// The time that the calling thread runs a job.
class GenerationScope {
 public:
  GenerationScope();
  ~GenerationScope();
  GenerationScope(const GenerationScope&) = delete;
  GenerationScope& operator=(const GenerationScope&) = delete;

 private:
  const bool is_outermost_;
};

}  // namespace mlxnx::mlxc
