#include "program/serializer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "files/json_values.h"
#include "mlxnx/error.h"
#include "ops/registry.h"
#include "program/attrs_json.h"
#include "program/tensor_file.h"
#include "program/verifier.h"
#include "tensor/node.h"

namespace mlxnx::program {
namespace {

using files::integer;
using files::list;
using files::list_member;
using files::member;
using files::parse_json;
using files::shown;
using files::text;
using files::text_member;

using nlohmann::json;

constexpr const char* kFormatName = "mlxnx.program";

// Levels of JSON that one region adds to those around it.
constexpr int kDepthOfRegion = 4;
constexpr int kMostDepth = (kMostNested + 2) * kDepthOfRegion;

// The version of the format that brought a kind of instruction.
int first_version(InstructionKind kind) {
  switch (kind) {
    case InstructionKind::kStopGradient:
    case InstructionKind::kCustomVjp:
    case InstructionKind::kCheckpoint:
    case InstructionKind::kWhileReverse:
      return 2;
    default:
      return 1;
  }
}

json list_types(std::span<const TensorType> types) {
  json list = json::array();
  for (const TensorType& type : types) list.push_back(to_string(type));
  return list;
}

// `f32[2][3]` back to the type.
TensorType read_type(const json& value) {
  const std::string& text = files::text(value);
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
  for (const json& type : list(value)) types.push_back(read_type(type));
  return types;
}

std::vector<ValueId> read_ids(const json& value) {
  std::vector<ValueId> ids;
  for (const json& id : list(value)) ids.push_back(integer<ValueId>(id));
  return ids;
}

class Writer {
 public:
  TensorFile write(const Program& program) {
    json text = write(program.main);
    text["version"] = version_;
    if (!program.output_names.empty()) text["output_names"] = program.output_names;
    file_.metadata = {{"format", kFormatName}, {"program", dump(text)}};
    return std::move(file_);
  }

