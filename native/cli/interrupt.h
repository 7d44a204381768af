// Ctrl-C ends the program at once and says so.
#pragma once

#include <csignal>
#include <map>
#include <optional>
#include <thread>

namespace mlxnx::cli {

/// Makes SIGINT print a line to standard error before it ends the process; a shell then reports
/// status 130.
void end_on_interrupt();

/// Until this object is gone, a first Ctrl-C is only noted, so that what is half done can be taken
/// away; a second one takes away what is partial and ends the program at once. One at a time.
class InterruptNote {
 public:
  enum class Of {
    kInterrupt,
    kEverySignal  ///< that asks a process to end: SIGTERM, SIGHUP and SIGPIPE too
  };
  explicit InterruptNote(Of signals = Of::kInterrupt);
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;
  ~InterruptNote();

  bool is_interrupted() const;
  /// Ends the program as the signal does that was noted, if one was.
  void end_if_interrupted() const;

 private:
  std::thread second_;  ///< waits for a second signal
  std::map<int, struct sigaction> before_;
};

}  // namespace mlxnx::cli
