#include "program/serializer.h"

#include <fmt/format.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "mlxnx/error.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "program/json_values.h"
#include "program/tensor_file.h"
#include "program/verifier.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using nlohmann::json;

constexpr const char* kFormatName = "mlxnx.program";

// Levels of JSON that one region adds to those around it.
constexpr int kDepthOfRegion = 4;
constexpr int kMostDepth = (kMostNested + 2) * kDepthOfRegion;

json list_types(std::span<const TensorType> types) {
  json list = json::array();
  for (const TensorType& type : types) list.push_back(to_string(type));
  return list;
}

// `f32[2][3]` back to the type.
TensorType read_type(const json& value) {
  const std::string text = value.get<std::string>();
  const auto bad = [&] { return FormatError("\"" + text + "\" is no type"); };
  TensorType type;
  std::size_t at = std::min(text.find('['), text.size());
  type.dtype = dtype_from_name(text.substr(0, at));
  while (at < text.size()) {
    const std::size_t end = text.find(']', at);
    constexpr std::size_t kMostDigits = 10;
    if (text[at] != '[' || end == std::string::npos || end == at + 1 || end > at + 1 + kMostDigits)
      throw bad();
    std::int64_t dimension = 0;
    for (++at; at < end; ++at) {
      if (text[at] < '0' || text[at] > '9') throw bad();
      dimension = 10 * dimension + (text[at] - '0');
    }
    type.shape.push_back(dimension);
    ++at;
  }
  return type;
}

std::vector<TensorType> read_types(const json& value) {
  std::vector<TensorType> types;
  for (const json& type : value) types.push_back(read_type(type));
  return types;
}

std::vector<ValueId> read_ids(const json& value) {
  if (!value.is_array()) throw FormatError(value.dump() + " is no list of values");
  std::vector<ValueId> ids;
  for (const json& id : value) ids.push_back(integer<ValueId>(id));
  return ids;
}

class Writer {
 public:
  TensorFile write(const Program& program) {
    json text = write(program.main);
    text["version"] = kFormatVersion;
    if (!program.output_names.empty()) text["output_names"] = program.output_names;
    file_.metadata = {{"format", kFormatName}, {"program", dump(text)}};
    return std::move(file_);
  }

 private:
  static std::string dump(const json& value) {
    try {
      return value.dump();
    } catch (const json::exception& error) {
      throw ArgumentError(std::string("[program] a name is not UTF-8: ") + error.what());
    }
  }

  json write(const Region& region) {
    json inputs = json::array();
    for (const Input& input : region.inputs)
      inputs.push_back({{"name", input.name}, {"type", to_string(input.type)}});
    json instructions = json::array();
    for (const Instruction& instruction : region.instructions)
      instructions.push_back(write(instruction));
    return {{"inputs", std::move(inputs)},
            {"instructions", std::move(instructions)},
            {"outputs", region.outputs}};
  }

  json write(const Instruction& instruction) {
    json entry = {{"op", instruction.name()}, {"outputs", list_types(instruction.outputs)}};
    if (!instruction.operands.empty()) entry["operands"] = instruction.operands;
    if (!instruction.attrs.empty()) entry["attrs"] = attrs_to_json(instruction.attrs);
    if (instruction.kind == InstructionKind::kCond) entry["predicates"] = instruction.predicates;
    if (!instruction.callback.empty()) entry["callback"] = instruction.callback;
    if (instruction.constant) entry["tensor"] = name_of(*instruction.constant);
    for (const auto& region : instruction.regions) entry["regions"].push_back(write(*region));
    return entry;
  }

  // A tensor that is captured more than once is written once.
  std::string name_of(const Tensor& tensor) {
    const auto [known, is_new] =
        names_.try_emplace(&tensor.node(), fmt::format("constant_{}", names_.size()));
    if (is_new) file_.tensors.emplace(known->second, tensor);
    return known->second;
  }

  TensorFile file_;
  std::map<const tensors::Node*, std::string> names_;
};

