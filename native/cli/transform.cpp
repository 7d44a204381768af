// mlxnx transform: writes a program that is made of another one, its gradient for one.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.h"
#include "files.h"
#include "mlxnx/error.h"
#include "program/serializer.h"
#include "transforms/transforms.h"
#include "values.h"

namespace mlxnx::cli {
namespace {

using program::Program;
using program::Region;
using Names = std::vector<std::string>;
using Places = std::span<const std::size_t>;

constexpr std::string_view kWho = "transform";

struct TransformArguments {
  std::string program;
  std::string transform;
  std::vector<std::string> wrt;
  std::vector<std::string> in_axes;
  std::vector<std::string> out_axes;
  std::optional<std::int64_t> size;
  std::string tape;
  std::string output;
};

Names at(const Names& names, Places places) {
  Names chosen;
  for (const std::size_t place : places) chosen.push_back(names[place]);
  return chosen;
}

// `prefix` and `name`, with a number behind where that is taken: programs are transformed twice.
std::string further_name(std::string_view prefix, const std::string& name, const Names& taken) {
  const std::string wanted = fmt::format("{}_{}", prefix, name);
  std::string result = wanted;
  for (int i = 2; std::find(taken.begin(), taken.end(), result) != taken.end(); ++i)
    result = fmt::format("{}_{}", wanted, i);
  return result;
}

// The names of the outputs that the program had, and of those behind them.
Names with_further(const Program& program, std::string_view prefix, const Names& further) {
  Names names = program.output_names;
  names.resize(program.main.outputs.size());
  for (const std::string& name : further) names.push_back(further_name(prefix, name, names));
  return names;
}

// The region with names for the inputs that it has beyond those of the program.
Region with_inputs(const Region& region, std::string_view prefix, const Names& further) {
  Region result = region;
  Names taken;
  for (const program::Input& input : region.inputs) taken.push_back(input.name);
  const std::size_t first = region.inputs.size() - further.size();
  for (std::size_t i = 0; i < further.size(); ++i) {
    taken.push_back(further_name(prefix, further[i], taken));
    result.inputs[first + i].name = taken.back();
  }
  return result;
}

// The inputs to differentiate by: those named, else all that are no integers.
std::vector<std::size_t> inputs_of(const Program& program, const TransformArguments& options) {
  const Names names = input_names(program);
  std::vector<std::size_t> places;
  for (const std::string& key : options.wrt) {
    const std::size_t place = find_value(key, names, "input", kWho);
    if (std::find(places.begin(), places.end(), place) != places.end())
      throw ArgumentError(fmt::format("[{}] input {} is given twice", kWho, key));
    places.push_back(place);
  }
  if (!options.wrt.empty()) return places;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (!is_integer(program.main.inputs[i].type.dtype)) places.push_back(i);
  }
  if (places.empty()) {
    throw ArgumentError(
        fmt::format("[{}] the program has no input of a floating-point or complex type{}", kWho,
                    names.empty() ? "" : "; --wrt names others to differentiate by"));
  }
  return places;
}

Tape tape_of(const TransformArguments& options) {
  return options.tape.empty() ? Tape::kAll : program::tape_from_name(options.tape);
}

Program grad(const Program& program, const TransformArguments& options) {
  const std::vector<std::size_t> wrt = inputs_of(program, options);
  return {*transforms::value_and_grad(program.main, wrt, tape_of(options)),
          with_further(program, "grad", at(input_names(program), wrt))};
}

Program vjp(const Program& program, const TransformArguments& options) {
  const std::vector<std::size_t> wrt = inputs_of(program, options);
  const transforms::RegionPtr region = transforms::vjp(program.main, wrt, tape_of(options));
  return {with_inputs(*region, "cotangent", output_names(program)),
          with_further(program, "cotangent", at(input_names(program), wrt))};
}

Program jvp(const Program& program, const TransformArguments& options) {
  const std::vector<std::size_t> wrt = inputs_of(program, options);
  const transforms::RegionPtr region = transforms::jvp(program.main, wrt);
  return {with_inputs(*region, "tangent", at(input_names(program), wrt)),
          with_further(program, "tangent", output_names(program))};
}

using MaybeAxis = std::optional<std::int64_t>;

MaybeAxis parse_axis(std::string_view text, const std::string& word) {
  if (text == "none") return std::nullopt;
  std::int64_t axis = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), axis);
  if (error == std::errc() && end == text.data() + text.size()) return axis;
  throw ArgumentError(fmt::format(
      "[{}] {} is not of the form NAME=AXIS, with a number or none as AXIS", kWho, word));
}

