// A test for each kind of vectors that the CPU at hand has.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/quantized.h"

namespace mlxnx::testing_support {

/// Leaves the kind as it was.
class EachKind : public testing::Test {
 protected:
  void SetUp() override {
    if (!kernels::are_there()) GTEST_SKIP() << "this build has no kernels";
  }
  void TearDown() override {
    if (kernels::are_there()) kernels::use_vectors("");
  }

  template <typename Body>
  static void for_each_kind(const Body& body) {
    const std::vector<std::string> kinds = kernels::kinds_of_vectors();
    EXPECT_FALSE(kinds.empty());
    for (const std::string& kind : kinds) {
      SCOPED_TRACE(kind);
      kernels::use_vectors(kind);
      EXPECT_EQ(kernels::kinds_of_vectors(), std::vector{kind});
      body();
      kernels::use_vectors("");
    }
  }
};

}  // namespace mlxnx::testing_support
