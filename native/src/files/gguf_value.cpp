#include <fmt/format.h>

#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include "files/gguf.h"
#include "files/gguf_cursor.h"
#include "mlxnx/error.h"

namespace mlxnx::files {
namespace {

constexpr std::size_t kMostDepth = 4;

constexpr std::array<std::string_view, 13> kTypeNames = {
    "u8", "s8", "u16", "s16", "u32", "s32", "f32", "bool", "text", "list", "u64", "s64", "f64"};

std::string_view name(GgufType type) { return kTypeNames[static_cast<std::size_t>(type)]; }

// The number that lies at `bytes`, given to `f` in its own type. False for what is no number.
template <typename F>
bool with_number(GgufType type, std::span<const std::byte> bytes, F f) {
  const auto give = [&](auto number) {
    std::memcpy(&number, bytes.data(), sizeof number);
    f(number);
    return true;
  };
  switch (type) {
    case GgufType::kU8:
      return give(std::uint8_t{});
    case GgufType::kS8:
      return give(std::int8_t{});
    case GgufType::kU16:
      return give(std::uint16_t{});
    case GgufType::kS16:
      return give(std::int16_t{});
    case GgufType::kU32:
      return give(std::uint32_t{});
    case GgufType::kS32:
      return give(std::int32_t{});
    case GgufType::kU64:
      return give(std::uint64_t{});
    case GgufType::kS64:
      return give(std::int64_t{});
    case GgufType::kF32:
      return give(float{});
    case GgufType::kF64:
      return give(double{});
    default:
      return false;
  }
}

std::optional<std::int64_t> integer_at(GgufType type, std::span<const std::byte> bytes) {
  std::optional<std::int64_t> integer;
  with_number(type, bytes, [&](auto number) {
    if constexpr (std::is_integral_v<decltype(number)>) {
      if (std::in_range<std::int64_t>(number)) integer = static_cast<std::int64_t>(number);
    }
  });
  return integer;
}

std::optional<double> number_at(GgufType type, std::span<const std::byte> bytes) {
  std::optional<double> result;
  with_number(type, bytes, [&](auto number) { result = static_cast<double>(number); });
  return result;
}

}  // namespace

GgufCursor::ListHead GgufCursor::list_head() {
  const GgufType item = type();
  const auto count = number<std::uint64_t>("the length of a list");
  // Of texts and lists no more than their lengths are known to be there.
  const std::size_t least = item == GgufType::kText   ? 8
                            : item == GgufType::kList ? 12
                                                      : gguf_bytes(item);
  if (count > left() / least) refuse(fmt::format("a list of {} {}", count, name(item)));
  return {item, count};
}

void GgufCursor::skip(GgufType type) {
  std::array<ListHead, kMostDepth + 1> open = {{{type, 1}}};
  std::size_t depth = 1;
  while (depth > 0) {
    ListHead& list = open[depth - 1];
    if (list.item != GgufType::kList || list.count == 0) {
      skip_items(list.item, list.count);
      --depth;
      continue;
    }
    if (depth > kMostDepth)
      throw FormatError(fmt::format("lists are nested deeper than {}", kMostDepth));
    --list.count;
    open[depth++] = list_head();
  }
}

void GgufCursor::skip_items(GgufType type, std::uint64_t count) {
  if (type == GgufType::kText) {
    for (std::uint64_t i = 0; i < count; ++i) text("a text");
    return;
  }
  const auto items = take(count * gguf_bytes(type), name(type));
  if (type != GgufType::kBool) return;
  for (const std::byte item : items) {
    if (item > std::byte{1})
      throw FormatError(fmt::format("{} is no boolean", std::to_integer<int>(item)));
  }
}

void GgufValue::refuse(std::string_view wanted) const {
  throw FormatError(fmt::format("key {} is {}, not {}", files::shown(key_), shown(), wanted));
}

std::string GgufValue::shown() const {
  switch (type_) {
    case GgufType::kText:
      return files::shown(as_text());
    case GgufType::kBool:
      return as_boolean() ? "true" : "false";
    case GgufType::kList:
      return fmt::format("a list of {} {}", size(), name(item_type()));
    default: {
      std::string text;
      with_number(type_, bytes_,
                  [&](auto number) { text = fmt::format("{} {}", name(type_), number); });
      return text;
    }
  }
}

std::string_view GgufValue::as_text() const {
  if (type_ != GgufType::kText) refuse("a text");
  return GgufCursor(bytes_).text("a text");
}

bool GgufValue::as_boolean() const {
  if (type_ != GgufType::kBool) refuse("a boolean");
  return bytes_.front() != std::byte{0};
}

std::uint64_t GgufValue::as_natural() const {
  std::optional<std::uint64_t> natural;
  with_number(type_, bytes_, [&](auto number) {
    if constexpr (std::is_integral_v<decltype(number)>) {
      if (std::in_range<std::uint64_t>(number)) natural = static_cast<std::uint64_t>(number);
    }
  });
  if (!natural) refuse("an integer that is not negative");
  return *natural;
}

std::int64_t GgufValue::as_integer() const {
  const auto integer = integer_at(type_, bytes_);
  if (!integer) refuse("an integer of 64 bits");
  return *integer;
}

double GgufValue::as_number() const {
  const auto number = number_at(type_, bytes_);
  if (!number) refuse("a number");
  return *number;
}

GgufType GgufValue::item_type() const {
  if (type_ != GgufType::kList) refuse("a list");
  return GgufCursor(bytes_).list_head().item;
}

std::uint64_t GgufValue::size() const {
  if (type_ != GgufType::kList) refuse("a list");
  return GgufCursor(bytes_).list_head().count;
}

std::vector<std::string_view> GgufValue::as_texts() const {
  if (type_ != GgufType::kList || item_type() != GgufType::kText) refuse("a list of texts");
  GgufCursor cursor(bytes_);
  std::vector<std::string_view> texts(cursor.list_head().count);
  for (std::string_view& text : texts) text = cursor.text("a text");
  return texts;
}

std::vector<bool> GgufValue::as_booleans() const {
  if (type_ != GgufType::kList || item_type() != GgufType::kBool) refuse("a list of booleans");
  std::vector<bool> booleans;
  for (const std::byte item : as_bytes()) booleans.push_back(item != std::byte{0});
  return booleans;
}

std::vector<std::int64_t> GgufValue::as_integers() const {
  constexpr std::string_view kWanted = "a list of integers of 64 bits";
  if (type_ != GgufType::kList || gguf_bytes(item_type()) == 0) refuse(kWanted);
  const GgufType item = item_type();
  const auto bytes = as_bytes();
  std::vector<std::int64_t> integers(size());
  for (std::size_t i = 0; i < integers.size(); ++i) {
    const auto integer = integer_at(item, bytes.subspan(i * gguf_bytes(item)));
    if (!integer) refuse(kWanted);
    integers[i] = *integer;
  }
  return integers;
}

std::vector<double> GgufValue::as_numbers() const {
  constexpr std::string_view kWanted = "a list of numbers";
  if (type_ != GgufType::kList || gguf_bytes(item_type()) == 0) refuse(kWanted);
  const GgufType item = item_type();
  const auto bytes = as_bytes();
  std::vector<double> numbers(size());
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto number = number_at(item, bytes.subspan(i * gguf_bytes(item)));
    if (!number) refuse(kWanted);
    numbers[i] = *number;
  }
  return numbers;
}

std::vector<GgufValue> GgufValue::as_lists() const {
  if (type_ != GgufType::kList || item_type() != GgufType::kList) refuse("a list of lists");
  GgufCursor cursor(bytes_);
  std::vector<GgufValue> lists(cursor.list_head().count, *this);
  for (GgufValue& list : lists) {
    list.bytes_ = cursor.rest();
    cursor.skip(GgufType::kList);
  }
  return lists;
}

std::span<const std::byte> GgufValue::as_bytes() const {
  if (type_ != GgufType::kList || gguf_bytes(item_type()) == 0)
    refuse("a list of numbers or booleans");
  GgufCursor cursor(bytes_);
  const auto [item, count] = cursor.list_head();
  return cursor.take(count * gguf_bytes(item), "items");
}

std::span<const std::byte> GgufValue::encoded() const {
  GgufCursor cursor(bytes_);
  cursor.skip(type_);
  return bytes_.first(cursor.at());
}

}  // namespace mlxnx::files
