#include "llm/stop_texts.h"

#include <algorithm>

#include "mlxnx/error.h"

namespace mlxnx::llm {

StopTexts::StopTexts(std::vector<std::string> texts) : texts_(std::move(texts)) {
  for (const std::string& text : texts_) {
    if (text.empty()) throw ArgumentError("[generate] a stop text is empty");
  }
}

std::string StopTexts::push(const std::string& piece) {
  held_ += piece;
  std::size_t first = std::string::npos;
  for (const std::string& text : texts_) first = std::min(first, held_.find(text));
  if (first != std::string::npos) {
    is_found_ = true;
    held_.resize(first);
    return finish();
  }
  std::size_t kept = 0;
  for (const std::string& text : texts_) {
    for (std::size_t size = std::min(text.size() - 1, held_.size()); size > kept; --size) {
      if (held_.ends_with(text.substr(0, size))) kept = size;
    }
  }
  std::string told = held_.substr(0, held_.size() - kept);
  held_.erase(0, told.size());
  return told;
}

}  // namespace mlxnx::llm
