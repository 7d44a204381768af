#include "mlxnx/text.h"

#include <gtest/gtest.h>

namespace mlxnx {
namespace {
TEST(TextTokenizer, X) {
  auto t = Tokenizer::from_parts({.model = "llama", .tokens = {"<unk>", "a"}});
  EXPECT_EQ(t.vocabulary_size(), 2u);
}
}  // namespace
}  // namespace mlxnx
