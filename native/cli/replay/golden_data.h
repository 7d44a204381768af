// Golden data: calls of Nx with their answers. A folder holds ops.jsonl, one call a line, and
// ops.bin, the elements that the lines point into.
#pragma once

#include <cstddef>
#include <filesystem>
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

/// One call: an op, its attributes, its operands and what Nx answered.
struct GoldenCase {
  std::size_t line = 0;  ///< in ops.jsonl, counted from 1
  std::string op;
  nlohmann::json attrs;
  std::vector<GoldenTensor> inputs;
  std::vector<GoldenTensor> outputs;
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
  GoldenCase read_case(const std::string& text, std::size_t line) const;

  std::vector<std::byte> bytes_;
  std::vector<GoldenCase> cases_;
};

/// A number that names the call whatever file it stands in: a hash of op, attributes, operands and
/// wanted types, in hexadecimal.
std::string case_id(const GoldenCase& golden);

}  // namespace mlxnx::cli
