#include "replay/golden_data.h"

#include <fmt/format.h>

#include <fstream>
#include <string_view>

#include "mlxnx/error.h"
#include "program/json_values.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using program::integer;
using program::parse_json;

std::ifstream open(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path))
    throw FormatError(fmt::format("[golden data] can't read {}", path.string()));
  return file;
}

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

GoldenData::GoldenData(const std::filesystem::path& folder) {
  std::ifstream data = open(folder / "ops.bin");
  try {
    bytes_.resize(std::filesystem::file_size(folder / "ops.bin"));
  } catch (const std::exception& error) {
    throw FormatError(fmt::format("[golden data] can't read {}: {}", (folder / "ops.bin").string(),
                                  error.what()));
  }
  data.read(reinterpret_cast<char*>(bytes_.data()), static_cast<std::streamsize>(bytes_.size()));
  bytes_.resize(static_cast<std::size_t>(data.gcount()));
  std::ifstream calls = open(folder / "ops.jsonl");
  std::string text;
  for (std::size_t line = 1; std::getline(calls, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      cases_.push_back(read_case(text, line));
    } catch (const std::exception& error) {
      throw FormatError(fmt::format("[golden data] {} line {}: {}", (folder / "ops.jsonl").string(),
                                    line, error.what()));
    }
  }
}

GoldenTensor GoldenData::read_tensor(const json& value) const {
  GoldenTensor tensor;
  tensor.type.dtype = dtype_from_name(value.at("type").get<std::string>());
  for (const json& dimension : value.at("shape"))
    tensor.type.shape.push_back(integer<std::int64_t>(dimension));
  const auto at = integer<std::size_t>(value.at("at"));
  const auto count = static_cast<std::size_t>(element_count(tensor.type.shape));
  const std::size_t item = size_bytes(tensor.type.dtype);
  if (at > bytes_.size() || count > (bytes_.size() - at) / item) {
    throw FormatError(fmt::format("{} at {} reaches beyond the {} bytes of ops.bin",
                                  to_string(tensor.type), at, bytes_.size()));
  }
  tensor.bytes = std::span(bytes_).subspan(at, count * item);
  return tensor;
}

GoldenCase GoldenData::read_case(const std::string& text, std::size_t line) const {
  const json value = parse_json(text);
  GoldenCase golden;
  golden.line = line;
  golden.op = value.at("op").get<std::string>();
  golden.attrs = value.at("attrs");
  if (!golden.attrs.is_object()) throw FormatError("attrs is not an object");
  for (const json& tensor : value.at("in")) golden.inputs.push_back(read_tensor(tensor));
  for (const json& tensor : value.at("out")) golden.outputs.push_back(read_tensor(tensor));
  if (golden.outputs.empty()) throw FormatError("out is empty");
  return golden;
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
