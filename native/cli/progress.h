// How far a long command is, on standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace mlxnx::cli {

/// Bytes for people: "98.4 MB".
std::string bytes_text(std::uint64_t bytes);

/// A line that is rewritten on a terminal, with the rate and the time left; elsewhere a line for
/// each tenth. Quiet ones show nothing.
class ProgressLine {
 public:
  enum class Unit : std::uint8_t { kBytes, kNumber };
  /// `what` is under way: "writing".
  explicit ProgressLine(std::string what, bool is_quiet = false, Unit unit = Unit::kBytes);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine() { clear(); }

  /// Cheap to call often.
  void show(std::uint64_t done, std::uint64_t total);
  /// Takes the line away, so that others can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(std::uint64_t done, std::uint64_t total) const;
  std::string text_of(double amount) const;

  std::string what_;
  Unit unit_;
  bool is_quiet_, is_terminal_, is_shown_ = false;
  Clock::time_point start_ = Clock::now(), shown_ = {};
  std::uint64_t first_ = 0, tenth_ = 0;
  bool has_first_ = false;
};

}  // namespace mlxnx::cli
