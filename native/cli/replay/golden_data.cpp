#include "replay/golden_data.h"

#include <fmt/format.h>

#include <fstream>
#include <string_view>

#include "files.h"
#include "files/json_values.h"
#include "mlxnx/error.h"

namespace mlxnx::cli {
namespace {

using files::integer;
using nlohmann::json;

constexpr const char* kOps = "ops";
constexpr const char* kPrograms = "programs";
constexpr const char* kCases = "cases";
constexpr const char* kExpected = "expected";

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

GoldenData::GoldenData(const std::filesystem::path& folder, What what) : folder_(folder) {
  std::error_code ignored;
  const auto has = [&](const char* list) {
    return std::filesystem::exists(folder / list, ignored);
  };
  const bool has_programs = what == What::kTransforms || has("programs.jsonl");
  const std::string kind = has_programs            ? kPrograms
                           : has("cases.jsonl")    ? kCases
                           : has("expected.jsonl") ? kExpected
                                                   : kOps;
  OpenFile data = open_regular(folder / (kind + ".bin"), "golden data");
  bytes_.resize(data.size);
  data.stream.read(reinterpret_cast<char*>(bytes_.data()), static_cast<std::streamsize>(data.size));
  bytes_.resize(static_cast<std::size_t>(data.stream.gcount()));
  read_list(folder / (kind + ".jsonl"), kind, what);
  if (what == What::kCalls) return;
  for (const char* further : {"vmap.jsonl", "marked.jsonl"}) {
    if (has(further)) read_list(folder / further, kind, what);
  }
}

void GoldenData::read_list(const std::filesystem::path& list, const std::string& kind, What what) {
  std::ifstream calls = open_regular(list, "golden data").stream;
  std::string text;
  for (std::size_t line = 1; std::getline(calls, text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      const json value = files::parse_json(text);
      GoldenCase& golden = cases_.emplace_back(kind == kCases      ? read_nn(value)
                                               : kind == kExpected ? read_llm(value)
                                                                   : read_case(value));
      golden.line = line;
      if (kind == kPrograms) golden.program = read_program(value);
      if (what == What::kTransforms) golden.transform = read_transform(value);
    } catch (const std::exception& error) {
      throw FormatError(
          fmt::format("[golden data] {} line {}: {}", list.string(), line, error.what()));
    }
  }
}

GoldenTensor GoldenData::read_tensor(const json& value) const {
  GoldenTensor tensor;
  const std::string& type = files::text_member(value, "type");
  tensor.type.dtype = type == "bool" ? DType::u8 : dtype_from_name(type);
  for (const json& dimension : files::list_member(value, "shape"))
    tensor.type.shape.push_back(integer<std::int64_t>(dimension));
  const auto at = integer<std::size_t>(files::member(value, "at"));
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
  golden.op = files::text_member(value, is_op || !value.contains("name") ? "op" : "name");
  golden.attrs = is_op ? files::member(value, "attrs") : json::object();
  if (!golden.attrs.is_object()) throw FormatError("attrs is not an object");
  golden.inputs = read_tensors(files::list_member(value, "in"));
  golden.outputs = read_tensors(files::list_member(value, "out"));
  if (is_op && golden.outputs.empty()) throw FormatError("out is empty");
  return golden;
}

std::shared_ptr<const GoldenProgram> GoldenData::read_program(const json& value) const {
  const std::filesystem::path file = files::text_member(value, "program");
  // A name, so that a list can't point anywhere else.
  if (file.filename() != file) throw FormatError(fmt::format("{} is no file name", file.string()));
  auto program = std::make_shared<GoldenProgram>();
  program->file = folder_ / file;
  for (const json& callback : files::optional_list(value, "callbacks")) {
    program->callbacks.push_back({files::text_member(callback, "name"),
                                  read_tensors(files::list_member(callback, "in")),
                                  read_tensors(files::optional_list(callback, "out"))});
  }
  return program;
}

std::shared_ptr<const GoldenTransform> GoldenData::read_transform(const json& value) const {
  auto transform = std::make_shared<GoldenTransform>();
  transform->is_vmap = value.contains("in_axes");
  for (const json& axis : files::optional_list(value, "in_axes")) {
    auto& place = transform->in_axes.emplace_back();
    if (!axis.is_null()) place = integer<std::int64_t>(axis);
  }
  if (transform->is_vmap) return transform;
  for (const json& position : files::list_member(value, "wrt"))
    transform->wrt.push_back(integer<std::size_t>(position));
  transform->are_differences = value.contains("differences");
  transform->gradients =
      read_tensors(files::list_member(value, transform->are_differences ? "differences" : "grads"));
  if (value.contains("hessian")) transform->hessian = read_tensor(value["hessian"]);
  transform->is_symmetric = value.value("symmetric", false);
  transform->noise = value.value("noise", 0.0);
  transform->marks = value.value("marks", std::vector<std::string>());
  return transform;
}

GoldenTree GoldenData::read_tree(const json& values) const {
  if (!values.is_object()) throw FormatError(fmt::format("{} is no object", files::shown(values)));
  GoldenTree tree;
  for (const auto& [name, tensor] : values.items()) tree.emplace(name, read_tensor(tensor));
  return tree;
}

GoldenList GoldenData::read_optional_tensors(const json& values) const {
  GoldenList list;
  for (const json& value : values)
    list.push_back(value.is_null() ? std::nullopt : std::optional(read_tensor(value)));
  return list;
}

// A case of choosing tokens: its tensors stand beside its options, and it has no name.
GoldenCase GoldenData::read_sampling(const json& value) const {
  auto nn = std::make_shared<GoldenNn>();
  nn->kind = files::text_member(value, "kind");
  nn->name = value.value("vector", "logprobs");
  nn->whole = value;
  GoldenCase golden;
  golden.op = nn->kind + ":" + nn->name;
  golden.attrs = files::member(value, "options");
  for (const auto& [name, member] : value.items()) {
    if (!member.is_object() || !member.contains("at")) continue;
    const GoldenTensor tensor = read_tensor(member);
    nn->parameters.emplace(name, tensor);
    (name == "logprobs" || name == "logits" ? golden.inputs : golden.outputs).push_back(tensor);
  }
  golden.nn = std::move(nn);
  return golden;
}

GoldenCase GoldenData::read_nn(const json& value) const {
  if (value.is_object() && value.contains("options")) return read_sampling(value);
  auto nn = std::make_shared<GoldenNn>();
  nn->kind = files::text_member(value, "kind");
  nn->name = files::text_member(value, "name");
  nn->call = value.value("call", json::object());
  nn->whole = value;
  nn->parameters = read_tree(value.value("params", json::object()));
  nn->inputs = read_optional_tensors(files::optional_list(value, "in"));
  nn->outputs_f32 = read_tensors(files::optional_list(value, "out_f32"));
  nn->state = read_tree(value.value("state", json::object()));
  nn->clipped = read_tree(value.value("clipped", json::object()));
  nn->cotangents = read_optional_tensors(files::optional_list(value, "cotangent"));
  const json grads = value.value("grads", json::object());
  nn->input_gradients = read_optional_tensors(files::optional_list(grads, "in"));
  nn->parameter_gradients = read_tree(grads.value("params", json::object()));
  for (const json& tree : files::optional_list(value, "gradients"))
    nn->gradients.push_back(read_tree(tree));
  for (const json& tree : files::optional_list(value, "steps"))
    nn->steps.push_back(read_tree(tree));

  GoldenCase golden;
  golden.op = nn->kind + ":" + nn->name;
  golden.attrs = value.value("args", json::object());
  for (const auto& input : nn->inputs) {
    if (input) golden.inputs.push_back(*input);
  }
  golden.outputs = read_tensors(files::optional_list(value, "out"));
  golden.nn = std::move(nn);
  return golden;
}

GoldenCase GoldenData::read_llm(const json& value) const {
  auto llm = std::make_shared<GoldenLlm>();
  llm->folder = folder_;
  llm->kind = files::text_member(value, "case");
  llm->whole = value;
  llm->data = this;
  GoldenCase golden;
  golden.op = "llm:" + llm->kind;
  golden.attrs = value;
  golden.llm = std::move(llm);
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
