// What transformers made of chat templates, where the recorded cases are at hand (see
// CONTRIBUTING.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mlxnx/error.h"
#include "mlxnx/text.h"

namespace mlxnx {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

TEST(TextChatGolden, IsWhatTransformersMade) {
  const fs::path folder = fs::path(MLXNX_SHARED_DIR) / "golden/llm/chat_templates";
  if (!fs::exists(folder)) GTEST_SKIP() << folder << " is not there";
  std::ifstream lines(folder / "cases.jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const ordered_json recorded = ordered_json::parse(line);
    ordered_json variables = recorded;
    for (const char* key : {"template", "text", "error", "error_type", "generation"})
      variables.erase(key);
    const std::string name = recorded["template"];
    SCOPED_TRACE(name + ": " + line.substr(0, 200));
    try {
      const RenderedChat chat = ChatTemplate(contents(folder / name))
                                    .render(variables.dump(), {.clock = "2026-03-05T14:07:09"});
      ASSERT_TRUE(recorded.contains("text")) << "wanted the error " << recorded["error"];
      EXPECT_EQ(chat.text, recorded["text"].get<std::string>());
      if (!recorded.contains("generation")) continue;
      ordered_json generated = ordered_json::array();
      for (const auto& [start, end] : chat.generated)
        generated.push_back(
            {characters(chat.text.substr(0, start)), characters(chat.text.substr(0, end))});
      EXPECT_EQ(generated, recorded["generation"]);
    } catch (const ArgumentError& error) {
      ASSERT_TRUE(recorded.contains("error")) << error.what();
      if (recorded["error_type"] == "TemplateError") {
        EXPECT_EQ(error.what(), "[chat_template] " + recorded["error"].get<std::string>());
      }
    }
  }
  EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace mlxnx
