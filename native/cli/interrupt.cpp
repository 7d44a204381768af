#include "interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string_view>

#include "files/partial.h"

namespace mlxnx::cli {
namespace {

std::atomic<bool> is_noting{false};
std::atomic<int> noted{0};
// To the thread that waits for a second signal, as a byte each; what is no signal ends it.
std::array<int, 2> to_second = {-1, -1};

// Ends by the signal itself, not by `exit(130)`: only then does a shell end the loop around it too.
void end(int signal) {
  // A second signal may come, to another thread, before this one has ended the process.
  static std::atomic_flag has_told;
  if (has_told.test_and_set()) return;
  constexpr std::string_view kText = "\nmlxnx: interrupted\n";
  const std::string_view text = ::isatty(STDERR_FILENO) != 0 ? kText : kText.substr(1);
  if (signal == SIGINT && ::write(STDERR_FILENO, text.data(), text.size()) < 0) {
    // There is nobody left to tell.
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

bool send(char byte) { return to_second[1] >= 0 && ::write(to_second[1], &byte, 1) == 1; }

void note_or_end(int signal) {
  const int error = errno;
  int none = 0;
  if (is_noting && noted.compare_exchange_strong(none, signal)) return;
  // Files can't be taken away in here.
  if (!is_noting || !send(static_cast<char>(signal))) end(signal);
  errno = error;
}

void wait_for_second() {
  char byte = 0;
  while (::read(to_second[0], &byte, 1) < 0 && errno == EINTR) {
  }
  if (byte == 0) return;
  files::remove_partials_for_good();
  end(byte);
}

}  // namespace

void end_on_interrupt() {
  struct sigaction before {};
  // A program that was started in the background of a script is not to be interrupted.
  if (::sigaction(SIGINT, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) return;
  std::signal(SIGINT, note_or_end);
}

InterruptNote::InterruptNote(Of signals) {
  noted = 0;
  if (::pipe(to_second.data()) == 0) {
    for (const int end : to_second) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    second_ = std::thread(wait_for_second);
  }
  is_noting = true;
  if (signals != Of::kEverySignal) return;
  for (const int signal : {SIGTERM, SIGHUP, SIGPIPE}) {
    struct sigaction before {};
    // Whoever ignores it wants the program to go on.
    if (::sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    before_.emplace(signal, before);
    std::signal(signal, note_or_end);
  }
}

InterruptNote::~InterruptNote() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
  is_noting = false;
  if (!second_.joinable()) return;
  send(0);
  second_.join();
  for (int& end : to_second) {
    ::close(end);
    end = -1;
  }
}

bool InterruptNote::is_interrupted() const { return noted != 0; }
void InterruptNote::end_if_interrupted() const {
  if (noted != 0) end(noted);
}

}  // namespace mlxnx::cli
