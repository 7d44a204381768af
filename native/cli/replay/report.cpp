#include "replay/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "mlxnx/error.h"
#include "output.h"
#include "replay/compare.h"
#include "tensor/printable.h"

namespace mlxnx::cli {
namespace {

using tensors::printable;

constexpr std::size_t kElementsShown = 64;
constexpr std::chrono::milliseconds kBetweenProgress{100};

std::string tensor_line(const char* what, std::size_t i, const GoldenTensor& tensor) {
  return fmt::format("{}[{}]: {} {}\n", what, i, to_string(tensor.type),
                     elements_text(tensor, kElementsShown));
}

}  // namespace

FailureFile::FailureFile(std::filesystem::path path) : path_(std::move(path)) {
  if (!is_open()) return;
  errno = 0;
  stream_.open(path_);
  require_written();
}

void FailureFile::write(const std::string& text) {
  stream_ << text << std::endl;
  require_written();
}

void FailureFile::require_written() {
  if (stream_) return;
  throw ArgumentError(
      fmt::format("[replay] can't write {}: {}", path_.string(), std::strerror(errno)));
}

Report::Report(std::size_t total, Layout layout, FailureFile& failures)
    : cases_(total),
      layout_(layout),
      terminal_(::isatty(STDERR_FILENO) != 0),
      failures_(failures) {}

void Report::begin(const GoldenCase& golden) {
  ++done_;
  const auto now = std::chrono::steady_clock::now();
  if (!terminal_ || now - shown_ < kBetweenProgress) return;
  shown_ = now;
  const std::size_t failed = total_.failed + op_.failed;
  fmt::print(stderr, "\r\033[K{:3}% {} of {}{}: {:.40}", 100 * done_ / cases_, done_, cases_,
             failed == 0 ? "" : fmt::format(", {} failed", failed), printable(golden.op));
}

void Report::clear_progress() {
  if (terminal_) fmt::print(stderr, "\r\033[K");
}

void Report::add(const GoldenCase& golden, const Outcome& outcome, const std::string* reason) {
  if (outcome.passed) {
    ++op_.passed;
  } else if (reason != nullptr) {
    ++op_.skipped;
    ++reasons_[*reason];
  } else {
    ++op_.failed;
    write_failure(golden, outcome);
  }
}

void Report::write_failure(const GoldenCase& golden, const Outcome& outcome) {
  if (!failures_.is_open()) return;
  const std::string layout =
      layout_ == Layout::kRow ? "" : fmt::format(", operands {}", name(layout_));
  std::string text = fmt::format("line {}: {} (case {}{})\n{}\nattrs: {}\n", golden.line,
                                 printable(golden.op), case_id(golden), layout,
                                 printable(outcome.fault), printable(golden.attrs.dump()));
  for (std::size_t i = 0; i < golden.inputs.size(); ++i)
    text += tensor_line("in", i, golden.inputs[i]);
  for (std::size_t i = 0; i < golden.outputs.size(); ++i)
    text += tensor_line("expected", i, golden.outputs[i]);
  for (std::size_t i = 0; i < outcome.outputs.size(); ++i)
    text += tensor_line("got", i, {outcome.types[i], outcome.outputs[i]});
  failures_.write(text);
}

void Report::end_op(const std::string& op) {
  if (op_.failed != 0) {
    clear_progress();
    print(
        fmt::format("{:<28} {:>5} passed, {:>5} failed\n", printable(op), op_.passed, op_.failed));
    flush_output();
  }
  total_.passed += op_.passed;
  total_.failed += op_.failed;
  total_.skipped += op_.skipped;
  op_ = {};
}

void Report::finish() {
  clear_progress();
  if (!reasons_.empty()) print("skipped, known to differ:\n");
  for (const auto& [reason, count] : reasons_)
    print(fmt::format("{:>6}  {}\n", count, printable(reason)));
  print(fmt::format("{} passed, {} failed, {} skipped\n", total_.passed, total_.failed,
                    total_.skipped));
}

}  // namespace mlxnx::cli
