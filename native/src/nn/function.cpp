#include "nn/function.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "mlxnx/error.h"

namespace mlxnx::nn {
namespace {

struct Functions {
  std::vector<const FunctionDef*> in_order;
  std::map<std::pair<Family, std::string_view>, const FunctionDef*> by_name;

  Functions() {
    for (const auto family : {
             activation_functions(),
             fast_functions(),
             initializer_functions(),
             loss_functions(),
             quantize_functions(),
             random_functions(),
             schedule_functions(),
         }) {
      for (const FunctionDef& row : family) {
        in_order.push_back(&row);
        by_name.emplace(std::pair(row.family, row.name), &row);
      }
    }
  }
};

const Functions& functions() {
  // Never destroyed: other threads may be calling functions while the process exits.
  static const auto* const instance = new Functions();
  return *instance;
}

constexpr std::string_view kFamilies[] = {"activation", "loss",   "schedule", "fast",
                                          "quantize",   "random", "init"};

std::string called(std::string_view name) { return "[" + std::string(name) + "] "; }

}  // namespace

std::string_view name(Family family) { return kFamilies[static_cast<std::size_t>(family)]; }

std::optional<Family> family_called(std::string_view name) {
  const auto* const found = std::find(std::begin(kFamilies), std::end(kFamilies), name);
  if (found == std::end(kFamilies)) return std::nullopt;
  return static_cast<Family>(found - std::begin(kFamilies));
}

const Tensor& FunctionCall::operator[](std::size_t i) const {
  if (operands_[i]) return *operands_[i];
  const std::string_view operand = operand_names_[i].name;
  const bool may_rest = operand == "key" && options_.get_if<bool>("training") != nullptr;
  throw ArgumentError(called(name_) + "needs the operand " + std::string(operand) +
                      (may_rest ? ", or the option training to be false" : ""));
}

std::span<const FunctionDef* const> all_functions() { return functions().in_order; }

const FunctionDef& function(Family family, std::string_view name) {
  const auto found = functions().by_name.find({family, name});
  if (found != functions().by_name.end()) return *found->second;
  throw UnsupportedError("[" + std::string(name) + "] there is no such " +
                         std::string(nn::name(family)));
}

std::vector<Tensor> call(const FunctionDef& row, std::span<const std::optional<Tensor>> operands,
                         const ops::Attrs& options) {
  const auto all = complete(operands, row.operands, row.name);
  const ops::Attrs complete_options = complete(options, row.options, row.name);
  return row.call(FunctionCall(row.name, row.operands, all, complete_options));
}

std::vector<std::optional<Tensor>> complete(std::span<const std::optional<Tensor>> operands,
                                            std::span<const OperandDef> names,
                                            std::string_view owner) {
  if (operands.size() > names.size()) {
    throw ArgumentError(called(owner) + "takes at most " + std::to_string(names.size()) +
                        " operands, got " + std::to_string(operands.size()));
  }
  std::vector<std::optional<Tensor>> all(operands.begin(), operands.end());
  all.resize(names.size());
  return all;
}

ops::Attrs complete(const ops::Attrs& options, std::span<const ops::AttrDef> schema,
                    std::string_view owner) {
  ops::Attrs widened = options;
  for (const ops::AttrDef& row : schema) {
    const auto* const integer = options.get_if<std::int64_t>(row.name);
    const auto* const real = options.get_if<double>(row.name);
    const bool is_list = row.kind == ops::AttrKind::kInts || row.kind == ops::AttrKind::kFloats;
    if (is_list && integer != nullptr) widened.set(row.name, Axes{*integer});
    if (row.kind == ops::AttrKind::kFloats && real != nullptr)
      widened.set(row.name, std::vector{*real});
  }
  return ops::normalise(widened, schema, owner);
}

}  // namespace mlxnx::nn