 private:
  static std::string dump(const json& value) {
    try {
      return value.dump();
    } catch (const json::exception&) {
      throw ArgumentError("[program] a name is not UTF-8");
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
    version_ = std::max(version_, first_version(instruction.kind));
    if (instruction.kind == InstructionKind::kWhileReverse) {
      entry["values"] = instruction.values;
      entry["tape"] = name(instruction.tape);
    }
    if (instruction.kind == InstructionKind::kCustomVjp) {
      entry["values"] = instruction.values;
      if (!instruction.callback.empty()) entry["reason"] = instruction.callback;
    } else if (!instruction.callback.empty()) {
      entry["callback"] = instruction.callback;
    }
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

  int version_ = 1;
  TensorFile file_;
  std::map<const tensors::Node*, std::string> names_;
};

// Calls `body`; what it finds wrong becomes a FormatError with the text that `say` makes of it.
template <typename Say, typename Body>
void refusing(Say say, Body body) {
  try {
    body();
  } catch (const FormatError& error) {
    throw FormatError(say(error.what()));
  } catch (const ArgumentError& error) {
    throw FormatError(say(error.what()));
  } catch (const UnsupportedError& error) {
    throw FormatError(say(error.what()));
  }
}

constexpr std::string_view kPrefix = "[program] ";

std::string without_prefix(const std::string& text) {
  return text.starts_with(kPrefix) ? text.substr(kPrefix.size()) : text;
}

class Reader {
 public:
  explicit Reader(TensorFile file) : file_(std::move(file)) {}

  Program read() {
    const auto format = file_.metadata.find("format");
    const auto text = file_.metadata.find("program");
    if (format == file_.metadata.end() || format->second != kFormatName ||
        text == file_.metadata.end())
      throw FormatError("the file holds no program");
    const json value = parse_json(text->second, kMostDepth);
    const int version = integer<int>(member(value, "version"));
    if (version < 1 || version > kFormatVersion) {
      throw FormatError(fmt::format("version {} of the format is not known; this is version {}",
                                    version, kFormatVersion));
    }
    version_ = version;
    Program program;
    program.main = read_region(value);
    if (value.contains("output_names")) {
      for (const json& name : list(value["output_names"]))
        program.output_names.push_back(files::text(name));
    }
    verify(program);
    return program;
  }

 private:
  Region read_region(const json& value) {
    Region region;
    for (const json& input : list_member(value, "inputs"))
      region.inputs.push_back({text_member(input, "name"), read_type(member(input, "type"))});
    std::size_t next = region.inputs.size();
    const json& instructions = list_member(value, "instructions");
    region.instructions.reserve(instructions.size());
    for (const json& entry : instructions) {
      refusing(
          [&region](const std::string& text) {
            return fmt::format("instruction {}: {}", region.instructions.size(), text);
          },
          [&] { region.instructions.push_back(read_instruction(entry)); });
      Instruction& instruction = region.instructions.back();
      instruction.first = static_cast<ValueId>(next);
      next += instruction.outputs.size();
    }
    region.outputs = read_ids(member(value, "outputs"));
    return region;
  }

  Instruction read_instruction(const json& entry) {
    Instruction instruction;
    const std::string& name = text_member(entry, "op");
    instruction.kind = kind_from_name(name);
    if (version_ < first_version(instruction.kind))
      throw FormatError(fmt::format("version {} of the format has no {}", version_, name));
    instruction.outputs = OutputTypes(read_types(member(entry, "outputs")));
    if (entry.contains("operands")) instruction.operands = Operands(read_ids(entry["operands"]));
    if (entry.contains("regions")) {
      for (const json& region : list(entry["regions"]))
        instruction.regions.push_back(std::make_shared<const Region>(read_region(region)));
    }
    switch (instruction.kind) {
      case InstructionKind::kOp: {
        instruction.op = &ops::op(name);
        static const json kNone = json::object();
        const json& attrs = entry.contains("attrs") ? entry["attrs"] : kNone;
        if (!attrs.is_object()) throw FormatError(shown(attrs) + " are no attributes");
        instruction.attrs =
            normal_attrs(attrs_from_json(attrs, instruction.op->attrs), *instruction.op);
        break;
      }
      case InstructionKind::kConstant:
        instruction.constant = constant(text_member(entry, "tensor"));
        break;
      case InstructionKind::kCond:
        instruction.predicates = integer<std::uint32_t>(member(entry, "predicates"));
        break;
      case InstructionKind::kHook:
      case InstructionKind::kRuntimeCall:
        instruction.callback = text_member(entry, "callback");
        break;
      case InstructionKind::kCustomVjp:
        instruction.values = integer<std::uint32_t>(member(entry, "values"));
        if (entry.contains("reason")) instruction.callback = text(entry["reason"]);
        break;
      case InstructionKind::kWhileReverse:
        instruction.values = integer<std::uint32_t>(member(entry, "values"));
        instruction.tape = tape_from_name(text_member(entry, "tape"));
        break;
      case InstructionKind::kWhile:
      case InstructionKind::kStopGradient:
      case InstructionKind::kCheckpoint:
        break;
    }
    return instruction;
  }

  const Tensor& constant(const std::string& name) const {
    const auto found = file_.tensors.find(name);
    if (found == file_.tensors.end()) throw FormatError("there is no tensor " + name);
    return found->second;
  }

  TensorFile file_;
  int version_ = kFormatVersion;
};

}  // namespace

std::vector<std::byte> serialize(const Program& program) {
  return to_bytes(Writer().write(program));
}

Program deserialize(std::span<const std::byte> bytes) {
  Program program;
  const auto say = [](const std::string& text) {
    return std::string(kPrefix) + without_prefix(text);
  };
  refusing(say, [&] { program = Reader(tensor_file_from_bytes(bytes)).read(); });
  return program;
}

void save(const Program& program, const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = serialize(program);
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.flush();
  if (!file) {
    throw ArgumentError(
        fmt::format("[program] can't write {}: {}", path.string(), std::strerror(errno)));
  }
}

Program load(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (!file || error) throw ArgumentError("[program] can't read " + path.string());
  std::vector<std::byte> bytes(size);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  Program program;
  const auto say = [&path](const std::string& text) {
    return std::string(kPrefix) + path.string() + ": " + without_prefix(text);
  };
  refusing(say, [&] { program = deserialize(bytes); });
  return program;
}

}  // namespace mlxnx::program
