// Whatever is a function can be differentiated and mapped, or is refused clearly: random calls of
// every op, and recorded programs with bytes changed.
//
// MLXNX_ROBUSTNESS_CALLS is the number of calls of each op, and of changes of each program,
// MLXNX_ROBUSTNESS_SEED makes them others.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "mlxnx/error.h"
#include "ops/call_trial.h"
#include "ops/registry.h"
#include "program/printer.h"
#include "program/serializer.h"
#include "transforms/transform_check.h"

namespace mlxnx::transforms {
namespace {

using testing_support::CallTrial;
using testing_support::Dice;
using testing_support::Running;

#if defined(__SANITIZE_ADDRESS__)
constexpr std::uint64_t kDefaultCalls = 15;
#else
constexpr std::uint64_t kDefaultCalls = 100;
#endif

std::uint64_t number_of_calls() {
  return testing_support::number_from_environment("MLXNX_ROBUSTNESS_CALLS", kDefaultCalls);
}

TEST(DerivativesOfEveryOp, AreThereForAnyCallOrRefusedClearly) {
  std::uint64_t compared = 0;
  for (const ops::OpDef* op : ops::all_ops()) {
    CallTrial trial;
    for (std::uint64_t i = 0; i < number_of_calls() && !trial.gave_up(); ++i) {
      Dice dice(testing_support::seed_of(op->name, i));
      trial.run(testing_support::random_call(*op, dice), "call " + std::to_string(i),
                testing_support::judge_derivative);
    }
    compared += trial.evaluated();
  }
  EXPECT_GT(compared, number_of_calls() * 10);
}

TEST(MappingsOfEveryOp, AnswerWhatTheLoopDoes) {
  std::uint64_t compared = 0;
  for (const ops::OpDef* op : ops::all_ops()) {
    CallTrial trial;
    for (std::uint64_t i = 0; i < number_of_calls() && !trial.gave_up(); ++i) {
      Dice dice(testing_support::seed_of(std::string(op->name) + " mapped", i));
      trial.run(testing_support::random_call(*op, dice), "call " + std::to_string(i),
                [&dice](const auto& call) { return testing_support::judge_mapping(call, dice); });
    }
    compared += trial.evaluated();
  }
  EXPECT_GT(compared, number_of_calls() * 10);
}

std::vector<std::byte> contents(const std::filesystem::path& path) {
  std::vector<std::byte> bytes(std::filesystem::file_size(path));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

// Digits stand for operands, axes, sizes and types, and another one there is often well-formed.
void change_digit(std::vector<std::byte>& bytes, Dice& dice) {
  for (int tries = 0; tries < 1000; ++tries) {
    std::byte& byte = bytes[dice.below(bytes.size())];
    if (byte < std::byte{'0'} || byte > std::byte{'9'}) continue;
    byte = static_cast<std::byte>('0' + dice.below(10));
    return;
  }
}

TEST(MutatedPrograms, AreTransformedOrRefusedClearly) {
  int tried = 0, well_formed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MLXNX_GOLDEN_PROGRAMS_DIR)) {
    if (entry.path().extension() != ".mlxnx") continue;
    const std::vector<std::byte> good = contents(entry.path());
    const std::string name = entry.path().filename().string();
    for (std::uint64_t i = 0; i < number_of_calls() / 5; ++i) {
      ++tried;
      Dice dice(testing_support::seed_of(name, i));
      std::vector<std::byte> bytes = good;
      for (std::size_t changes = dice.below(4); changes > 0; --changes) change_digit(bytes, dice);
      program::Program program;
      try {
        program = program::deserialize(bytes);
      } catch (const std::exception&) {
        continue;
      }
      ++well_formed;
      EXPECT_EQ(testing_support::judge_transforms(program.main, {}, Running::kNot).fault, "")
          << name << ", change " << i << "\n"
          << to_text(program);
      EXPECT_EQ(testing_support::judge_mapping(program.main, {}, dice, Running::kNot).fault, "")
          << name << ", change " << i << "\n"
          << to_text(program);
    }
  }
  EXPECT_GT(well_formed, tried / 10) << "of " << tried;
}

}  // namespace
}  // namespace mlxnx::transforms
