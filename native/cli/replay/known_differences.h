// The list of cases whose answer differs from Nx's for a good reason: known_differences.json.
// An entry: {"op": name or list of names, "reason": text} and, to narrow it down, any of
//   "attrs": object          these attributes have these values
//   "in", "out": list        tensor i has this type and shape: {"type": "f32", "shape": [2]},
//   either
//                            may be left out; null stands for any tensor
//   "in_type", "out_type"    some operand, or output, has one of these types (a name or a list)
//   "in_has"                 an operand holds one of "nan", "infinity" (a name or a list)
//   "case"                   the case's number, as the list of failures gives it, or a list of them
// A case that passes all the same counts as passed.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "replay/golden_data.h"

namespace mlxnx::cli {

/// The list that the program was built with.
extern const char* const kKnownDifferencesJson;

class KnownDifferences {
 public:
  /// Throws: FormatError for text that is not such a list.
  explicit KnownDifferences(const std::string& json_text);

  /// The reason of the first entry that `golden` matches, or null.
  const std::string* reason(const GoldenCase& golden) const;

 private:
  struct Entry {
    nlohmann::json matcher;
    std::string reason;
  };
  std::vector<Entry> entries_;
};

}  // namespace mlxnx::cli
