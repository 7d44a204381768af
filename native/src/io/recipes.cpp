#include "io/recipes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "mlxnx/error.h"

namespace mlxnx::io {
namespace {

struct Recipe {
  std::string_view name;
  std::int64_t low_bits, high_bits;
};
constexpr std::array kRecipes = {Recipe{"mixed_2_6", 2, 6}, Recipe{"mixed_3_4", 3, 4},
                                 Recipe{"mixed_3_6", 3, 6}, Recipe{"mixed_4_6", 4, 6}};

std::optional<std::int64_t> number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> parts_of(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

// At which part of a name the number of the layer stands.
std::size_t place_of_number(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.find("down_proj") == std::string::npos) continue;
    const std::vector<std::string_view> parts = parts_of(name);
    const auto found =
        std::ranges::find_if(parts, [](auto part) { return number(part).has_value(); });
    if (found != parts.end()) return static_cast<std::size_t>(found - parts.begin());
  }
  throw ArgumentError(
      "[convert] mixed recipes are for models with layers called down_proj, which this one has "
      "not");
}

bool holds(std::string_view name, std::string_view part) {
  return name.find(part) != std::string_view::npos;
}

}  // namespace

std::function<Quantization(std::string_view name)> recipe(const std::string& recipe,
                                                          const Quantization& form,
                                                          std::int64_t layers,
                                                          const std::vector<std::string>& names) {
  const auto* found = std::ranges::find(kRecipes, recipe, &Recipe::name);
  if (found == kRecipes.end()) {
    throw ArgumentError(fmt::format(
        "[convert] there is no recipe {:?}: mixed_2_6, mixed_3_4, mixed_3_6 and mixed_4_6 are",
        recipe));
  }
  if (form.mode != QuantizationMode::kAffine)
    throw ArgumentError("[convert] mixed recipes are for the mode affine only");
  const std::size_t place = place_of_number(names);
  return [=, low = found->low_bits, high = found->high_bits](std::string_view name) {
    const std::vector<std::string_view> parts = parts_of(name);
    const std::int64_t index = place < parts.size() ? number(parts[place]).value_or(0) : 0;
    const std::int64_t eighth = layers / 8;
    const bool is_outer = index < eighth || index >= 7 * layers / 8;
    const bool is_third = index >= eighth && (index - eighth) % 3 == 2;
    const bool is_sensitive = holds(name, "v_proj") || holds(name, "v_a_proj") ||
                              holds(name, "v_b_proj") || holds(name, "down_proj");
    const bool has_more = (is_sensitive && (is_outer || is_third)) || holds(name, "lm_head");
    Quantization own = form;
    own.bits = has_more ? high : low;
    return own;
  };
}

}  // namespace mlxnx::io
