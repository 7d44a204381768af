// Guesses of the tokens to come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mlxnx/llm/generate.h"

namespace mlxnx::llm {

/// The cache as it is, where further tokens may not be taken back from it again. Elsewhere nothing:
/// while a copy is there, rows can't be written in place.
std::optional<Cache> snapshot(const Cache& cache);

class Drafts {
 public:
  virtual ~Drafts() = default;
  /// Up to `most` tokens that may follow `tokens`.
  virtual std::vector<std::uint32_t> propose(const std::vector<std::uint32_t>& tokens,
                                             std::int64_t most) = 0;
  /// How many of the last proposal it was. Asked after each proposal.
  virtual void accepted(std::size_t count) = 0;
};

/// Those of a draft model, or, without one, of what the text has said before; `options` have a
/// speculation.
std::unique_ptr<Drafts> make_drafts(const GenerateOptions& options, const Tensor& key);

}  // namespace mlxnx::llm
