// What a download tells its caller, and asks: progress, whether to stop, how long to wait.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "mlxnx/hub.h"

namespace mlxnx::hub {

/// How much is borne with before a download is given up.
struct Patience {
  int tries = 6;                              ///< in a row that bring nothing
  std::chrono::milliseconds first_wait{250};  ///< twice as long each time
  std::chrono::milliseconds longest_wait{30'000};
  std::chrono::seconds longest_asked{300};  ///< a server that asks for more is given up
  std::chrono::milliseconds stall{30'000};  ///< without a byte
};

class Watch {
 public:
  explicit Watch(const Options& options) : options_(options) {}

  /// Throws: HubError when the caller wants no more.
  void check() const;
  /// Waits, and checks meanwhile.
  void wait(std::chrono::milliseconds time) const;

  /// All that is to be there in the end, and what is already.
  void plan(std::uint64_t size, std::uint64_t bytes, std::size_t files, std::size_t files_done);
  void begin_file(const std::string& name, std::uint64_t size);
  /// The file has so many bytes now, which may be fewer than before.
  void set_bytes(std::uint64_t file_bytes);
  void end_file();

 private:
  void tell();

  const Options& options_;
  Progress progress_;
  std::chrono::steady_clock::time_point told_ = {};
};

}  // namespace mlxnx::hub
