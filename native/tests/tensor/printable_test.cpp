// Text that must not act on a terminal.
#include "tensor/printable.h"

#include <gtest/gtest.h>

namespace mlxnx::tensors {
namespace {

TEST(Printable, LeavesWhatCanBeShown) {
  for (const char* text :
       {"", "plain", "a \"quoted\" back\\slash", "größer → ∞ 日本語", "'a' {b} %s"})
    EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatActsOnATerminal) {
  EXPECT_EQ(printable("\x1b[31mred\x07"), "\\x1b[31mred\\x07");
  EXPECT_EQ(printable("two\nlines\ttab\r"), "two\\nlines\\ttab\\r");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\x7f"), "\\x7f");
  EXPECT_EQ(printable("\u0085 \u202e"), "\\x85 \\u202e");
  EXPECT_EQ(printable("\xff\xfe"), "\\xff\\xfe");
}

}  // namespace
}  // namespace mlxnx::tensors
