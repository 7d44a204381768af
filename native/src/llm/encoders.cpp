#include "llm/encoder.h"

namespace mlxnx::llm {
namespace {

struct Row {
  std::string_view name;
  const EncoderFamily* family;
};
constexpr Row kEncoders[] = {
    {"bert", &bert::kBert},
    {"camembert", &bert::kRoberta},
    {"roberta", &bert::kRoberta},
    {"xlm-roberta", &bert::kRoberta},
};

}  // namespace

const EncoderFamily* find_encoder(std::string_view model_type) {
  for (const Row& row : kEncoders) {
    if (row.name == model_type) return row.family;
  }
  return nullptr;
}

}  // namespace mlxnx::llm
