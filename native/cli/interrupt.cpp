#include "interrupt.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string_view>

namespace mlxnx::cli {
namespace {

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

void end_on_interrupt() {
  struct sigaction before {};
  // A program that was started in the background of a script is not to be interrupted.
  if (::sigaction(SIGINT, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  std::signal(SIGINT, end);
}

}  // namespace mlxnx::cli
