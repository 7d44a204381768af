// Texts that end a text, wherever pieces are cut.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace mlxnx::llm {

class StopTexts {
 public:
  explicit StopTexts(std::vector<std::string> texts);
  /// What can be told of a piece and those before it. Nothing that may be the beginning of an end
  /// is told before it is known not to be.
  std::string push(const std::string& piece);
  /// Whether an end has come.
  bool is_found() const { return is_found_; }
  /// What was held back when no more comes.
  std::string finish() { return std::exchange(held_, {}); }

 private:
  std::vector<std::string> texts_;
  std::string held_;
  bool is_found_ = false;
};

}  // namespace mlxnx::llm
