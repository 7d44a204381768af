// What a replay counts and prints.
#pragma once

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "replay/golden_data.h"
#include "replay/layout.h"
#include "replay/runner.h"

namespace mlxnx::cli {

struct Counts {
  std::size_t passed = 0;
  std::size_t failed = 0;
  std::size_t skipped = 0;
};

/// Where failing cases are written; without a path, nowhere.
class FailureFile {
 public:
  /// Throws: ArgumentError when the file can't be written.
  explicit FailureFile(std::filesystem::path path);
  bool is_open() const { return !path_.empty(); }
  /// Throws: ArgumentError when the file can't be written.
  void write(const std::string& text);

 private:
  void require_written();

  std::filesystem::path path_;
  std::ofstream stream_;
};

class Report {
 public:
  /// `failures` must outlive the report.
  Report(std::size_t total, Layout layout, FailureFile& failures);

  /// Shows on a terminal where the replay is.
  void begin(const GoldenCase& golden);
  /// `reason`: why a failure is a known difference; null when it is none.
  /// Throws: ArgumentError when the file for failing cases can't be written.
  void add(const GoldenCase& golden, const Outcome& outcome, const std::string* reason);
  /// Prints the reasons of skipped cases, then `N passed, N failed, N skipped`.
  void finish();
  /// Prints the counts of an op if it had failures.
  void end_op(const std::string& op);

  const Counts& counts() const { return total_; }

 private:
  void clear_progress();
  void write_failure(const GoldenCase& golden, const Outcome& outcome);

  std::size_t cases_;
  Layout layout_;
  std::size_t done_ = 0;
  bool terminal_;
  std::chrono::steady_clock::time_point shown_;  ///< when the progress was
  FailureFile& failures_;
  Counts total_;
  Counts op_;
  std::map<std::string, std::size_t> reasons_;
};

}  // namespace mlxnx::cli
