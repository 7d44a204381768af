// A series of calls that the library must survive, for tests that make many of them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ops/random_call.h"

namespace mlxnx::testing_support {

/// The number in the environment variable `name`, or `fallback`.
std::uint64_t number_from_environment(const char* name, std::uint64_t fallback);

/// A seed for call number `call` of a series, which the name sets apart from other series.
/// `MLXNX_ROBUSTNESS_SEED` makes all seeds others.
std::uint64_t seed_of(std::string_view series, std::uint64_t call);

/// While it lives, one array may take 64 MiB: absurd sizes are to be refused, not tried. A crash,
/// and a series that takes minutes, print the call that was running. At the end a known sum must
/// still be right.
class CallTrial {
 public:
  CallTrial();
  ~CallTrial();
  CallTrial(const CallTrial&) = delete;
  CallTrial& operator=(const CallTrial&) = delete;

  /// Makes `call` and reports what `judge` finds wrong with the answer.
  void run(const RandomCall& call, const std::string& label,
           const std::function<Verdict(const RandomCall&)>& judge = testing_support::judge);

  /// Whether so much is wrong that more calls tell nothing new.
  bool gave_up() const { return faults_ >= kMostFaults; }
  /// Calls that gave outputs.
  std::uint64_t evaluated() const { return evaluated_; }

 private:
  static constexpr int kMostFaults = 5;
  std::size_t limit_before_;
  int faults_ = 0;
  std::uint64_t evaluated_ = 0;
};

}  // namespace mlxnx::testing_support
