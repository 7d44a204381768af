#include "text/library.h"

#include <fmt/format.h>

#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {

bool has_text() { return MLXNX_HAS_TEXT != 0; }

namespace text {

std::string take(mlxnx_text_bytes bytes) {
  const std::unique_ptr<mlxnx_text_bytes, void (*)(mlxnx_text_bytes*)> owner(
      &bytes, [](mlxnx_text_bytes* end) { mlxnx_text_free_bytes(*end); });
  return bytes.size == 0 ? std::string() : std::string(bytes.data, bytes.size);
}

std::vector<std::uint32_t> take(mlxnx_text_numbers numbers) {
  const std::unique_ptr<mlxnx_text_numbers, void (*)(mlxnx_text_numbers*)> owner(
      &numbers, [](mlxnx_text_numbers* end) { mlxnx_text_free_numbers(*end); });
  if (numbers.size == 0) return {};
  return {numbers.data, numbers.data + numbers.size};
}

std::vector<std::pair<std::size_t, std::size_t>> take_ranges(mlxnx_text_numbers numbers) {
  const std::vector<std::uint32_t> ends = take(numbers);
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  ranges.reserve(ends.size() / 2);
  for (std::size_t i = 0; i + 1 < ends.size(); i += 2) ranges.emplace_back(ends[i], ends[i + 1]);
  return ranges;
}

void check(mlxnx_text_status status, mlxnx_text_bytes error, std::string_view op) {
  if (status == MLXNX_TEXT_OK) return;
  const std::string what = fmt::format("[{}] {}", op, take(error));
  switch (status) {
    case MLXNX_TEXT_FORMAT:
      throw FormatError(what);
    case MLXNX_TEXT_UNSUPPORTED:
      throw UnsupportedError(what);
    default:
      throw ArgumentError(what);
  }
}

}  // namespace text
}  // namespace mlxnx
