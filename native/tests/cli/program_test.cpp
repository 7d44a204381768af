// The program as a user meets it: exit statuses and what it prints.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "golden_folder.h"
#include "ops/registry.h"
#include "run_program.h"

namespace mlxnx::cli {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string line(const std::string& op, const std::string& attrs, const std::string& in, int out) {
  return R"({"op":")" + op + R"(","attrs":)" + attrs + R"(,"in":[)" + in +
         R"(],"out":[{"type":"f32","shape":[2],"at":)" + std::to_string(out) + "}]}\n";
}

const std::string kOperands =
    R"({"type":"f32","shape":[2],"at":0},{"type":"f32","shape":[2],"at":8})";
// [1, 2], [10, 20] and their sum.
const std::vector<float> kValues = {1, 2, 10, 20, 11, 22};

TEST(Program, TellsItsVersionAndUsage) {
  const Result version = run_program("--version");
  EXPECT_EQ(version.status, 0);
  EXPECT_EQ(version.text, "mlxnx " MLXNX_VERSION "\n");
  const Result help = run_program("--help");
  EXPECT_EQ(help.status, 0);
  EXPECT_THAT(help.text, HasSubstr("replay"));
  EXPECT_EQ(run_program("replay --help").status, 0);
}

TEST(Program, EndsWithTwoForAWrongCommandLine) {
  for (const char* arguments :
       {"", "nonsense", "replay", "replay a b", "info extra", "ops --format pdf", "--nonsense"}) {
    EXPECT_EQ(run_program(arguments).status, 2) << arguments;
  }
}

TEST(Program, ShowsWhatItIsMadeOf) {
  const Result result = run_program("info");
  EXPECT_EQ(result.status, 0);
  for (const char* row : {"mlxnx ", "MLX ", "mlx-c ", "devices ", "BLAS ", "fused ", "cache "})
    EXPECT_THAT(result.text, HasSubstr(row));
}

TEST(Program, ListsEveryOp) {
  const Result json = run_program("ops --format json");
  ASSERT_EQ(json.status, 0);
  const auto table = nlohmann::json::parse(json.text);
  ASSERT_EQ(table.size(), ops::all_ops().size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    EXPECT_EQ(table[i].at("name").get<std::string>(), ops::all_ops()[i]->name);
    EXPECT_THAT(table[i].at("derivative").get<std::string>(), AnyOf("zero", StartsWith("rule")))
        << ops::all_ops()[i]->name;
    EXPECT_THAT(table[i].at("vmap").get<std::string>(),
                AnyOf("rule", "example by example", "nothing to map"));
  }
  const Result markdown = run_program("ops --format md");
  EXPECT_THAT(markdown.text, StartsWith("# Ops\n"));
  const Result text = run_program("ops");
  for (const ops::OpDef* op : ops::all_ops()) {
    EXPECT_THAT(markdown.text, HasSubstr("| `" + std::string(op->name) + "` |"));
    EXPECT_THAT(text.text, HasSubstr(std::string(op->name) + " ("));
  }
}

TEST(ProgramReplay, CountsWhatPasses) {
  const GoldenFolder folder(
      line("add", "{}", kOperands, 16) + "\n" + line("add", "{}", kOperands, 16), kValues);
  const Result result = run_program("replay " + folder.path().string());
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.text, "2 passed, 0 failed, 0 skipped\n");
}

TEST(ProgramReplay, TriesOneLayoutOrAll) {
  const GoldenFolder folder(line("add", "{}", kOperands, 16), kValues);
  const std::string path = folder.path().string();
  EXPECT_EQ(run_program("replay --layout strided " + path).text, "1 passed, 0 failed, 0 skipped\n");
  std::string all;
  for (const char* layout :
       {"row", "reversed", "permuted", "strided", "sliced", "broadcast", "flipped"})
    all += "operands " + std::string(layout) + ":\n1 passed, 0 failed, 0 skipped\n";
  EXPECT_EQ(run_program("replay --layout all " + path).text, all);
  EXPECT_EQ(run_program("replay --layout diagonal " + path).status, 2);
}

TEST(ProgramReplay, SaysWhichLayoutFails) {
  const GoldenFolder folder(line("add", "{}", kOperands, 8), kValues);
  const Result result =
      run_program("replay --layout sliced --failures /dev/stdout " + folder.path().string());
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.text,
              HasSubstr(", operands sliced)\noutput 0: element [0] is 11, expected 10"));
}