class Reader {
 public:
  explicit Reader(const TensorFile& file) : file_(file) {}

  Program read() {
    const auto format = file_.metadata.find("format");
    const auto text = file_.metadata.find("program");
    if (format == file_.metadata.end() || format->second != kFormatName ||
        text == file_.metadata.end())
      throw FormatError("the file holds no program");
    const json value = parse_json(text->second, kMostDepth);
    const int version = integer<int>(value.at("version"));
    if (version < 1 || version > kFormatVersion) {
      throw FormatError(fmt::format("version {} of the format is not known; this is version {}",
                                    version, kFormatVersion));
    }
    Program program;
    program.main = read_region(value);
    if (value.contains("output_names"))
      program.output_names = value.at("output_names").get<std::vector<std::string>>();
    verify(program);
    return program;
  }

 private:
  Region read_region(const json& value) const {
    Region region;
    for (const json& input : value.at("inputs")) {
      region.inputs.push_back({input.at("name").get<std::string>(), read_type(input.at("type"))});
    }
    std::size_t next = region.inputs.size();
    for (const json& entry : value.at("instructions")) {
      Instruction& instruction = region.instructions.emplace_back(read_instruction(entry));
      instruction.first = static_cast<ValueId>(next);
      next += instruction.outputs.size();
    }
    region.outputs = read_ids(value.at("outputs"));
    return region;
  }

  Instruction read_instruction(const json& entry) const {
    Instruction instruction;
    const std::string name = entry.at("op").get<std::string>();
    instruction.kind = kind_from_name(name);
    instruction.outputs = read_types(entry.at("outputs"));
    if (entry.contains("operands")) instruction.operands = read_ids(entry.at("operands"));
    if (entry.contains("regions")) {
      for (const json& region : entry.at("regions"))
        instruction.regions.push_back(std::make_shared<const Region>(read_region(region)));
    }
    switch (instruction.kind) {
      case InstructionKind::kOp: {
        instruction.op = &ops::op(name);
        const json attrs = entry.value("attrs", json::object());
        if (!attrs.is_object()) throw FormatError("the attributes of " + name + " are no object");
        instruction.attrs =
            normal_attrs(attrs_from_json(attrs, instruction.op->attrs), *instruction.op);
        break;
      }
      case InstructionKind::kConstant:
        instruction.constant = constant(entry.at("tensor").get<std::string>());
        break;
      case InstructionKind::kCond:
        instruction.predicates = integer<std::uint32_t>(entry.at("predicates"));
        break;
      case InstructionKind::kHook:
      case InstructionKind::kRuntimeCall:
        instruction.callback = entry.at("callback").get<std::string>();
        break;
      case InstructionKind::kWhile:
        break;
    }
    return instruction;
  }

  const Tensor& constant(const std::string& name) const {
    const auto found = file_.tensors.find(name);
    if (found == file_.tensors.end()) throw FormatError("there is no tensor " + name);
    return found->second;
  }

  const TensorFile& file_;
};

}  // namespace

std::vector<std::byte> serialize(const Program& program) {
  return to_bytes(Writer().write(program));
}

Program deserialize(std::span<const std::byte> bytes) {
  const TensorFile file = tensor_file_from_bytes(bytes);
  const auto refuse = [](const std::exception& error) -> FormatError {
    const std::string text = error.what();
    return FormatError(text.starts_with("[program]") ? text : "[program] " + text);
  };
  try {
    return Reader(file).read();
  } catch (const json::exception& error) {
    throw refuse(error);
  } catch (const FormatError& error) {
    throw refuse(error);
  } catch (const ArgumentError& error) {
    throw refuse(error);
  } catch (const UnsupportedError& error) {
    throw refuse(error);
  }
}

void save(const Program& program, const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = serialize(program);
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.flush();
  if (!file) throw ArgumentError("[program] can't write " + path.string());
}

Program load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (!file || error) throw ArgumentError("[program] can't read " + path.string());
  std::vector<std::byte> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return deserialize(bytes);
}

}  // namespace mlxnx::program
