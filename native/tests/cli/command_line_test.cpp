// What the program does with hostile files, command lines and outputs: an error in its own words
// that names the file, and the right exit status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "golden_folder.h"
#include "mlxnx/io.h"
#include "program/build_helpers.h"
#include "program/serializer.h"
#include "run_program.h"

namespace mlxnx::cli {
namespace {

using program::RegionBuilder;
using program::ValueId;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class CommandLine : public testing::Test {
 protected:
  CommandLine() {
    std::filesystem::create_directories(folder_ / "golden");
    save_sum("p.mlxnx", "x");
    save_npy(file("x.npy"), tensor({1.0, 2.0}));
    std::ofstream(file("golden/ops.jsonl"))
        << R"({"op":"negate","attrs":{},"in":[{"type":"u8","shape":[1],"at":0}],)"
        << R"("out":[{"type":"u8","shape":[1],"at":0}]})"
        << "\n";
    std::ofstream(file("golden/ops.bin")) << '\0';
  }
  ~CommandLine() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  // A program of one input of this name.
  void save_sum(const std::string& name, const std::string& input) {
    RegionBuilder builder;
    const ValueId x = builder.input(input, {DType::f32, {2}});
    program::save(builder.program(std::vector{builder.op("add", {x, x})}), file(name));
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  std::string golden() const { return file("golden"); }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("mlxnx_line_" + std::to_string(::getpid()));
};

// Words that belong to libraries, and would tell a user nothing.
const auto kInOwnWords = Not(AnyOf(
    HasSubstr("json.exception"), HasSubstr("basic_string"), HasSubstr("vector::"),
    HasSubstr("stoi"), HasSubstr("filesystem error"), HasSubstr("iostream"), HasSubstr("std::")));

// One line on standard error, and the status of a failure.
void expect_refusal(const std::string& arguments, const std::string& words) {
  const Result result = run_program(arguments, "2>&1 >/dev/null");
  EXPECT_EQ(result.status, 1) << arguments;
  EXPECT_THAT(result.text, StartsWith("mlxnx: ")) << arguments;
  EXPECT_THAT(result.text, HasSubstr(words)) << arguments;
  EXPECT_THAT(result.text, kInOwnWords) << arguments;
  EXPECT_EQ(result.text.find('\n') + 1, result.text.size()) << arguments << "\n" << result.text;
}

struct BadFile {
  const char* name;
  std::string contents;
};

TEST_F(CommandLine, EveryKindOfBadFileIsNamedInOneLine) {
  std::string noise;
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(i * 7919 >> 3);
  const std::string whole = [&] {
    std::ostringstream text;
    text << std::ifstream(file("p.mlxnx"), std::ios::binary).rdbuf();
    return text.str();
  }();
  const std::vector<BadFile> files = {
      {"empty", ""},
      {"noise", noise},
      {"text", "{\"op\": 1}\n"},
      {"ones", std::string(4096, '\xff')},
      {"half", whole.substr(0, whole.size() / 2)},
      {"short", whole.substr(0, whole.size() - 1)},
      {"long", whole + "x"},
  };
  for (const BadFile& bad : files) {
    const std::string path = file(bad.name);
    std::ofstream(path, std::ios::binary) << bad.contents;
    expect_refusal("inspect " + path, path);
    expect_refusal("convert " + path + " -o " + file("made"), path);
    expect_refusal("transform " + path + " grad -o " + file("made.mlxnx"), path);
    expect_refusal("run " + path, path);
    expect_refusal("run " + file("p.mlxnx") + " --input x=" + path, path);
    expect_refusal("replay " + path, path);
    expect_refusal("replay " + golden() + " --known " + path, path);
  }
  std::ofstream(file("zeros")) << std::string(4096, '\0');
  expect_refusal("run " + file("p.mlxnx") + " --input x=" + file("zeros"), file("zeros"));
  expect_refusal("replay " + golden() + " --known " + file("zeros"), file("zeros"));
  for (const std::string& path :
       {file("missing"), file("missing/" + std::string(300, 'x')), folder_.string(),
        std::string("/dev/zero"), std::string("/dev/null")}) {
    expect_refusal("inspect " + path, path);
    expect_refusal("transform " + path + " grad -o " + file("made.mlxnx"), path);
    expect_refusal("run " + path, path);
    expect_refusal("run " + file("p.mlxnx") + " --input x=" + path, path);
    expect_refusal("replay " + path, path);
    expect_refusal("replay " + golden() + " --known " + path, path);
  }
}

TEST_F(CommandLine, UnreadableFilesAreNamed) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads everything";
  ::chmod(file("x.npy").c_str(), 0);
  expect_refusal("inspect " + file("x.npy"), "x.npy: Permission denied");
  expect_refusal("run " + file("p.mlxnx") + " --input x=" + file("x.npy"),
                 "x.npy can't be read: Permission denied");
}

TEST_F(CommandLine, FilesThatCanNotBeWrittenAreNamed) {
  const std::string run = "run " + file("p.mlxnx") + " --input x=" + file("x.npy");
  expect_refusal(run + " --output 0=" + file("no/such.npy"),
                 "such.npy can't be written: No such file or directory");
  expect_refusal(run + " --output 0=" + folder_.string(),
                 folder_.string() + " can't be written: Is a directory");
  const std::string transform = "transform " + file("p.mlxnx") + " grad -o ";
  expect_refusal(transform + file("no/such.mlxnx"), "such.mlxnx: No such file or directory");
  expect_refusal(transform + folder_.string(), folder_.string() + ": Is a directory");
  const std::string replay = "replay " + golden() + " --failures ";
  expect_refusal(replay + file("no/such.txt"), "such.txt: No such file or directory");
#ifdef __linux__
  expect_refusal(run + " --output 0=/dev/full",
                 "/dev/full can't be written: No space left on device");
  expect_refusal(transform + "/dev/full", "/dev/full: No space left on device");
  std::ofstream(file("golden/ops.bin")) << '\1';
  expect_refusal(replay + "/dev/full", "/dev/full: No space left on device");
#endif
}

struct WrongLine {
  const char* arguments;
  const char* words;
};

TEST_F(CommandLine, WrongCommandLinesAreExplained) {
  constexpr WrongLine kLines[] = {
      {"", "a subcommand is missing; the subcommands are "},
      {"relpay", "there is no subcommand \"relpay\"; did you mean \"replay\"?"},
      {"rn x", "did you mean \"run\"?"},
      {"qqqq", "there is no subcommand \"qqqq\"; the subcommands are"},
      {"'a\x1b[31m'", "\"a\\x1b[31m\""},
      {"--nonsense", "there is no option \"--nonsense\""},
      {"''", "a subcommand is missing"},
      {"run", "PROGRAM is required"},
      {"run a b", "b"},
      {"run a --input", "--input"},
      {"inspect", "PATH is required"},
      {"inspect a --json --dot", "--dot"},
      {"convert", "--model is required"},
      {"convert a --q-mode int4", "int4"},
      {"convert a --q-bits few", "few"},
      {"inspect a --dto", "--dto"},
      {"info extra", "extra"},
      {"ops --format pdf", "pdf"},
      {"replay", "DIR is required"},
      {"replay a b", "b"},
      {"replay a --op", "--op"},
#ifdef MLXNX_WITH_BENCH
      {"bench --repetitions 0", "0 not in range"},
      {"bench --repetitions -3", "-3 not in range"},
      {"bench --repetitions 99999999999999999999", "99999999999999999999"},
      {"bench --repetitions many", "many"},
      {"bench --seconds -1", "-1"},
      {"bench --memory 0", "0 not in range"},
      {"bench --seconds 1e300", "1e300"},
      {"bench --filter '('", "( is no regular expression"},
      {"bench --format xml", "xml"},
#endif
  };
  for (const WrongLine& line : kLines) {
    const Result result = run_program(line.arguments);
    EXPECT_EQ(result.status, 2) << line.arguments;
    EXPECT_THAT(result.text, StartsWith("mlxnx: ")) << line.arguments;
    EXPECT_THAT(result.text, HasSubstr(line.words)) << line.arguments;
    EXPECT_THAT(result.text, HasSubstr("--help` tells more")) << line.arguments;
    EXPECT_THAT(result.text, kInOwnWords) << line.arguments;
  }
#ifdef MLXNX_WITH_BENCH
  expect_refusal("bench --filter no_such_case", "no case matches no_such_case");
  expect_refusal("bench --seconds nan", "--seconds is not a number");
#endif
}

#ifdef MLXNX_WITH_BENCH
TEST_F(CommandLine, BenchSelectsACaseByItsWholeName) {
  const Result result = run_program(
      "bench --filter '^build_add_f32_10$' --format json --repetitions 1 --seconds 0.001");
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_THAT(result.text, HasSubstr("\"build_add_f32_10/"));
}
#endif

TEST_F(CommandLine, EverySubcommandHasHelpWithAnExampleOrMore) {
  for (const char* name : {"convert", "info", "inspect", "ops", "replay", "run"}) {
    const Result help = run_program(std::string(name) + " --help");
    EXPECT_EQ(help.status, 0) << name;
    EXPECT_THAT(help.text, HasSubstr("Usage: mlxnx " + std::string(name)));
    EXPECT_THAT(help.text,
                AnyOf(HasSubstr("Example: mlxnx " + std::string(name)),
                      HasSubstr("Examples: mlxnx " + std::string(name)), HasSubstr("MLXNX_")));
    EXPECT_THAT(help.text, Not(HasSubstr("TEXT REQUIRED"))) << name;
  }
}

#ifdef __linux__
TEST_F(CommandLine, OutputThatCanNotBeWrittenIsAnError) {
  const std::vector<std::string> lines = {
      "--help",
      "--version",
      "run --help",
      "info",
      "ops",
      "ops --format json",
      "inspect " + file("p.mlxnx"),
      "inspect --dot " + file("p.mlxnx"),
      "run " + file("p.mlxnx") + " --input x=" + file("x.npy"),
      "replay " + golden(),
#ifdef MLXNX_WITH_BENCH
      "bench --list",
#endif
  };
  for (const std::string& line : lines) {
    for (const auto& [redirect, why] : {std::pair("2>&1 >/dev/full", "No space left on device"),
                                        std::pair("2>&1 >&-", "Bad file descriptor")}) {
      const Result result = run_program(line, redirect);
      EXPECT_EQ(result.status, 1) << line << redirect;
      EXPECT_EQ(result.text, "mlxnx: can't write to standard output: " + std::string(why) + "\n")
          << line << redirect;
    }
    // Nobody reads: the process ends by SIGPIPE and says nothing, also where it was told to ignore
    // the signal.
    for (const char* before : {"", "trap '' PIPE; "}) {
      const std::string status = file("status");
      const Result result =
          run_shell("{ sleep 0.2; " + std::string(before) + "'" MLXNX_PROGRAM "' " + line + " 2>" +
                    file("errors") + "; echo $? >" + status + "; } | true; cat " + status + " " +
                    file("errors"));
      EXPECT_EQ(result.text, "141\n") << before << line;
    }
  }
}

TEST_F(CommandLine, WhatIsPrintedDoesNotLandInAFile) {
  std::ofstream(file("golden/ops.bin")) << '\1';  // so that the only case fails
  const std::string failures = file("failures.txt");
  const Result result = run_program("replay " + golden() + " --failures " + failures, "2>&1 >&-");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.text, HasSubstr("can't write to standard output"));
  std::ostringstream text;
  text << std::ifstream(failures).rdbuf();
  EXPECT_THAT(text.str(), StartsWith("line 1: negate"));
  EXPECT_THAT(text.str(), Not(HasSubstr("passed")));
}
#endif  // __linux__

TEST_F(CommandLine, NamesDoNotActOnTheTerminal) {
  save_sum("red.mlxnx", "a\x1b[31m\nb");
  for (const std::string& line :
       {"inspect " + file("red.mlxnx"), "inspect --dot " + file("red.mlxnx"),
        "run " + file("red.mlxnx")}) {
    const Result result = run_program(line);
    EXPECT_THAT(result.text, HasSubstr("\\x1b[31m")) << line;
    EXPECT_THAT(result.text, Not(HasSubstr("\x1b"))) << line;
  }
  const GoldenFolder folder(R"({"op":"add\u001b[31m","attrs":{"\u001b":1},"in":[],)"
                            R"("out":[{"type":"u8","shape":[1],"at":0}]})",
                            {1});
  const Result replay = run_program("replay " + folder.path().string() + " --failures /dev/stdout");
  EXPECT_EQ(replay.status, 1);
  EXPECT_THAT(replay.text, HasSubstr("add\\x1b[31m"));
  EXPECT_THAT(replay.text, Not(HasSubstr("\x1b")));
  const std::string name = file("c\x1b[31m.mlxnx");
  const Result missing = run_program("inspect '" + name + "'");
  EXPECT_THAT(missing.text, HasSubstr("c\\x1b[31m.mlxnx: No such file or directory"));
}

#ifdef __linux__
// How `line` ends that is interrupted when it has had time to begin.
// A shell in the background would have it ignore that signal.
Result interrupted(const std::string& line) {
  return run_shell(
      "env --default-signal=INT timeout --preserve-status --signal INT --kill-after 20 2 "
      "'" MLXNX_PROGRAM "' " +
      line + " 2>&1 >/dev/null");
}

TEST_F(CommandLine, AnInterruptEndsAtOnceAndSaysSo) {
  // An endless loop.
  RegionBuilder condition;
  const ValueId c = condition.input("", {DType::f32, {}});
  const auto always = condition.region(std::vector{condition.op("equal", {c, c})});
  RegionBuilder body;
  const ValueId x = body.input("", {DType::f32, {}});
  const auto same = body.region(std::vector{body.op("sin", {x})});
  RegionBuilder builder;
  const auto result =
      builder.while_loop(std::vector{builder.input("x", {DType::f32, {}})}, {}, always, same);
  program::save(builder.program(result), file("endless.mlxnx"));
  save_npy(file("one.npy"), Tensor(1.0));
  std::ofstream(file("golden/programs.jsonl"))
      << R"({"name":"endless","program":"endless.mlxnx","in":[{"type":"f32","shape":[],"at":0}],)"
      << R"("out":[{"type":"f32","shape":[],"at":0}]})"
      << "\n";
  std::ofstream(file("golden/programs.bin")) << std::string(4, '\0');
  std::filesystem::copy(file("endless.mlxnx"), file("golden/endless.mlxnx"));
  for (const std::string& line :
       {"run " + file("endless.mlxnx") + " --input x=" + file("one.npy"), "replay " + golden()}) {
    const auto start = std::chrono::steady_clock::now();
    const Result ended = interrupted(line);
    EXPECT_EQ(ended.status, 130) << line;
    EXPECT_EQ(ended.text, "mlxnx: interrupted\n") << line;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10)) << line;
  }
}
#endif  // __linux__

}  // namespace
}  // namespace mlxnx::cli