TEST(ProgramReplay, NamesOpsWithFailuresAndEndsWithOne) {
  const GoldenFolder folder(line("add", "{}", kOperands, 16) + line("add", "{}", kOperands, 8) +
                                line("no_such_op", "{}", kOperands, 16),
                            kValues);
  const std::string failures = (folder.path() / "failures.txt").string();
  const Result result = run_program("replay " + folder.path().string() + " --failures " + failures);
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.last_line(), "1 passed, 2 failed, 0 skipped");
  EXPECT_THAT(result.text, HasSubstr("add                              1 passed,     1 failed\n"));
  std::ostringstream text;
  text << std::ifstream(failures).rdbuf();
  EXPECT_THAT(text.str(), StartsWith("line 2: add (case "));
  EXPECT_THAT(text.str(), HasSubstr("output 0: element [0] is 11, expected 10 (2 of 2 elements "));
  EXPECT_THAT(text.str(), HasSubstr("in[1]: f32[2] [10, 20]\nexpected[0]: f32[2] [10, 20]\n"
                                    "got[0]: f32[2] [11, 22]\n"));
  EXPECT_THAT(text.str(), HasSubstr("line 3: no_such_op (case "));
  EXPECT_THAT(text.str(), HasSubstr("there is no such op"));
}

TEST(ProgramReplay, RunsCallsAsPrograms) {
  const GoldenFolder folder(line("add", "{}", kOperands, 16) + line("add", "{}", kOperands, 8),
                            kValues);
  EXPECT_EQ(run_program("replay --as-program " + folder.path().string()).last_line(),
            "1 passed, 1 failed, 0 skipped");
}

TEST(ProgramReplay, RunsTheOpsAskedFor) {
  const GoldenFolder folder(
      line("add", "{}", kOperands, 16) + line("no_such_op", "{}", kOperands, 16), kValues);
  const std::string command = "replay " + folder.path().string();
  EXPECT_EQ(run_program(command + " --op add").text, "1 passed, 0 failed, 0 skipped\n");
  const Result absent = run_program(command + " --op subtract");
  EXPECT_EQ(absent.status, 1);
  EXPECT_THAT(absent.text, HasSubstr("has no case of subtract"));
}

TEST(ProgramReplay, SkipsKnownDifferencesAloudAndCountsThosePassing) {
  const GoldenFolder folder(line("add", "{}", kOperands, 16) + line("add", "{}", kOperands, 8),
                            kValues);
  const std::filesystem::path known = folder.path() / "known.json";
  std::ofstream(known) << R"([{"op": "add", "reason": "sums are overrated"}])";
  const Result result =
      run_program("replay " + folder.path().string() + " --known " + known.string());
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(
      result.text,
      "skipped, known to differ:\n     1  sums are overrated\n1 passed, 0 failed, 1 skipped\n");
}

TEST(ProgramReplay, CanDemandTheInferredType) {
  const std::string doubles = R"({"op":"add","attrs":{},"in":[)" + kOperands +
                              R"(],"out":[{"type":"f64","shape":[1],"at":16}]})";
  const GoldenFolder folder(doubles, kValues);
  const Result result =
      run_program("replay --check-types " + folder.path().string() + " --failures /dev/stdout");
  EXPECT_THAT(result.text, HasSubstr("output 0 was inferred as f32[2], expected f64[1]"));
}

struct BrokenCase {
  const char* lines;
  const char* message;
};

TEST(ProgramReplay, RefusesWhatIsNotGoldenData) {
  constexpr BrokenCase kCases[] = {
      {"{\"op\":", "ops.jsonl line 1: "},
      {"\n[]\n", "ops.jsonl line 2: "},
      {R"({"op":"add","attrs":{},"in":[]})", "has no out"},
      {R"({"op":"add","attrs":[],"in":[],"out":[]})", "attrs is not an object"},
      {R"({"op":"add","attrs":{},"in":[],"out":[]})", "out is empty"},
      {R"({"op":"add","attrs":{},"in":[{"type":"f32","shape":[7],"at":0}],"out":[]})",
       "f32[7] at 0 reaches beyond the 24 bytes of elements"},
      {R"({"op":"add","attrs":{},"in":[{"type":"f32","shape":[1],"at":1e30}],"out":[]})", "line 1"},
      {R"({"op":"add","attrs":{},"in":[{"type":"f32","shape":[-1],"at":0}],"out":[]})", "line 1"},
      {R"({"op":"add","attrs":{},"in":[{"type":"q7","shape":[1],"at":0}],"out":[]})", "\"q7\""},
  };
  for (const BrokenCase& row : kCases) {
    const GoldenFolder folder(row.lines, kValues);
    const Result result = run_program("replay " + folder.path().string());
    EXPECT_EQ(result.status, 1) << row.lines;
    EXPECT_THAT(result.text, StartsWith("mlxnx: [golden data] ")) << row.lines;
    EXPECT_THAT(result.text, HasSubstr(row.message)) << row.lines;
  }
  const Result missing = run_program("replay /no/such/folder");
  EXPECT_EQ(missing.status, 1);
  EXPECT_EQ(missing.text,
            "mlxnx: [golden data] can't read /no/such/folder/ops.bin: No such file or directory\n");
}

TEST(ProgramReplay, FailsACaseWhoseAttributesAreWrong) {
  const GoldenFolder folder(line("add", R"({"speed":3})", kOperands, 16), kValues);
  const Result result = run_program("replay " + folder.path().string() + " --failures /dev/stdout");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.text, HasSubstr("[add] unknown attribute speed"));
}

}  // namespace
}  // namespace mlxnx::cli
