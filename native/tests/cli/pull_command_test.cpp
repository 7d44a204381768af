// mlxnx pull against a hub on this machine; processes that end in the midst, and several at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "io/hub_server.h"
#include "run_program.h"

namespace mlxnx::cli {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing_support::HubServer;
using testing_support::TemporaryCache;

class PullCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<HubServer>(); }
  static void TearDownTestSuite() { server_.reset(); }
  PullCommand() { server_->requests(); }

  std::string line(const std::string& arguments) const {
    return "pull --cache '" + cache_.path.string() + "' --endpoint " + server_->url() + " " +
           arguments;
  }
  Result pull(const std::string& arguments, const std::string& redirect = "2>/dev/null") const {
    return run_program(line(arguments), redirect);
  }
  fs::path snapshot(const std::string& kind) const {
    return cache_.path / ("models--acme--" + kind) / "snapshots" / std::string(40, 'a');
  }
  // A line of a shell that waits until the first bytes of the weights are there, which no other
  // file has as many of.
  std::string until_something_came() const {
    return "until find '" + cache_.path.string() +
           "' -name '*.incomplete' -size +500c | grep -q .; do sleep 0.05; done";
  }

  static std::unique_ptr<HubServer> server_;
  TemporaryCache cache_;
};

std::unique_ptr<HubServer> PullCommand::server_;

TEST_F(PullCommand, PrintsWhereTheFilesAre) {
  const Result snapshot_result = pull("acme/plain");
  EXPECT_EQ(snapshot_result.status, 0);
  EXPECT_EQ(snapshot_result.text, snapshot("plain").string() + "\n");
  EXPECT_EQ(pull("acme/plain model.Q8_0.gguf config.json").text,
            (snapshot("plain") / "model.Q8_0.gguf").string() + "\n" +
                (snapshot("plain") / "config.json").string() + "\n");
  EXPECT_EQ(pull("acme/plain --json --offline").text,
            "{\n  \"repo\": \"acme/plain\",\n  \"revision\": \"main\",\n  \"snapshot\": \"" +
                snapshot("plain").string() + "\"\n}\n");
}

TEST_F(PullCommand, TellsOfEachFile) {
  const std::string text =
      pull("--exclude 'tok*' --exclude '*.txt' acme/plain", "2>&1 >/dev/null").text;
  EXPECT_THAT(text, HasSubstr("config.json (23 B), 1 of 3 files\n"));
  EXPECT_THAT(text, HasSubstr("model.safetensors (3.0 MB), 3 of 3 files\n"));
  EXPECT_THAT(text, Not(HasSubstr("\r")));
  EXPECT_EQ(pull("acme/plain --force --quiet", "2>&1 >/dev/null").text, "");
}

TEST_F(PullCommand, SaysWhatIsWrong) {
  const Result result =
      run_shell("HF_TOKEN=hf_wrong '" MLXNX_PROGRAM "' " + line("acme/private") + " 2>&1");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(
      result.text,
      AllOf(HasSubstr("mlxnx: [hub] acme/private does not exist, or is private or gated (401)"),
            Not(HasSubstr("hf_wrong"))));
  EXPECT_THAT(pull("acme/plain --offline", "2>&1").text,
              HasSubstr("nothing is downloaded while offline"));
  EXPECT_EQ(pull("").status, 2);
}

TEST_F(PullCommand, GoesOnAfterItWasInterruptedOrKilled) {
  const std::pair<const char*, int> signals[] = {{"INT", 130}, {"KILL", 137}};
  for (const auto& [signal, status] : signals) {
    const std::string kind = std::string("stalling-once-") + signal;
    const std::string process = (cache_.path / "process").string();
    // In the background: who waits and kills. What a shell starts there would ignore interrupts.
    const Result ended =
        run_shell("( " + until_something_came() + "; kill -" + signal + " $(cat '" + process +
                  "') ) & sh -c 'echo $$ >\"" + process + "\"; exec \"" MLXNX_PROGRAM "\" " +
                  line("acme/" + kind) + "' 2>&1");
    EXPECT_EQ(ended.status, status) << ended.text;
    EXPECT_FALSE(fs::exists(snapshot(kind) / "model.safetensors"));
    EXPECT_EQ(pull("acme/" + kind).status, 0);
    EXPECT_EQ(fs::file_size(snapshot(kind) / "model.safetensors"), 3'000'000u);
    EXPECT_THAT(server_->requests(), HasSubstr("model.safetensors?signature=signed bytes=1000-"));
  }
}

TEST_F(PullCommand, SeveralAtOnceDownloadOnce) {
  const std::string one = "'" MLXNX_PROGRAM "' " + line("acme/slow") + " --quiet & ";
  const Result result = run_shell(one + one + one + "wait");
  EXPECT_EQ(result.text, snapshot("slow").string() + "\n" + snapshot("slow").string() + "\n" +
                             snapshot("slow").string() + "\n");
  const std::string requests = server_->requests();
  const std::size_t first = requests.find("cdn GET");
  EXPECT_NE(first, requests.npos);
  EXPECT_EQ(requests.find("cdn GET", first + 1), requests.npos) << requests;
}

TEST_F(PullCommand, SaysWhyAFileCantGrow) {
  const std::string limited = "trap '' XFSZ; ulimit -f 2000; ";
  const Result result = run_shell(limited + "'" MLXNX_PROGRAM "' " + line("acme/plain") + " 2>&1");
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.text, HasSubstr(".incomplete can't be written: File too large"));
  EXPECT_FALSE(fs::exists(snapshot("plain") / "model.safetensors"));
  server_->requests();
  EXPECT_EQ(pull("acme/plain").status, 0);
  EXPECT_THAT(server_->requests(), HasSubstr("signature=signed bytes="));
}

}  // namespace
}  // namespace mlxnx::cli
