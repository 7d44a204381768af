// mlxnx embed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "llm/tiny_bert.h"
#include "mlxnx/io.h"
#include "mlxnx/llm/embedding.h"
#include "run_program.h"
#include "temp_folder.h"

namespace mlxnx::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing_support::TempFolder;

class EmbedCommand : public testing::Test {
 protected:
  EmbedCommand() { testing_support::write_bert(folder_); }
  Result embed(const std::string& arguments, const std::string& redirect = "2>/dev/null") const {
    return run_program("embed '" + folder_.path().string() + "' " + arguments, redirect);
  }
  Tensor expected(const llm::EmbedOptions& options = {}) const {
    const std::vector<std::string> texts = {"the cat", "dogs run."};
    return llm::EmbeddingModel::load(folder_.path()).embed(texts, options);
  }
  TempFolder folder_;
};

TEST_F(EmbedCommand, PrintsALineForEachText) {
  const Result result = embed("'the cat' 'dogs run.'");
  EXPECT_EQ(result.status, 0) << result.text;
  const std::size_t end = result.text.find('\n');
  const json first = json::parse(result.text.substr(0, end));
  const json second = json::parse(result.text.substr(end));
  EXPECT_EQ(first["text"], "the cat");
  EXPECT_EQ(second["text"], "dogs run.");
  auto values = first["embedding"].get<std::vector<float>>();
  for (const auto& value : second["embedding"]) values.push_back(value.get<float>());
  EXPECT_THAT(values, testing::Pointwise(testing::FloatNear(1e-6F), expected().to_vector<float>()));
  const json list = json::parse(embed("--json 'the cat' 'dogs run.'").text);
  EXPECT_EQ(list, json({first, second}));
}

TEST_F(EmbedCommand, TakesLinesOfFilesAndOfItsInput) {
  folder_.write("lines.txt", "the cat\r\n\ndogs run.\n");
  const std::string path = (folder_ / "lines.txt").string();
  const json of_file = json::parse(embed("--json '@" + path + "' 'x'").text);
  ASSERT_EQ(of_file.size(), 4U);
  EXPECT_EQ(of_file[0]["text"], "the cat");
  EXPECT_EQ(of_file[1]["text"], "");
  const json of_input = json::parse(embed("--json", "2>/dev/null < '" + path + "'").text);
  ASSERT_EQ(of_input.size(), 3U);
  EXPECT_EQ(of_input[2]["text"], "dogs run.");
  EXPECT_THAT(embed("--batch-size 1 --similarity a b", "2>&1").text, HasSubstr("100%, 2 of 2"));
  const Result none = embed("", "2>&1 < /dev/null");
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.text, HasSubstr("no text"));
}

TEST_F(EmbedCommand, WritesFiles) {
  const std::string path = (folder_ / "v").string();
  const std::string how = "'the cat' 'dogs run.' --pooling cls --no-normalize --batch-size 1 -o ";
  const Tensor wanted = expected({.pooling = llm::Pooling::kCls, .normalize = false});
  const auto near = testing::Pointwise(testing::FloatNear(1e-6F), wanted.to_vector<float>());
  EXPECT_EQ(embed(how + path + ".npy").text, "");
  EXPECT_THAT(load_npy(path + ".npy").to_vector<float>(), near);
  EXPECT_EQ(embed(how + path + ".safetensors").status, 0);
  EXPECT_THAT(TensorFile(path + ".safetensors").read("embeddings").to_vector<float>(), near);
  EXPECT_THAT(embed(how + path + ".txt", "2>&1").text, HasSubstr(".npy"));
  EXPECT_EQ(embed("--pooling best x", "2>&1").status, 2);
}

TEST_F(EmbedCommand, PrintsCosines) {
  const Result table = embed("--similarity 'the cat' 'the cat' 'dogs run.'");
  EXPECT_THAT(table.text, testing::StartsWith(" 1.0000  1.0000 "));
  const json rows = json::parse(embed("--similarity --json 'the cat' 'dogs run.'").text);
  const auto vectors = expected().to_vector<float>();
  const std::size_t size = vectors.size() / 2;
  double cosine = 0;
  for (std::size_t i = 0; i < size; ++i) cosine += double{vectors[i]} * vectors[size + i];
  EXPECT_NEAR(rows[0][1].get<double>(), cosine, 1e-5);
  EXPECT_NEAR(rows[1][1].get<double>(), 1, 1e-5);
}

}  // namespace
}  // namespace mlxnx::cli