// The axes of inputs or outputs: those that words of the form NAME=AXIS say, 0 for the others.
std::vector<MaybeAxis> axes_of(const std::vector<std::string>& words, const Names& names,
                               std::string_view what) {
  std::vector<MaybeAxis> axes(names.size(), 0);
  std::vector<bool> is_given(names.size());
  for (const std::string& word : words) {
    const std::size_t at = std::min(word.rfind('='), word.size());
    const std::string key = word.substr(0, at);
    const MaybeAxis axis =
        parse_axis(std::string_view(word).substr(std::min(at + 1, word.size())), word);
    const std::size_t place = find_value(key, names, what, kWho);
    if (is_given[place])
      throw ArgumentError(fmt::format("[{}] {} {} is given twice", kWho, what, key));
    is_given[place] = true;
    axes[place] = axis;
  }
  return axes;
}

Program vmap(const Program& program, const TransformArguments& options) {
  if (!options.size) throw ArgumentError(fmt::format("[{}] vmap needs --size", kWho));
  const std::vector<MaybeAxis> in_axes = axes_of(options.in_axes, input_names(program), "input");
  std::vector<std::int64_t> out_axes;
  for (const MaybeAxis axis : axes_of(options.out_axes, output_names(program), "output")) {
    if (!axis) throw ArgumentError(fmt::format("[{}] every output has an axis of examples", kWho));
    out_axes.push_back(*axis);
  }
  return {*transforms::vmap(program.main, in_axes, *options.size, out_axes), program.output_names};
}

struct Transform {
  std::string_view name;
  Program (*apply)(const Program& program, const TransformArguments& options);
  bool is_derivative;
  bool has_tape;
};

constexpr std::array kTransforms = {
    Transform{"grad", grad, true, true}, Transform{"vjp", vjp, true, true},
    Transform{"jvp", jvp, true, false}, Transform{"vmap", vmap, false, false}};

// Options of other transforms would be without effect.
void require_own_options(const Transform& transform, const TransformArguments& options) {
  const bool has_axes = !options.in_axes.empty() || !options.out_axes.empty() || options.size;
  if (transform.is_derivative ? has_axes : !options.wrt.empty()) {
    throw ArgumentError(fmt::format(
        "[{}] {} takes {}", kWho, transform.name,
        transform.is_derivative ? "no axes and no --size, which are of vmap" : "no --wrt"));
  }
  if (!options.tape.empty() && !transform.has_tape)
    throw ArgumentError(fmt::format("[{}] {} takes no --tape", kWho, transform.name));
}

int run(const TransformArguments& options) {
  const Program program = load_program(options.program, kWho);
  const auto* chosen =
      std::find_if(kTransforms.begin(), kTransforms.end(),
                   [&](const Transform& transform) { return transform.name == options.transform; });
  require_own_options(*chosen, options);
  program::save(chosen->apply(program, options), options.output);
  return 0;
}

}  // namespace

Action add_transform(CLI::App& app) {
  const auto options = std::make_shared<TransformArguments>();
  app.footer(
      "Example: mlxnx transform loss.mlxnx grad --wrt w b -o step.mlxnx\n"
      "grad: besides the outputs, the gradients of the first one, summed if it is no scalar, as "
      "grad_NAME for each input.\n"
      "vjp: takes further inputs cotangent_NAME, one for each output, and gives outputs "
      "cotangent_NAME for the inputs.\n"
      "jvp: takes further inputs tangent_NAME, and gives a further output tangent_NAME for each "
      "output.\n"
      "vmap: applies the program to --size examples at once, which inputs and outputs have along "
      "an "
      "axis, the first one unless told otherwise.\n"
      "Values without a name go by their numbers; where a name is taken, a number follows it.");
  app.add_option("PROGRAM", options->program, "Program file (.mlxnx)")
      ->type_name("FILE")
      ->required();
  std::vector<std::string> names;
  for (const Transform& transform : kTransforms) names.emplace_back(transform.name);
  app.add_option("TRANSFORM", options->transform, "What to make of it")
      ->required()
      ->check(CLI::IsMember(names));
  app.add_option("--wrt", options->wrt,
                 "The inputs to differentiate by, by their names or numbers; without any all of "
                 "floating-point and complex types")
      ->type_name("NAME")
      ->take_all();
  app.add_option("--tape", options->tape,
                 "grad, vjp: what loops keep of their iterations; all states unless given")
      ->check(CLI::IsMember({"all", "sqrt", "recompute"}));
  app.add_option("--size", options->size, "vmap: the number of examples")->type_name("N");
  app.add_option("--in-axes", options->in_axes,
                 "vmap: the axis of examples in an input, by its name or number; NAME=none for one "
                 "that all examples share")
      ->type_name("NAME=AXIS")
      ->take_all();
  app.add_option("--out-axes", options->out_axes, "vmap: the axis of examples in an output")
      ->type_name("NAME=AXIS")
      ->take_all();
  app.add_option("-o,--output", options->output, "Where the new program goes")
      ->type_name("FILE")
      ->required();
  return [options] { return run(*options); };
}

}  // namespace mlxnx::cli
