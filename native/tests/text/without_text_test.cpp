#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "error_of.h"
#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;
using testing_support::error_of;

TEST(TextAbsent, SaysWhatToInstall) {
  EXPECT_FALSE(has_text());
  EXPECT_THAT(error_of<UnsupportedError>([] { Tokenizer::from_json("{}"); }), HasSubstr("cargo"));
  EXPECT_THAT(error_of<UnsupportedError>([] { ChatTemplate("x"); }), HasSubstr("cargo"));
}

}  // namespace
}  // namespace mlxnx
