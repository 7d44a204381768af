// Ctrl-C ends the program at once and says so.
#pragma once

namespace mlxnx::cli {

/// Makes SIGINT print a line to standard error before it ends the process; a shell then reports
/// status 130.
void end_on_interrupt();

/// Until this object is gone, a first Ctrl-C is only noted, so that what is half done can be taken
/// away; a second one ends the program.
class InterruptNote {
 public:
  InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;
  ~InterruptNote();

  bool is_interrupted() const;
  /// Ends the program as Ctrl-C does, if it was pressed.
  void end_if_interrupted() const;
};

}  // namespace mlxnx::cli
