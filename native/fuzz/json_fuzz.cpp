#include <string>
#include <string_view>

#include "files/json_values.h"
#include "fuzz.h"

namespace mlxnx::fuzz {
namespace {

// Asks a value for all that it may be.
void ask(const nlohmann::json& value) {
  const auto asked = [](auto question) { read_or_refuse(question); };
  const std::string shown = files::shown(value);
  require(shown.size() <= 110);
  (void)nlohmann::json(shown).dump();  // throws unless it is UTF-8
  asked([&] { files::integer<std::int64_t>(value); });
  asked([&] { files::integer<std::uint64_t>(value); });
  asked([&] { files::integer<std::int32_t>(value); });
  asked([&] { files::text(value); });
  asked([&] { files::list(value); });
  asked([&] { files::text_member(value, "model_type"); });
  asked([&] { files::list_member(value, "shape"); });
  asked([&] { files::optional_list(value, "shape"); });
}

void read(std::string_view text) {
  constexpr int kMostDepth = 64;
  const nlohmann::json parsed = files::parse_json(text, kMostDepth);
  require(files::json_depth(text) <= kMostDepth);
  ask(parsed);
  if (parsed.is_structured())
    for (const nlohmann::json& value : parsed) ask(value);
}

}  // namespace
}  // namespace mlxnx::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return mlxnx::fuzz::read_or_refuse([&] {
    mlxnx::fuzz::read({reinterpret_cast<const char*>(data), size});
  });
}
