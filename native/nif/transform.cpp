#include "nif/transform.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/error.h"
#include "transforms/cleanup.h"
#include "transforms/transforms.h"

namespace mlxnx::nif {

using program::Region;
using transforms::RegionPtr;

namespace {

using Positions = std::span<const std::size_t>;

RegionPtr gradients(const Region& function, Positions wrt) {
  auto region = std::make_shared<Region>(*transforms::value_and_grad(function, wrt));
  const auto values = static_cast<std::ptrdiff_t>(function.outputs.size());
  region->outputs.erase(region->outputs.begin(), region->outputs.begin() + values);
  return transforms::cleaned(std::move(region));
}

struct ByInputs {
  std::string_view name;
  RegionPtr (*transform)(const Region& function, Positions wrt);
};

constexpr ByInputs kByInputs[] = {
    {"grad", &gradients},
    {"value_and_grad", &transforms::value_and_grad},
    {"vjp", &transforms::vjp},
    {"jvp", &transforms::jvp},
};

std::vector<std::size_t> positions(ErlNifEnv* env, std::string_view name, Term term,
                                   const Region& function) {
  std::vector<std::size_t> positions;
  for (const std::int64_t position : decode<std::vector<std::int64_t>>(env, term)) {
    const std::string called = "[" + std::string(name) + "] ";
    const std::size_t count = function.inputs.size();
    if (position < 0 || static_cast<std::size_t>(position) >= count) {
      throw ArgumentError(called + "there is no input " + std::to_string(position) + " among " +
                          std::to_string(count));
    }
    const auto at = static_cast<std::size_t>(position);
    if (std::find(positions.begin(), positions.end(), at) != positions.end())
      throw ArgumentError(called + "input " + std::to_string(position) + " is named twice");
    positions.push_back(at);
  }
  return positions;
}

}  // namespace

RegionPtr transformed(ErlNifEnv* env, std::string_view name, Term parameters,
                      const Region& function) {
  for (const ByInputs& row : kByInputs) {
    if (row.name == name)
      return row.transform(function, positions(env, name, parameters, function));
  }
  throw ArgumentError("[transform] there is no transform called " + std::string(name));
}

}  // namespace mlxnx::nif
