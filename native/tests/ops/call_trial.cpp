#include "ops/call_trial.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "mlxnx/device.h"
#include "mlxnx/ops/elementwise.h"

namespace mlxnx::testing_support {
namespace {

constexpr std::size_t kMemoryLimitBytes = std::size_t{1} << 26;
constexpr unsigned kMostSeconds = 300;
constexpr unsigned kSecondsToReport = 10;
constexpr std::array kSignals = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};

std::atomic<const RandomCall*> call_under_test{nullptr};
std::array<struct sigaction, kSignals.size()> handlers_before;

void write_text(std::string_view text) {
  const auto written = ::write(STDERR_FILENO, text.data(), text.size());
  static_cast<void>(written);
}

// The text may hang in here, so the op's name comes first, and then the alarm ends the process.
void report(int signal) {
  std::signal(signal, SIG_DFL);
  std::signal(SIGALRM, SIG_DFL);
  ::alarm(kSecondsToReport);
  write_text(signal == SIGALRM ? "\nthis call does not end: " : "\nthis call crashes: ");
  if (const RandomCall* call = call_under_test.load(); call != nullptr) {
    write_text(call->op->name);
    write_text("\n");
    write_text(to_string(*call));
  }
  write_text("\n");
  if (signal == SIGALRM) std::_Exit(1);
  std::raise(signal);
}

}  // namespace

std::uint64_t number_from_environment(const char* name, std::uint64_t fallback) {
  const char* text = std::getenv(name);
  if (text == nullptr) return fallback;
  std::uint64_t value = fallback;
  std::from_chars(text, text + std::strlen(text), value);
  return value;
}

std::uint64_t seed_of(std::string_view series, std::uint64_t call) {
  std::uint64_t hash = number_from_environment("MLXNX_ROBUSTNESS_SEED", 1) + call * 0x9e3779b9;
  for (const char letter : series) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  }
  return hash;
}

CallTrial::CallTrial() : limit_before_(set_memory_limit(kMemoryLimitBytes)) {
  struct sigaction action {};
  action.sa_handler = report;
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    ::sigaction(kSignals[i], &action, &handlers_before[i]);
  ::alarm(kMostSeconds);
}

CallTrial::~CallTrial() {
  ::alarm(0);
  for (std::size_t i = 0; i < kSignals.size(); ++i)
    ::sigaction(kSignals[i], &handlers_before[i], nullptr);
  set_memory_limit(limit_before_);
  EXPECT_EQ(add(Tensor(40), Tensor(2)).item<std::int64_t>(), 42) << "adding no longer works";
}

void CallTrial::run(const RandomCall& call, const std::string& label,
                    const std::function<Verdict(const RandomCall&)>& judge) {
  call_under_test.store(&call);
  const Verdict verdict = judge(call);
  call_under_test.store(nullptr);
  evaluated_ += verdict.evaluated ? 1 : 0;
  if (verdict.fault.empty()) return;
  ++faults_;
  ADD_FAILURE() << label << ": " << to_string(call) << "\n" << verdict.fault;
}

}  // namespace mlxnx::testing_support
