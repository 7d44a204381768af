#include "replay/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include "replay/compare.h"

namespace mlxnx::cli {
namespace {

constexpr std::size_t kElementsShown = 64;

std::string tensor_line(const char* what, std::size_t i, const GoldenTensor& tensor) {
  return fmt::format("{}[{}]: {} {}\n", what, i, to_string(tensor.type),
                     elements_text(tensor, kElementsShown));
}

}  // namespace

Report::Report(std::size_t total, Layout layout, std::ofstream& failures)
    : cases_(total),
      layout_(layout),
      terminal_(::isatty(STDERR_FILENO) != 0),
      failures_(failures) {}

void Report::begin(const GoldenCase& golden) {
  ++done_;
  if (terminal_ && done_ % 64 == 1) {
    fmt::print(stderr, "\r\033[K{:3}% {} of {}: {}", 100 * done_ / cases_, done_, cases_,
               golden.op);
  }
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
  std::string text = fmt::format("line {}: {} (case {}{})\n{}\nattrs: {}\n", golden.line, golden.op,
                                 case_id(golden), layout, outcome.fault, golden.attrs.dump());
  for (std::size_t i = 0; i < golden.inputs.size(); ++i)
    text += tensor_line("in", i, golden.inputs[i]);
  for (std::size_t i = 0; i < golden.outputs.size(); ++i)
    text += tensor_line("expected", i, golden.outputs[i]);
  for (std::size_t i = 0; i < outcome.outputs.size(); ++i)
    text += tensor_line("got", i, {outcome.types[i], outcome.outputs[i]});
  failures_ << text << std::endl;
}

void Report::end_op(const std::string& op) {
  if (op_.failed != 0) {
    clear_progress();
    fmt::print("{:<28} {:>5} passed, {:>5} failed\n", op, op_.passed, op_.failed);
    std::fflush(stdout);
  }
  total_.passed += op_.passed;
  total_.failed += op_.failed;
  total_.skipped += op_.skipped;
  op_ = {};
}

void Report::finish() {
  clear_progress();
  if (!reasons_.empty()) fmt::print("skipped, known to differ:\n");
  for (const auto& [reason, count] : reasons_) fmt::print("{:>6}  {}\n", count, reason);
  fmt::print("{} passed, {} failed, {} skipped\n", total_.passed, total_.failed, total_.skipped);
  std::fflush(stdout);
}

}  // namespace mlxnx::cli
