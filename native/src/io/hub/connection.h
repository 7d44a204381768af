// Requests to a hub, over libcurl, which is looked for when the first one is made.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include "io/hub/watch.h"

namespace mlxnx::hub {

struct Answer {
  int status = 0;
  std::string host;  ///< that answered
  bool is_of_hub = true;
  std::map<std::string, std::string> headers;       ///< by their names in small letters
  std::optional<std::chrono::seconds> retry_after;  ///< what an overloaded server asks for

  /// Empty where there is none.
  std::string header(const std::string& name) const;
};

/// Something that may go well another time.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
  std::optional<std::chrono::seconds> retry_after = {};
};

/// Takes the bytes of an answer with the status 200 or 206. What it throws ends the request.
struct Receiver {
  std::function<void(const Answer&)> begin;  ///< before the first byte
  std::function<void(std::span<const std::byte>)> take;
};

class Connection {
 public:
  /// `watch` is asked while a request is under way.
  /// Throws: UnsupportedError where there is no libcurl.
  Connection(std::string endpoint, std::string token, const Watch& watch, const Patience& patience);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  bool has_token() const { return !token_.empty(); }

  /// What the hub says of `path`, which goes behind the endpoint. It is not asked of other hosts
  /// that the hub leads to: their headers are not about the file.
  /// Throws, here and below: Broken; HubError when the hub can't be reached or leads elsewhere than
  /// to HTTP.
  Answer head(const std::string& path);
  /// Its contents from byte `from` on, wherever the hub leads to. The token goes to the hub only.
  Answer get(const std::string& path, std::uint64_t from, const Receiver& receiver);

 private:
  struct Handle;
  Answer ask(const std::string& path, std::uint64_t from, const Receiver* receiver);
  Answer request(const std::string& url, bool is_hub, std::uint64_t from, const Receiver* receiver);
  std::string redirected(const std::string& url, const std::string& location) const;
  [[noreturn]] void fail(int error, const std::string& url) const;

  std::string endpoint_, token_;
  const Watch& watch_;
  const Patience& patience_;
  std::unique_ptr<Handle> handle_;
  bool has_answered_ = false;
};

}  // namespace mlxnx::hub
