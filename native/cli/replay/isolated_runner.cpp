#include "replay/isolated_runner.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "mlxnx/error.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;

// What the child sends for each case: the length of the rest, then an Outcome in CBOR.
std::vector<std::uint8_t> to_message(const Outcome& outcome) {
  json message = {{"passed", outcome.passed}, {"fault", outcome.fault}};
  for (std::size_t i = 0; !outcome.passed && i < outcome.outputs.size(); ++i) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(outcome.outputs[i].data());
    const TensorType& type = outcome.types[i];
    message["outputs"].push_back(
        {{"type", static_cast<int>(type.dtype)},
         {"shape", std::vector<std::int64_t>(type.shape.begin(), type.shape.end())},
         {"bytes", json::binary({bytes, bytes + outcome.outputs[i].size()})}});
  }
  return json::to_cbor(message);
}

Outcome from_message(std::span<const std::byte> bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  const json message = json::from_cbor(data, data + bytes.size());
  Outcome outcome;
  outcome.passed = message.at("passed").get<bool>();
  outcome.fault = message.at("fault").get<std::string>();
  for (const json& output : message.value("outputs", json::array())) {
    const auto shape = output.at("shape").get<std::vector<std::int64_t>>();
    outcome.types.push_back(
        {static_cast<DType>(output.at("type").get<int>()), Shape(shape.begin(), shape.end())});
    const auto& elements = output.at("bytes").get_binary();
    const auto* first = reinterpret_cast<const std::byte*>(elements.data());
    outcome.outputs.emplace_back(first, first + elements.size());
  }
  return outcome;
}

bool send(int out, const void* data, std::size_t size) {
  const auto* next = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(out, next, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    next += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

std::string end_text(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("the process was ended by signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  return fmt::format("the process ended with status {}", WEXITSTATUS(status));
}

}  // namespace

Outcome IsolatedRunner::next() {
  const GoldenCase& golden = *cases_[next_];
  if (!options_.use_child) {
    ++next_;
    return run(golden, options_.run);
  }
  if (child_ < 0) start();
  std::uint64_t size = 0;
  bool timed_out = false;
  std::vector<std::byte> message;
  bool complete = receive(std::as_writable_bytes(std::span(&size, 1)), timed_out);
  if (complete) {
    message.resize(size);
    complete = receive(message, timed_out);
  }
  ++next_;
  if (complete) return from_message(message);
  Outcome outcome;
  if (timed_out) ::kill(child_, SIGKILL);
  const int status = stop();
  outcome.fault = timed_out
                      ? fmt::format("no answer within {} s", options_.time_limit.count() / 1000)
                      : end_text(status);
  return outcome;
}

void IsolatedRunner::start() {
  int ends[2];
  if (::pipe(ends) != 0)
    throw BackendError(fmt::format("[replay] no pipe: {}", std::strerror(errno)));
  std::fflush(nullptr);  // the child would write buffered text a second time
  child_ = ::fork();
  if (child_ == 0) {
    ::close(ends[0]);
    std::signal(SIGINT, SIG_DFL);  // this process's handler tells the user
#ifdef __linux__
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a case that hangs would outlive an interrupted replay
#endif
    serve(ends[1]);
  }
  ::close(ends[1]);
  in_ = ends[0];
  if (child_ < 0) throw BackendError(fmt::format("[replay] no process: {}", std::strerror(errno)));
}

int IsolatedRunner::stop() {
  if (in_ >= 0) ::close(in_);
  in_ = -1;
  int status = 0;
  if (child_ > 0) {
    while (::waitpid(child_, &status, 0) < 0 && errno == EINTR) continue;
  }
  child_ = -1;
  return status;
}

void IsolatedRunner::serve(int out) const {
  for (std::size_t i = next_; i < cases_.size(); ++i) {
    const std::vector<std::uint8_t> message = to_message(run(*cases_[i], options_.run));
    const std::uint64_t size = message.size();
    if (!send(out, &size, sizeof size) || !send(out, message.data(), message.size())) break;
  }
  std::_Exit(0);
}

bool IsolatedRunner::receive(std::span<std::byte> bytes, bool& timed_out) const {
  while (!bytes.empty()) {
    pollfd waiting{in_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(options_.time_limit.count()));
    if (ready < 0 && errno == EINTR) continue;
    timed_out = ready == 0;
    if (ready <= 0) return false;
    const ssize_t count = ::read(in_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace mlxnx::cli
