#include "interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string_view>

namespace mlxnx::cli {
namespace {

std::atomic<bool> is_noting{false}, is_noted{false};

// Ends by the signal itself, not by `exit(130)`: only then does a shell end the loop around it too.
void end(int signal) {
  // A second signal may come, to another thread, before this one has ended the process.
  static std::atomic_flag has_told;
  if (has_told.test_and_set()) return;
  constexpr std::string_view kText = "\nmlxnx: interrupted\n";
  const std::string_view text = ::isatty(STDERR_FILENO) != 0 ? kText : kText.substr(1);
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) {
    // There is nobody left to tell.
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

namespace {

void note_or_end(int signal) {
  if (is_noting && !is_noted.exchange(true)) return;
  end(signal);
}

}  // namespace

void end_on_interrupt() {
  struct sigaction before {};
  // A program that was started in the background of a script is not to be interrupted.
  if (::sigaction(SIGINT, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  std::signal(SIGINT, note_or_end);
}

InterruptNote::InterruptNote() {
  is_noted = false;
  is_noting = true;
}
InterruptNote::~InterruptNote() { is_noting = false; }

bool InterruptNote::is_interrupted() const { return is_noted; }
void InterruptNote::end_if_interrupted() const {
  if (is_noted) end(SIGINT);
}

}  // namespace mlxnx::cli
