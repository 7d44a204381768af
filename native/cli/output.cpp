#include "output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <string>

#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::cli {
namespace {

[[noreturn]] void fail(int error) {
  if (error == EPIPE) {  // whoever started the program ignores the signal
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  throw ArgumentError(fmt::format("can't write to standard output: {}",
                                  error == 0 ? "it was lost" : std::strerror(error)));
}

}  // namespace

void open_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // Opened the wrong way round. The lowest number that is free is the one that was closed.
    ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail(errno);
}

void flush_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0 || !std::cout) fail(errno);
}

// Nobody could be told that standard error is gone.
void print_error(std::string_view text) {
  const std::string line = fmt::format("mlxnx: {}\n", tensors::printable(text));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace mlxnx::cli
