// Golden data: calls of Nx with their answers. A folder holds ops.jsonl, one call a line, and
// ops.bin, the elements that the lines point into; or the same for programs: programs.jsonl,
// programs.bin, and the program files (docs/program_format.md) that the lines name.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
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

/// One call: an op, its attributes, its operands and what Nx answered.
struct GoldenCase {
  std::size_t line = 0;  ///< of the list, counted from 1
  std::string op;        ///< or the program's name
  nlohmann::json attrs;
  std::vector<GoldenTensor> inputs;
  std::vector<GoldenTensor> outputs;
  std::shared_ptr<const GoldenProgram> program = nullptr;  ///< in place of the op
};

class GoldenData {
 public:
  /// Reads a folder.
  /// Throws: FormatError, with the line, for a missing file or a line that is not a call.
  explicit GoldenData(const std::filesystem::path& folder);
  GoldenData(const GoldenData&) = delete;
  GoldenData& operator=(const GoldenData&) = delete;

  const std::vector<GoldenCase>& cases() const { return cases_; }

 private:
  GoldenTensor read_tensor(const nlohmann::json& value) const;
  std::vector<GoldenTensor> read_tensors(const nlohmann::json& values) const;
  GoldenCase read_case(const nlohmann::json& value) const;
  std::shared_ptr<const GoldenProgram> read_program(const nlohmann::json& value) const;

  std::filesystem::path folder_;

  std::vector<std::byte> bytes_;
  std::vector<GoldenCase> cases_;
};

/// A number that names the call whatever file it stands in: a hash of op, attributes, operands and
/// wanted types, in hexadecimal.
std::string case_id(const GoldenCase& golden);

}  // namespace mlxnx::cli
