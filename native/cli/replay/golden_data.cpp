#include "replay/golden_data.h"

#include <fmt/format.h>

#include <fstream>
#include <string_view>

#include "files.h"
#include "mlxnx/error.h"
#include "program/json_values.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using program::integer;

class Fnv1a {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) {
      hash_ = (hash_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
    }
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace

GoldenData::GoldenData(const std::filesystem::path& folder) : folder_(folder) {
  std::error_code ignored;
  const bool has_programs = std::filesystem::exists(folder / "programs.jsonl", ignored);
  const std::string kind = has_programs ? "programs" : "ops";
  OpenFile data = open_regular(folder / (kind + ".bin"), "golden data");
  bytes_.resize(data.size);
  data.stream.read(reinterpret_cast<char*>(bytes_.data()), static_cast<std::streamsize>(data.size));
  bytes_.resize(static_cast<std::size_t>(data.stream.gcount()));
  const std::filesystem::path list = folder / (kind + ".jsonl");
  std::ifstream calls = open_regular(list, "golden data").stream;
  std::string text;
  for (std::size_t line = 1; std::getline(calls, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      const json value = program::parse_json(text);
      GoldenCase& golden = cases_.emplace_back(read_case(value));
      golden.line = line;
      if (has_programs) golden.program = read_program(value);
    } catch (const std::exception& error) {
      throw FormatError(
          fmt::format("[golden data] {} line {}: {}", list.string(), line, error.what()));
    }
  }
}

GoldenTensor GoldenData::read_tensor(const json& value) const {
  GoldenTensor tensor;
  tensor.type.dtype = dtype_from_name(program::text_member(value, "type"));
  for (const json& dimension : program::list_member(value, "shape"))
    tensor.type.shape.push_back(integer<std::int64_t>(dimension));
  const auto at = integer<std::size_t>(program::member(value, "at"));
  const auto count = static_cast<std::size_t>(element_count(tensor.type.shape));
  const std::size_t item = size_bytes(tensor.type.dtype);
  if (at > bytes_.size() || count > (bytes_.size() - at) / item) {
    throw FormatError(fmt::format("{} at {} reaches beyond the {} bytes of elements",
                                  to_string(tensor.type), at, bytes_.size()));
  }
  tensor.bytes = std::span(bytes_).subspan(at, count * item);
  return tensor;
}

std::vector<GoldenTensor> GoldenData::read_tensors(const json& values) const {
  std::vector<GoldenTensor> tensors;
  for (const json& value : values) tensors.push_back(read_tensor(value));
  return tensors;
}

GoldenCase GoldenData::read_case(const json& value) const {
  GoldenCase golden;
  const bool is_op = value.contains("op");
  golden.op = program::text_member(value, is_op || !value.contains("name") ? "op" : "name");
  golden.attrs = is_op ? program::member(value, "attrs") : json::object();
  if (!golden.attrs.is_object()) throw FormatError("attrs is not an object");
  golden.inputs = read_tensors(program::list_member(value, "in"));
  golden.outputs = read_tensors(program::list_member(value, "out"));
  if (is_op && golden.outputs.empty()) throw FormatError("out is empty");
  return golden;
}

std::shared_ptr<const GoldenProgram> GoldenData::read_program(const json& value) const {
  const std::filesystem::path file = program::text_member(value, "program");
  // A name, so that a list can't point anywhere else.
  if (file.filename() != file) throw FormatError(fmt::format("{} is no file name", file.string()));
  auto program = std::make_shared<GoldenProgram>();
  program->file = folder_ / file;
  for (const json& callback : program::optional_list(value, "callbacks")) {
    program->callbacks.push_back({program::text_member(callback, "name"),
                                  read_tensors(program::list_member(callback, "in")),
                                  read_tensors(program::optional_list(callback, "out"))});
  }
  return program;
}

std::string case_id(const GoldenCase& golden) {
  Fnv1a hash;
  hash.add(golden.op);
  hash.add(golden.attrs.dump());
  for (const GoldenTensor& tensor : golden.inputs) {
    hash.add(to_string(tensor.type));
    hash.add(tensor.bytes);
  }
  for (const GoldenTensor& tensor : golden.outputs) hash.add(to_string(tensor.type));
  return fmt::format("{:016x}", hash.value());
}

}  // namespace mlxnx::cli
