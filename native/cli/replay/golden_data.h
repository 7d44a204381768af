// Golden data: calls of Nx with their answers. A folder holds ops.jsonl, one call a line, and
// ops.bin, the elements that the lines point into; or the same for programs: programs.jsonl,
// programs.bin, and the program files (docs/program_format.md) that the lines name. Lines of
// programs may hold gradients, and those of vmap.jsonl and marked.jsonl beside them point into the
// same bytes. A folder with cases.jsonl and cases.bin holds what mlx.nn and its siblings answer,
// or how mlx-lm chooses tokens; one with a model, expected.jsonl and expected.bin what mlx-lm
// answers with it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "mlxnx/shape.h"

namespace mlxnx::cli {

/// A tensor of a golden call; the bytes belong to GoldenData.
struct GoldenTensor {
  TensorType type;
  std::span<const std::byte> bytes;
};

/// A hook or runtime call that a program made when it was recorded.
struct GoldenCallback {
  std::string name;
  std::vector<GoldenTensor> inputs;
  std::vector<GoldenTensor> outputs;  ///< of a runtime call
};

struct GoldenProgram {
  std::filesystem::path file;
  std::vector<GoldenCallback> callbacks;  ///< in their order
};

/// What a transform of a program answers.
struct GoldenTransform {
  bool is_vmap = false;
  std::vector<std::optional<std::int64_t>> in_axes;  ///< of vmap: 0, or none for all alike
  std::vector<std::size_t> wrt;                      ///< the inputs of the gradients
  std::vector<GoldenTensor> gradients;               ///< of the first output
  std::optional<GoldenTensor> hessian;               ///< by the first of these inputs
  bool are_differences = false;                      ///< measured rather than derived
  bool is_symmetric = false;                         ///< only g + gᴴ is determined
  double noise = 0;                                  ///< of the recorded answer, relative
  std::vector<std::string> marks;                    ///< that the program has to hold
};

/// Tensors by their dotted names.
using GoldenTree = std::map<std::string, GoldenTensor>;
/// Tensors of which some are left out.
using GoldenList = std::vector<std::optional<GoldenTensor>>;

/// What mlx.nn answers for a layer, a function, an optimizer …; `attrs` of the case are its
/// options.
struct GoldenNn {
  std::string kind, name;
  nlohmann::json call;   ///< options of the call on a layer; an empty object without
  nlohmann::json whole;  ///< the case as it was written
  GoldenTree parameters;
  GoldenList inputs;
  std::vector<GoldenTensor> outputs_f32;  ///< of the same case in f32, where it was recorded
  GoldenTree state;                       ///< after the call
  GoldenList cotangents;                  ///< of the outputs; empty where no gradients are known
  GoldenList input_gradients;
  GoldenTree parameter_gradients;
  std::vector<GoldenTree> gradients, steps;  ///< of an optimizer
  GoldenTree clipped;                        ///< of clip_grad_norm
};

class GoldenData;

/// What mlx-lm answers with the model in a folder.
struct GoldenLlm {
  std::filesystem::path folder;
  std::string kind;
  nlohmann::json whole;              ///< the case as it was written
  const GoldenData* data = nullptr;  ///< that reads its tensors
};

/// One call: an op, its attributes, its operands and what Nx answered.
struct GoldenCase {
  std::size_t line = 0;  ///< of the list, counted from 1
  std::string op;        ///< or the program's name
  nlohmann::json attrs;
  std::vector<GoldenTensor> inputs;
  std::vector<GoldenTensor> outputs;
  std::shared_ptr<const GoldenProgram> program = nullptr;  ///< in place of the op
  std::shared_ptr<const GoldenTransform> transform = nullptr;
  std::shared_ptr<const GoldenNn> nn = nullptr;    ///< then `op` is kind:name
  std::shared_ptr<const GoldenLlm> llm = nullptr;  ///< then `op` is llm:kind
};

class GoldenData {
 public:
  /// Reads a folder: its calls or programs, or what transforms answer.
  /// Throws: FormatError, with the line, for a missing file or a line that is not a call.
  enum class What { kCalls, kTransforms };
  explicit GoldenData(const std::filesystem::path& folder, What what = What::kCalls);
  GoldenData(const GoldenData&) = delete;
  GoldenData& operator=(const GoldenData&) = delete;

  const std::vector<GoldenCase>& cases() const { return cases_; }
  /// A tensor as lines describe it: {"type", "shape", "at"}; `bool` is read as u8.
  /// Throws: FormatError for anything else.
  GoldenTensor read_tensor(const nlohmann::json& value) const;

 private:
  std::vector<GoldenTensor> read_tensors(const nlohmann::json& values) const;
  GoldenCase read_case(const nlohmann::json& value) const;
  std::shared_ptr<const GoldenProgram> read_program(const nlohmann::json& value) const;
  std::shared_ptr<const GoldenTransform> read_transform(const nlohmann::json& value) const;
  GoldenTree read_tree(const nlohmann::json& values) const;
  GoldenList read_optional_tensors(const nlohmann::json& values) const;
  GoldenCase read_nn(const nlohmann::json& value) const;
  GoldenCase read_llm(const nlohmann::json& value) const;
  GoldenCase read_sampling(const nlohmann::json& value) const;
  void read_list(const std::filesystem::path& list, const std::string& kind, What what);

  std::filesystem::path folder_;

  std::vector<std::byte> bytes_;
  std::vector<GoldenCase> cases_;
};

/// A number that names the call whatever file it stands in: a hash of op, attributes, operands and
/// wanted types, in hexadecimal.
std::string case_id(const GoldenCase& golden);

}  // namespace mlxnx::cli
