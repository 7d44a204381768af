#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "mlxnx/error.h"
#include "mlxnx/nn/layer.h"

namespace mlxnx::nn {
namespace naming {
namespace {

// Up to ten of them, and how many more there are.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 10;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i)
    text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > kMost) text += fmt::format(" and {} more", names.size() - kMost);
  return text;
}

// Floats of any width stand for each other; packed words and counters don't.
bool fits(DType wanted, DType given) {
  return wanted == given || (is_float(wanted) && is_float(given));
}

}  // namespace

void Loading::operator()(const std::string& name, Tensor& tensor) {
  known_.emplace(name, true);
  const auto found = given_.find(name);
  if (found == given_.end()) {
    missing_.push_back(name);
    return;
  }
  const TensorType &wanted = tensor.type(), &given = found->second.type();
  const auto difference = [&] {
    return fmt::format("{} ({}, wanted {})", name, to_string(given), to_string(wanted));
  };
  if (given.shape != wanted.shape) {
    misshapen_.push_back(difference());
  } else if (!fits(wanted.dtype, given.dtype)) {
    mistyped_.push_back(difference());
  } else {
    tensor = found->second;
  }
}

void Loading::finish(bool is_strict) const {
  std::vector<std::string> extra;
  for (const auto& [name, tensor] : given_) {
    if (!known_.contains(name)) extra.push_back(name);
  }
  std::string faults;
  const auto tell = [&](std::string_view what, const std::vector<std::string>& names) {
    if (names.empty()) return;
    faults +=
        fmt::format("{}{} {}: {}", faults.empty() ? "" : "; ", names.size(), what, listed(names));
  };
  if (is_strict) {
    tell("missing", missing_);
    tell("unknown to the model", extra);
  }
  const bool is_help_wanted = !faults.empty() && layer_.empty();
  tell("of another shape", misshapen_);
  tell("of another type", mistyped_);
  if (faults.empty()) return;
  if (is_help_wanted) faults += "; without `strict`, missing and unknown names are passed over";
  throw ArgumentError(fmt::format("[{}] {}", layer_.empty() ? "load_parameters" : layer_,
                                  (layer_.empty() ? "" : "the parameters don't fit: ") + faults));
}

std::string summary(const NamedTensors& tensors, const NamePredicate& trainable) {
  using Row = std::array<std::string, 5>;
  std::vector<Row> rows{{"name", "type", "shape", "trainable", "bytes"}};
  std::int64_t count = 0, trained = 0;
  std::size_t bytes = 0;
  for (const auto& [name, tensor] : tensors) {
    const bool is_trained = is_float(tensor.dtype()) && trainable(name);
    count += tensor.size();
    trained += is_trained ? tensor.size() : 0;
    bytes += tensor.byte_size();
    rows.push_back({name, std::string(mlxnx::name(tensor.dtype())), to_string(tensor.shape()),
                    is_trained ? "yes" : "no", std::to_string(tensor.byte_size())});
  }
  rows.push_back({"total", "", "", fmt::format("{} of {}", trained, count), std::to_string(bytes)});
  std::array<std::size_t, 5> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      table += fmt::format("{:<{}}  ", row[i], widths[i]);
    table += fmt::format("{:>{}}\n", row.back(), widths.back());
  }
  return table;
}

}  // namespace naming

bool is_statistic(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last == "running_mean" || last == "running_var";
}

NamePredicate trainable(NamePredicate which) {
  return [which = std::move(which)](std::string_view name) {
    return !is_statistic(name) && (!which || which(name));
  };
}

}  // namespace mlxnx::nn
