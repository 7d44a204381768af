#include "model_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "mlxnx/error.h"
#include "progress.h"
#include "tensor/printable.h"

namespace mlxnx::cli {
namespace {

using nlohmann::ordered_json;
using tensors::printable;

std::string form_text(const Quantization& form) {
  return fmt::format("{} {} bits, groups of {}", name(form.mode), *form.bits, *form.group_size);
}

ordered_json form_json(const Quantization& form) {
  return {{"mode", name(form.mode)}, {"bits", *form.bits}, {"group_size", *form.group_size}};
}

struct Row {
  const CheckpointTensor* tensor;
  std::optional<Quantization> form;  ///< of words
};

// What all tensors come to.
struct Sums {
  std::uint64_t parameters = 0, bytes = 0;
  std::map<std::string, std::pair<std::size_t, std::uint64_t>> types;  ///< tensors and bytes
  std::map<std::string, std::size_t> forms;                            ///< layers
  std::set<std::string, std::less<>> unclear;  ///< layers whose form nothing tells
  std::string why_unclear;                     ///< of the first of them
  std::vector<Row> rows;

  explicit Sums(const Checkpoint& checkpoint) {
    for (const CheckpointTensor& tensor : checkpoint.tensors()) add(checkpoint, tensor);
  }
  double bits_per_weight() const {
    return parameters == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(parameters);
  }

 private:
  // A file apart from its settings may not say how its words are meant.
  std::optional<Quantization> form_of(const Checkpoint& checkpoint, std::string_view layer) {
    try {
      return checkpoint.quantization(layer);
    } catch (const FormatError& error) {
      if (unclear.empty()) why_unclear = error.what();
      unclear.emplace(layer);
      return std::nullopt;
    }
  }

  void add(const Checkpoint& checkpoint, const CheckpointTensor& tensor) {
    constexpr std::array<std::string_view, 3> kBeside = {".scales", ".biases", ".global_scale"};
    const std::string_view name = tensor.name;
    const std::string_view layer = name.substr(0, std::min(name.rfind('.'), name.size()));
    const std::optional<Quantization> form = form_of(checkpoint, layer);
    const auto elements = static_cast<std::uint64_t>(element_count(tensor.type.shape));
    Row row{&tensor, std::nullopt};
    if (form && name.ends_with(".weight")) {
      row.form = form;
      ++forms[form_text(*form)];
      parameters += elements * 32 / static_cast<std::uint64_t>(*form->bits);
    } else if (!form || std::ranges::none_of(
                            kBeside, [&](std::string_view end) { return name.ends_with(end); })) {
      parameters += elements;
    }
    bytes += tensor.bytes;
    auto& [count, sum] = types[tensor.stored];
    ++count;
    sum += tensor.bytes;
    rows.push_back(std::move(row));
  }
};

// Shown whatever it is: nothing is done by it here.
std::string model_type_of(const Config& config) {
  try {
    return config.get<std::string>("model_type", "");
  } catch (const FormatError&) {
    Config own;
    own.set_from("model_type", config);
    return own.to_json();
  }
}

}  // namespace

std::string to_table(const Checkpoint& checkpoint) {
  const Sums sums(checkpoint);
  std::string text =
      fmt::format("{}: {}", printable(checkpoint.path().string()), checkpoint.format());
  const std::string model_type = model_type_of(checkpoint.config());
  if (!model_type.empty()) text += fmt::format(", model type {}", printable(model_type));
  text +=
      fmt::format("\n{} tensors, {} parameters, {} ({:.3f} bits per weight)\n", sums.rows.size(),
                  sums.parameters, bytes_text(sums.bytes), sums.bits_per_weight());
  for (const auto& [type, count] : sums.types)
    text +=
        fmt::format("  {:<12} {:>6} tensors, {}\n", type, count.first, bytes_text(count.second));
  for (const auto& [form, layers] : sums.forms)
    text += fmt::format("  {} layer{} quantized: {}\n", layers, layers == 1 ? "" : "s", form);
  if (!sums.unclear.empty()) {
    text += fmt::format(
        "  {} layer{} quantized: the bits are not known, words count as parameters; {}\n",
        sums.unclear.size(), sums.unclear.size() == 1 ? "" : "s",
        checkpoint.format() == "safetensors" ? "open the folder with its config.json"
                                             : printable(sums.why_unclear));
  }
  std::size_t widest = 0;
  for (const Row& row : sums.rows) widest = std::max(widest, printable(row.tensor->name).size());
  constexpr std::size_t kWidest = 72;
  for (const Row& row : sums.rows) {
    const CheckpointTensor& tensor = *row.tensor;
    text += fmt::format("{:<{}}  {:<18} {:>10}  {}{}\n", printable(tensor.name),
                        std::min(widest, kWidest), to_string(tensor.type), bytes_text(tensor.bytes),
                        tensor.stored, row.form ? ", " + form_text(*row.form) : "");
  }
  return text;
}

std::string to_json(const Checkpoint& checkpoint) {
  const Sums sums(checkpoint);
  ordered_json types = ordered_json::object(), tensors = ordered_json::array();
  for (const auto& [type, count] : sums.types)
    types[type] = {{"tensors", count.first}, {"bytes", count.second}};
  for (const Row& row : sums.rows) {
    const CheckpointTensor& tensor = *row.tensor;
    ordered_json entry = {
        {"name", tensor.name},
        {"type", name(tensor.type.dtype)},
        {"shape", std::vector<std::int64_t>(tensor.type.shape.begin(), tensor.type.shape.end())},
        {"stored", tensor.stored},
        {"bytes", tensor.bytes}};
    if (row.form) entry["quantization"] = form_json(*row.form);
    tensors.push_back(std::move(entry));
  }
  ordered_json result = {{"path", checkpoint.path().string()},
                         {"format", checkpoint.format()},
                         {"model_type", model_type_of(checkpoint.config())},
                         {"parameters", sums.parameters},
                         {"bytes", sums.bytes},
                         {"bits_per_weight", sums.bits_per_weight()},
                         {"types", std::move(types)},
                         {"quantization", sums.forms},
                         {"unclear_layers", sums.unclear.size()},
                         {"tensors", std::move(tensors)}};
  return result.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace mlxnx::cli
