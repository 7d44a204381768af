// Golden data that is cut short, changed at random or written to harm: a FormatError or a call that
// can be run, and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <fstream>

#include "golden_folder.h"
#include "mlxnx/error.h"
#include "ops/call_trial.h"
#include "replay/golden_data.h"
#include "replay/runner.h"

namespace mlxnx::cli {
namespace {

using testing::HasSubstr;
using testing_support::Dice;

constexpr std::uint64_t kMutations = 3000;
constexpr std::size_t kLinesBetweenPicks = 7;

const std::vector<float> kValues = {1, 2, 3, 4, 5, 6, 7, 8};
const std::string kGood =
    R"({"op":"add","attrs":{},"in":[{"type":"f32","shape":[2],"at":0},{"type":"f32","shape":[2],"at":8}],)"
    R"("out":[{"type":"f32","shape":[2],"at":16}]})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

void overwrite(const std::filesystem::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The text of the FormatError, which names the line.
std::string refusal_of(const std::filesystem::path& folder) {
  try {
    const GoldenData data(folder);
  } catch (const FormatError& error) {
    return error.what();
  } catch (const std::exception& error) {
    return std::string("another class: ") + error.what();
  }
  return "read without complaint";
}

struct BadLine {
  const char* name;
  std::string text;
  const char* complaint;
};

TEST(MalformedGoldenData, IsAFormatErrorThatSaysWhere) {
  const auto with = [](const char* from, const char* to) { return replaced(kGood, from, to); };
  const std::string deep(100'000, '[');
  const std::array lines = {
      BadLine{"no JSON", "{", "no JSON from byte 2 of 1 on"},
      BadLine{"no object", "[1]", "[1] is no object"},
      BadLine{"no op", with(R"("op":"add",)", ""), "has no op"},
      BadLine{"an op that is no name", with(R"("add")", "3"), "op: 3 is no text"},
      BadLine{"attributes that are no object", with("{},", "[],"), "attrs is not an object"},
      BadLine{"operands that are no list", with(R"("in":[)", R"("in":7,"x":[)"),
              "in: 7 is no list"},
      BadLine{"a tensor that is no object", with(R"("in":[)", R"("in":["f32",)"), "is no object"},
      BadLine{"a shape that is no list", with("[2]", "2"), "shape: 2 is no list"},
      BadLine{"no outputs", kGood.substr(0, kGood.find(R"("out")")) + R"("out":[]})",
              "out is empty"},
      BadLine{"an unknown type", with("f32", "f31"), "f31"},
      BadLine{"a type that MLX lacks", with("f32", "c128"), "c128"},
      BadLine{"a negative dimension", with("[2]", "[-2]"), "negative dimension"},
      BadLine{"a broken dimension", with("[2]", "[1.5]"), "1.5 is not an integer"},
      BadLine{"a dimension in words", with("[2]", "[\"two\"]"), "\"two\" is not an integer"},
      BadLine{"a dimension beyond 64 bits", with("[2]", "[1e300]"), "is not an integer"},
      BadLine{"an uncountable shape", with("[2]", "[4611686018427387904,4]"), "can be counted"},
      BadLine{"2^64 bytes", with("[2]", "[4611686018427387904]"), "reaches beyond the 32 bytes"},
      BadLine{"elements beyond the end", with("\"at\":0", "\"at\":28"), "reaches beyond"},
      BadLine{"a negative place", with("\"at\":0", "\"at\":-4"), "-4 is not an integer"},
      BadLine{"a place beyond 64 bits", with("\"at\":0", "\"at\":1e300"), "is not an integer"},
      BadLine{"the last place", with("\"at\":0", "\"at\":18446744073709551615"), "reaches beyond"},
      BadLine{"a deep nest", with("{},", ("{\"axes\":" + deep).c_str()), "nested deeper"},
      BadLine{"a deep closed nest",
              with("{},", ("{\"axes\":" + deep + std::string(deep.size(), ']') + "},").c_str()),
              "nested deeper"},
      BadLine{"bytes that are no UTF-8", with("add", "\xff\xfe"), "no JSON"},
      BadLine{"a zero byte", replaced(kGood, "add", std::string("a\0d", 3)), "no JSON"},
  };
  for (const BadLine& line : lines) {
    const GoldenFolder folder(kGood + "\n\n" + line.text + "\n", kValues);
    const std::string refusal = refusal_of(folder.path());
    EXPECT_THAT(refusal, testing::StartsWith("[golden data] ")) << line.name;
    EXPECT_THAT(refusal, HasSubstr("ops.jsonl line 3: ")) << line.name;
    EXPECT_THAT(refusal, HasSubstr(line.complaint)) << line.name;
  }
}

TEST(MalformedGoldenData, MissingFilesAreFormatErrors) {
  const GoldenFolder folder(kGood, kValues);
  EXPECT_THAT(refusal_of(folder.path() / "100%s"), HasSubstr("can't read"));
  std::filesystem::remove(folder.path() / "ops.jsonl");
  EXPECT_THAT(refusal_of(folder.path()), HasSubstr("ops.jsonl"));
  std::filesystem::create_directory(folder.path() / "ops.jsonl");
  EXPECT_THAT(refusal_of(folder.path()), HasSubstr("ops.jsonl"));
  std::filesystem::remove(folder.path() / "ops.bin");
  EXPECT_THAT(refusal_of(folder.path()), HasSubstr("ops.bin"));
  std::filesystem::create_symlink("/dev/zero", folder.path() / "ops.bin");
  EXPECT_THAT(refusal_of(folder.path()), HasSubstr("ops.bin: it is no regular file"));
}

TEST(MalformedGoldenData, TruncatedElementsAreAFormatError) {
  const GoldenFolder folder(kGood, kValues);
  const std::string all = contents(folder.path() / "ops.bin");
  for (std::size_t length = 0; length < all.size(); ++length) {
    overwrite(folder.path() / "ops.bin", all.substr(0, length));
    const bool is_enough = length >= 24;
    EXPECT_THAT(refusal_of(folder.path()),
                HasSubstr(is_enough ? "read without complaint" : "reaches beyond"))
        << length;
  }
}

// ---- random changes

void change_bytes(std::string& text, Dice& dice) {
  const std::size_t at = dice.below(text.size());
  const std::size_t length = std::min(text.size() - at, 1 + dice.below(12));
  switch (dice.below(4)) {
    case 0:
      text[at] = static_cast<char>(dice.bits());
      break;
    case 1:
      text.erase(at, length);
      break;
    case 2:
      text.insert(at, text.substr(at, length));
      break;
    default:
      text.resize(at);
      break;
  }
}

// A number of the line becomes another one.
void change_number(std::string& text, Dice& dice) {
  constexpr std::string_view kDigits = "0123456789";
  const std::size_t from = text.find_first_of(kDigits, dice.below(text.size()));
  if (from == std::string::npos) return;
  const std::size_t to = std::min(text.find_first_not_of(kDigits, from), text.size());
  text.replace(from, to - from, std::to_string(dice.between(-2, 8)));
}

// A number, a word in quotes or what lies between brackets becomes something else.
void change_token(std::string& text, Dice& dice) {
  constexpr std::array kTokens = {"-1",
                                  "1.5",
                                  "1e300",
                                  "-9223372036854775808",
                                  "9223372036854775807",
                                  "18446744073709551615",
                                  "18446744073709551616",
                                  "4611686018427387904",
                                  "1048576",
                                  "null",
                                  "true",
                                  "[]",
                                  "{}",
                                  "\"x\"",
                                  "\"nan\"",
                                  "[[1,2,3]]",
                                  "[0,0]"};
  constexpr std::string_view kEnds = ",:[]{}";
  const std::size_t from = text.find_first_not_of(kEnds, dice.below(text.size()));
  if (from == std::string::npos) return;
  const std::size_t to = std::min(text.find_first_of(kEnds, from), text.size());
  text.replace(from, to - from, dice.pick(kTokens));
}

std::vector<std::string> some_golden_lines() {
  std::ifstream file(std::filesystem::path(MLXNX_GOLDEN_DIR) / "ops.jsonl");
  std::vector<std::string> lines;
  std::string line;
  for (std::size_t i = 0; std::getline(file, line); ++i) {
    if (i % kLinesBetweenPicks == 0) lines.push_back(line);
  }
  return lines;
}

TEST(MalformedGoldenData, ChangedAtRandomIsRefusedOrRuns) {
  const std::vector<std::string> lines = some_golden_lines();
  const std::string elements = contents(std::filesystem::path(MLXNX_GOLDEN_DIR) / "ops.bin");
  const GoldenFolder folder("", {});
  overwrite(folder.path() / "ops.bin", elements);
  const testing_support::CallTrial guard;
  std::uint64_t refused = 0, ran = 0;
  for (std::uint64_t i = 0; i < kMutations; ++i) {
    Dice dice(testing_support::seed_of("golden data", i));
    std::string line = dice.pick(lines);
    do {
      const std::size_t way = dice.below(10);
      if (way < 6) {
        change_number(line, dice);
      } else if (way < 9) {
        change_token(line, dice);
      } else {
        change_bytes(line, dice);
      }
    } while (dice.chance(30) && !line.empty());
    overwrite(folder.path() / "ops.jsonl", line);
    SCOPED_TRACE(line);
    try {
      const GoldenData data(folder.path());
      for (const GoldenCase& golden : data.cases()) run(golden, {.check_types = dice.chance(50)});
      ran += data.cases().size();
    } catch (const FormatError&) {
      ++refused;
    } catch (const std::exception& error) {
      ADD_FAILURE() << "another class: " << error.what();
    }
  }
  EXPECT_GT(refused, kMutations / 4);
  EXPECT_GT(ran, kMutations / 10);
}

}  // namespace
}  // namespace mlxnx::cli
