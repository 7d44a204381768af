// The example `characters`: what it learns, what it writes, and what it says of bad input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "run_shell.h"

namespace mlxnx {
namespace {

using testing::HasSubstr;

const std::string kText = MLXNX_DOCS "/architecture.md";
// A model that learns in seconds.
const std::string kSmall = "--batch 16 --context 32 --width 32 --layers 1 --rate 1e-2 --dropout 0 ";

Result characters(const std::string& arguments, const std::string& before = "") {
  return run_shell(before + "'" MLXNX_CHARACTERS "' " + arguments + " 2>&1");
}

// The number behind the words, wherever they stand.
std::vector<double> numbers_after(const std::string& words, const std::string& text) {
  const std::regex number(words + R"( (\d+\.\d+))");
  std::vector<double> numbers;
  for (std::sregex_iterator found(text.begin(), text.end(), number), end; found != end; ++found)
    numbers.push_back(std::stod((*found)[1]));
  return numbers;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> characters;
  for (const char byte : text) {
    if (characters.empty() || (byte & 0xC0) != 0x80) characters.emplace_back();
    characters.back() += byte;
  }
  return characters;
}

// What was written at last, without the lines around it.
std::string written(const std::string& text) {
  const std::string line = "\n--------\n";
  const std::size_t end = text.rfind(line);
  const std::size_t begin = text.rfind(line, end - 1);
  return text.substr(begin + line.size(), end - begin - line.size());
}

std::string without_speed(const std::string& text) {
  return std::regex_replace(text, std::regex(R"(\d+ characters/s)"), "");
}

class Characters : public testing::Test {
 protected:
  Characters() { std::filesystem::create_directories(folder_); }
  ~Characters() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(file(name)) << text;
    return file(name);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("mlxnx_characters_" + std::to_string(::getpid()));
};

TEST_F(Characters, LearnsWhatFrequenciesAloneDoNotTell) {
  const Result result =
      characters(kSmall + "--steps 150 --sample-every 100 --length 80 '" + kText + "'");
  ASSERT_EQ(result.status, 0) << result.text;
  // No model that looks at one character by itself has a loss below the entropy of what is held
  // out; an untrained one is at the logarithm of their number.
  const double frequencies = numbers_after("a loss of", result.text).at(0);
  EXPECT_GT(frequencies, 2.5);
  EXPECT_LT(frequencies, 4);
  const std::vector<double> held_out = numbers_after("held out loss", result.text);
  ASSERT_EQ(held_out.size(), 2U) << result.text;
  EXPECT_LT(held_out.back(), frequencies - 0.4) << result.text;
  EXPECT_GT(held_out.back(), 1.5)
      << "so little training tells no more, unless it sees what it guesses";
  const std::vector<double> losses = numbers_after("  loss", result.text);
  ASSERT_EQ(losses.size(), 3U) << result.text;
  EXPECT_GT(losses[0], losses[1] + 0.2);
  EXPECT_GT(losses[1], losses[2]);
  EXPECT_THAT(result.text, HasSubstr(" characters/s"));

  std::ifstream in(kText, std::ios::binary);
  const std::vector<std::string> known = split(std::string(std::istreambuf_iterator<char>(in), {}));
  const std::set<std::string> vocabulary(known.begin(), known.end());
  const std::vector<std::string> sample = split(written(result.text));
  EXPECT_EQ(sample.size(), 81U) << "the first character, and those after it";
  for (const std::string& character : sample) EXPECT_TRUE(vocabulary.contains(character));
  EXPECT_GT(std::set<std::string>(sample.begin(), sample.end()).size(), 8U) << written(result.text);
}

TEST_F(Characters, ASeedGivesTheSameTextAndAnotherOneAnother) {
  // Beyond the steps that are not fused, and with dropout.
  const auto run = [](int seed) {
    const std::string all =
        kSmall + "--dropout 0.1 --steps 25 --report-every 5 --length 40 --seed ";
    return without_speed(characters(all + std::to_string(seed) + " '" + kText + "'").text);
  };
  const std::string first = run(7);
  EXPECT_THAT(first, HasSubstr("step 25/25"));
  EXPECT_EQ(first, run(7));
  EXPECT_NE(written(first), written(run(8)));
}

TEST_F(Characters, GoesOnFromWeightsThatItSaved) {
  const std::string shared = kSmall + "--length 30 ";
  const std::string weights = file("weights.safetensors");
  const Result saved = characters(shared + "--steps 20 --save '" + weights + "' '" + kText + "'");
  const Result loaded = characters(shared + "--steps 0 --load '" + weights + "' '" + kText + "'");
  ASSERT_EQ(loaded.status, 0) << loaded.text;
  const auto end = [](const std::string& text) { return text.substr(text.find("held out loss")); };
  EXPECT_EQ(end(saved.text), end(loaded.text));

  const Result wider =
      characters(shared + "--width 64 --steps 0 --load '" + weights + "' '" + kText + "'");
  EXPECT_EQ(wider.status, 1);
  EXPECT_THAT(wider.text, HasSubstr("characters.weight"));
  const Result other = characters(shared + "--load '" + weights + "' '" + file("ä.txt", "ä") + "'");
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.text, HasSubstr("the character 'ä' is not among those to learn"));
  const Result foreign =
      characters(shared + "--load '" + file("no.safetensors", "no") + "' '" + kText + "'");
  EXPECT_EQ(foreign.status, 1);
  EXPECT_THAT(foreign.text, HasSubstr("no.safetensors"));
}

TEST_F(Characters, KeepsWhatItHasLearnedWhenItIsInterrupted) {
  if (run_shell("command -v timeout").status != 0) GTEST_SKIP() << "there is no timeout";
  const std::string weights = file("weights.safetensors");
  // To the program alone: a second signal, to its group, would end it at once.
  const Result result =
      characters(kSmall + "--steps 1000000 --length 20 --save '" + weights + "' '" + kText + "'",
                 "timeout --foreground --preserve-status --signal INT 2 ");
  EXPECT_EQ(result.status, 130) << result.text;
  EXPECT_THAT(result.text, HasSubstr("interrupted\nheld out loss "));
  EXPECT_TRUE(std::filesystem::exists(weights));
}

TEST_F(Characters, TellsWhatItCanNotDo) {
  const std::string missing = file("none.txt"), empty = file("empty.txt", ""),
                    brief = file("brief.txt", "some words"), folder = folder_.string();
  const std::vector<std::tuple<std::string, int, std::string>> cases = {
      {"'" + missing + "'", 1, "can't read " + missing},
      {"'" + folder + "'", 1, folder},
      {"'" + empty + "'", 1, empty + " is empty"},
      {"'" + brief + "'", 1, "has 1 characters: too few for a context of 64"},
      {"", 2, "name a file whose text is to be learned"},
      {"--stride 1 '" + kText + "'", 2, "there is no option --stride"},
      {"'" + kText + "' --steps", 2, "--steps takes a value"},
      {"--steps many '" + kText + "'", 2, "--steps takes a number of at least 0, not 'many'"},
      {"--steps 1.5 '" + kText + "'", 2, "not '1.5'"},
      {"--batch 0 '" + kText + "'", 2, "--batch takes a number of at least 1, not '0'"},
      {"--temperature nan '" + kText + "'", 2, "not 'nan'"},
      {"--prompt '№' '" + kText + "'", 1, "the character '№' is not among those to learn"},
      {"--width 30 --heads 4 '" + kText + "'", 1, "30"},
      {"--dropout 1 '" + kText + "'", 1, "dropout"},
      {"--save '" + missing + "/weights' '" + kText + "'", 1, "there is no folder " + missing},
      {"--steps 0 --length 1 --save '" + folder + "' '" + kText + "'", 1, folder}};
  for (const auto& [arguments, status, words] : cases) {
    const Result result = characters(arguments);
    EXPECT_EQ(result.status, status) << arguments << "\n" << result.text;
    EXPECT_THAT(result.text, HasSubstr(words));
    EXPECT_THAT(result.last_line(), testing::StartsWith("characters: "));
  }
}

TEST_F(Characters, TellsItsOptions) {
  const Result result = characters("--help");
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.text, HasSubstr("usage: characters [OPTION VALUE]... FILE..."));
  EXPECT_THAT(result.text, HasSubstr("--temperature"));
  EXPECT_THAT(result.text, HasSubstr("(1000)"));
}

}  // namespace
}  // namespace mlxnx
