#include "llm/stop_texts.h"

#include <gtest/gtest.h>

#include "mlxnx/error.h"

namespace mlxnx::llm {
namespace {

TEST(StopTexts, AreFoundAcrossPieces) {
  StopTexts stop({"###", "END"});
  EXPECT_EQ(stop.push("one #"), "one ");
  EXPECT_EQ(stop.push("# two"), "## two");
  EXPECT_EQ(stop.push(" E"), " ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_FALSE(stop.is_found());
  EXPECT_EQ(stop.push("D and more"), "");
  EXPECT_TRUE(stop.is_found());
}

TEST(StopTexts, TakeTheFirstThatComes) {
  StopTexts stop({"later", "soon"});
  EXPECT_EQ(stop.push("it is soon, not later"), "it is ");
  EXPECT_TRUE(stop.is_found());
}

TEST(StopTexts, GiveBackWhatWasHeldForNothing) {
  StopTexts stop({"END"});
  EXPECT_EQ(stop.push("the EN"), "the ");
  EXPECT_EQ(stop.finish(), "EN");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopTexts, AreNotEmpty) { EXPECT_THROW(StopTexts({"a", ""}), ArgumentError); }

}  // namespace
}  // namespace mlxnx::llm
