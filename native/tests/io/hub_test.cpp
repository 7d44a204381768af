// The hub's client against a hub on this machine: what comes, what is refused, and what is left of
// downloads that end early.
#include "mlxnx/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include "error_of.h"
#include "io/hub/digest.h"
#include "io/hub/pull.h"
#include "io/hub_server.h"
#include "mlxnx/error.h"

namespace mlxnx::hub {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::Not;
using testing_support::error_of;
using testing_support::HubServer;
using testing_support::TemporaryCache;

const std::string kCommit(40, 'a');
constexpr std::size_t kWeightBytes = 3'000'000;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class Hub : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<HubServer>(); }
  static void TearDownTestSuite() { server_.reset(); }

  Hub() {
    options_.cache = cache_.path;
    options_.endpoint = server_->url();
    options_.token = "";
    server_->requests();
  }

  fs::path pull_with(const std::string& kind, const Options& options) const {
    return pull_snapshot("acme/" + kind, std::nullopt, options, patience_);
  }
  fs::path pull(const std::string& kind) const { return pull_with(kind, options_); }
  fs::path weights(const std::string& kind) const { return pull(kind) / "model.safetensors"; }
  template <typename Error>
  std::string refusal(const std::string& kind) const {
    return error_of<Error>([&] { pull(kind); });
  }
  fs::path folder(const std::string& kind) const { return cache_.path / ("models--acme--" + kind); }
  // The files of a repository's folder, locks and records aside.
  std::vector<std::string> blobs(const std::string& kind) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder(kind) / "blobs"))
      names.push_back(entry.path().filename());
    return names;
  }
  std::string incomplete(const std::string& kind) const {
    for (const std::string& name : blobs(kind))
      if (name.ends_with(".incomplete")) return name;
    return "";
  }

  static std::unique_ptr<HubServer> server_;
  TemporaryCache cache_;
  Options options_;
  Patience patience_{.tries = 3, .first_wait = milliseconds(10), .stall = milliseconds(800)};
};

std::unique_ptr<HubServer> Hub::server_;

// What comes

TEST_F(Hub, PullsWhatAModelNeedsIntoTheCachesLayout) {
  const fs::path snapshot = pull("plain");
  EXPECT_EQ(snapshot, folder("plain") / "snapshots" / kCommit);
  EXPECT_EQ(contents(snapshot / "config.json"), "{\"model_type\": \"test\"}\n");
  EXPECT_EQ(contents(snapshot / "sub/folder/extra.json"), "[1]\n");
  EXPECT_EQ(contents(snapshot / "empty.txt"), "");
  EXPECT_EQ(fs::file_size(snapshot / "model.safetensors"), kWeightBytes);
  for (const char* name : {"modeling.py", "README.md", "model.Q8_0.gguf"})
    EXPECT_FALSE(fs::exists(snapshot / name)) << name;
  const fs::path link = fs::read_symlink(snapshot / "sub/folder/extra.json");
  EXPECT_EQ(link.parent_path(), "../../../../blobs");
  EXPECT_EQ(fs::read_symlink(snapshot / "model.safetensors").filename().string().size(), 64u);
  EXPECT_EQ(contents(folder("plain") / "refs/main"), kCommit);
  EXPECT_EQ(incomplete("plain"), "");
}

TEST_F(Hub, PullsAgainWithoutDownloadingAgain) {
  pull("plain");
  server_->requests();
  pull("plain");
  EXPECT_EQ(server_->requests(), "hub GET /api/models/acme/plain/revision/main?blobs=true - -\n");
  Options fixed = options_;
  fixed.revision = kCommit;
  pull_with("plain", fixed);
  EXPECT_EQ(server_->requests(), "");
}

TEST_F(Hub, DownloadsOnlyWhatIsMissing) {
  const fs::path snapshot = pull("plain");
  const fs::path blob = fs::canonical(snapshot / "config.json");
  fs::remove(blob);
  fs::remove(snapshot / "tokenizer.json");
  server_->requests();
  pull("plain");
  EXPECT_TRUE(fs::exists(blob));
  EXPECT_TRUE(fs::exists(snapshot / "tokenizer.json"));
  EXPECT_EQ(occurrences(server_->requests(), "/resolve/"), 1u);
  fs::resize_file(blob, 3);
  pull("plain");
  EXPECT_EQ(fs::file_size(blob), 23u);
}

TEST_F(Hub, DownloadsAnewByForce) {
  const fs::path snapshot = pull("plain");
  std::ofstream(fs::canonical(snapshot / "config.json")) << "{\"model_type\": \"TEST\"}\n";
  pull("plain");
  EXPECT_THAT(contents(snapshot / "config.json"), HasSubstr("TEST"));
  options_.force = true;
  pull("plain");
  EXPECT_THAT(contents(snapshot / "config.json"), HasSubstr("test"));
}

TEST_F(Hub, TakesPatternsRevisionsAndSingleFiles) {
  options_.include = {"*.md", "sub/"};
  options_.revision = "refs/pr/1";
  const fs::path snapshot = pull("plain");
  EXPECT_TRUE(fs::exists(snapshot / "README.md"));
  EXPECT_TRUE(fs::exists(snapshot / "sub/folder/extra.json"));
  EXPECT_FALSE(fs::exists(snapshot / "config.json"));
  EXPECT_EQ(contents(folder("plain") / "refs/refs/pr/1"), kCommit);
  options_.exclude = {"*"};
  EXPECT_THAT(refusal<HubError>("plain"),
              HasSubstr("has no file that matches; it has model.Q8_0.gguf"));
  const fs::path file = hub::pull_file("acme/plain", "model.Q8_0.gguf", options_);
  EXPECT_EQ(fs::file_size(file), 200'000u);
  EXPECT_THAT(error_of<HubError>([&] { hub::pull_file("acme/plain", "other.gguf", options_); }),
              HasSubstr("has no other.gguf; it has model.Q8_0.gguf"));
}

TEST_F(Hub, AsksForSizesAndNamesThatTheListLacks) {
  EXPECT_EQ(fs::file_size(weights("bare")), kWeightBytes);
  EXPECT_FALSE(fs::exists(folder("bare") / "trees"));
  EXPECT_TRUE(find("acme/bare", options_).has_value());
}

TEST_F(Hub, NamesNoFileAfterAnOddEtag) {
  EXPECT_THAT(refusal<FormatError>("bare-odd-etag"),
              HasSubstr("the hub tells no checksum or other etag of model.safetensors"));
  EXPECT_FALSE(fs::exists(folder("bare-odd-etag")));
}

TEST_F(Hub, NeedsNoCacheThatCanBeWrittenWhereNothingIsMissing) {
  const fs::path snapshot = pull("plain");
  fs::remove_all(cache_.path / ".locks");
  fs::remove_all(folder("plain") / "refs");
  fs::remove_all(folder("plain") / "trees");
  for (const fs::path& file :
       {cache_.path / ".locks", folder("plain") / "refs", folder("plain") / "trees"})
    std::ofstream(file) << "";
  EXPECT_EQ(pull("plain"), snapshot);
}

TEST_F(Hub, TellsProgress) {
  std::vector<Progress> told;
  options_.progress = [&](const Progress& progress) { told.push_back(progress); };
  pull("broken-once");
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().files_done, 5u);
  EXPECT_EQ(told.back().files, 5u);
  EXPECT_EQ(told.back().bytes, told.back().size);
  for (const Progress& progress : told) EXPECT_LE(progress.bytes, progress.size);
  told.clear();
  pull("broken-once");
  EXPECT_TRUE(told.empty());
  options_.force = true;
  options_.progress = [](const Progress&) { throw std::runtime_error("enough"); };
  EXPECT_EQ(error_of<std::runtime_error>([&] { pull("broken-once"); }), "enough");
}

// Networks

TEST_F(Hub, SendsTheTokenToTheHubOnly) {
  options_.token = "hf_secret";
  EXPECT_EQ(fs::file_size(weights("private")), kWeightBytes);
  const std::string requests = server_->requests();
  EXPECT_THAT(requests,
              HasSubstr("hub GET /acme/private/resolve/" + kCommit + "/config.json - token"));
  EXPECT_THAT(requests, HasSubstr("cdn GET /lfs/private/model.safetensors?signature=signed - -"));
  EXPECT_EQ(fs::file_size(weights("relative")), kWeightBytes);
  EXPECT_THAT(server_->requests(), HasSubstr("hub GET /lfs/relative/model.safetensors - token"));
}

TEST_F(Hub, GoesOnWhereATransferBrokeOff) {
  weights("broken-once");
  EXPECT_THAT(server_->requests(), HasSubstr("bytes=1500000-"));
}

TEST_F(Hub, StartsOverWhereServersKnowNoRanges) {
  weights("broken-no-ranges");
  EXPECT_THAT(server_->requests(), HasSubstr("bytes=1500000-"));
  EXPECT_EQ(fs::file_size(weights("other-range")), kWeightBytes);
}

TEST_F(Hub, GivesUpAfterSomeTriesAndKeepsWhatCame) {
  EXPECT_THAT(refusal<HubError>("broken"),
              AllOf(HasSubstr("acme/broken, model.safetensors: 127.0.0.1: "),
                    HasSubstr("after 3 tries; pulling again goes on")));
  EXPECT_EQ(fs::file_size(folder("broken") / "blobs" / incomplete("broken")), 3000u);
  EXPECT_FALSE(fs::exists(folder("broken") / "refs/main"));
  EXPECT_FALSE(find("acme/broken", options_).has_value());
}

TEST_F(Hub, TakesNoOtherAnswerForAFile) {
  for (const char* kind : {"none", "beyond"})
    EXPECT_THAT(refusal<HubError>(kind), HasSubstr("127.0.0.1 ended early, after 3 tries")) << kind;
  EXPECT_THAT(refusal<FormatError>("unchanged"), HasSubstr("no JSON"));
}

TEST_F(Hub, BreaksOffWhatStalls) {
  patience_.tries = 1;
  EXPECT_THAT(refusal<HubError>("stalling"), HasSubstr("nothing comes any more"));
}

TEST_F(Hub, WaitsWhereAServerIsBusy) {
  const auto start = std::chrono::steady_clock::now();
  pull("busy-once");
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(900));
  EXPECT_THAT(refusal<HubError>("busy-long"),
              HasSubstr("127.0.0.1 answers 429 and asks for a pause of 86400 s"));
  pull("failing-twice");
  EXPECT_THAT(refusal<HubError>("failing"), HasSubstr("127.0.0.1 answers 503, after 3 tries"));
}

TEST_F(Hub, StopsWhenTold) {
  bool has_come = false;
  options_.progress = [&](const Progress& progress) { has_come = progress.file_bytes > 0; };
  options_.stop = [&] { return has_come; };
  EXPECT_THAT(refusal<HubError>("slow"), HasSubstr("[hub] the download was stopped"));
  EXPECT_NE(incomplete("slow"), "");
  options_.stop = nullptr;
  server_->requests();
  pull("slow");
  EXPECT_THAT(server_->requests(), HasSubstr(" bytes="));
}

// Refusals

TEST_F(Hub, SaysWhatToDoWithoutAccess) {
  EXPECT_THAT(refusal<HubError>("gated"),
              AllOf(HasSubstr("acme/gated is gated (403): accept its terms at "),
                    HasSubstr("/acme/gated; set HF_TOKEN to a token that may read it")));
  EXPECT_THAT(refusal<HubError>("private"),
              HasSubstr("does not exist, or is private or gated (401)"));
  options_.token = "hf_wrong";
  const std::string text = refusal<HubError>("private");
  EXPECT_THAT(text,
              AllOf(HasSubstr("the token that is set is not valid"), Not(HasSubstr("hf_wrong"))));
  const std::string denied = refusal<HubError>("denied");
  EXPECT_THAT(denied, AllOf(HasSubstr("127.0.0.1 answers 403"), Not(HasSubstr("signed"))));
}

TEST_F(Hub, SaysWhatIsNotThere) {
  EXPECT_THAT(refusal<HubError>("missing"),
              HasSubstr("has no acme/missing, or no revision main in it"));
  options_.revision = "none";
  EXPECT_THAT(refusal<HubError>("plain"),
              HasSubstr("acme/plain has no revision none; see http://"));
  options_.revision = "main";
  EXPECT_THAT(refusal<HubError>("gguf"), HasSubstr("it has model.Q8_0.gguf, README.md"));
}

TEST_F(Hub, SaysThatNoHubAnswers) {
  options_.endpoint = "http://127.0.0.1:9";
  EXPECT_THAT(refusal<HubError>("plain"),
              AllOf(HasSubstr("127.0.0.1: "), HasSubstr("HF_HUB_OFFLINE=1")));
  options_.endpoint = server_->url();
  EXPECT_THAT(refusal<HubError>("nowhere"), HasSubstr("host.invalid: "));
}

TEST_F(Hub, FollowsToHttpOnly) {
  EXPECT_THAT(refusal<HubError>("to-file"),
              HasSubstr("leads to a place that is not asked: a URL of the kind file://"));
  EXPECT_THAT(refusal<HubError>("to-user"),
              AllOf(HasSubstr("is not asked"), Not(HasSubstr("a:b"))));
  EXPECT_THAT(refusal<HubError>("forever"), HasSubstr("more than 10 times"));
}

TEST_F(Hub, RefusesNamesThatLeadElsewhere) {
  const std::pair<const char*, const char*> kinds[] = {
      {"up", "a part of it is \"..\""},       {"absolute", "it is absolute"},
      {"backslash", "it has a backslash"},    {"nul", "can't be shown"},
      {"empty", "a part of it is empty"},     {"dot", "a part of it is \".\""},
      {"control", "can't be shown"},          {"direction", "can't be shown"},
      {"long", "a part of it has 305 bytes"}, {"nothing", "it is empty"}};
  for (const auto& [kind, why] : kinds) {
    EXPECT_THAT(refusal<FormatError>(std::string("hostile-") + kind),
                AllOf(HasSubstr("leads to no file of a repository"), HasSubstr(why),
                      Not(HasSubstr("\x1b"))));
    EXPECT_FALSE(fs::exists(folder(std::string("hostile-") + kind)));
  }
}

TEST_F(Hub, RefusesListsThatAreNone) {
  EXPECT_THAT(refusal<FormatError>("no-json"), HasSubstr("no JSON from byte 1"));
  EXPECT_THAT(refusal<FormatError>("deep"), HasSubstr("nested deeper than 64"));
  EXPECT_THAT(refusal<FormatError>("huge"), HasSubstr("has more than 16777216 bytes"));
  EXPECT_THAT(refusal<FormatError>("twice"), HasSubstr("config.json is there twice"));
  EXPECT_THAT(refusal<FormatError>("file-and-folder"),
              HasSubstr("config.json is a file and a folder"));
  EXPECT_THAT(refusal<FormatError>("negative"), HasSubstr("config.json: -1 is not an integer"));
  EXPECT_THAT(refusal<FormatError>("large"),
              HasSubstr("config.json: a file of 1152921504606846976 bytes"));
  EXPECT_THAT(refusal<FormatError>("wrong-id"),
              HasSubstr("config.json: blobId: \"../../x\" is no checksum"));
  EXPECT_THAT(refusal<FormatError>("wrong-commit"), HasSubstr("sha: \"main/../x\" is no checksum"));
}

TEST_F(Hub, RefusesFilesThatAreNotWhatWasAnnounced) {
  const std::string text = refusal<FormatError>("wrong-sum");
  EXPECT_THAT(text, AllOf(HasSubstr("model.safetensors: its checksum is "),
                          HasSubstr(std::string(64, '0'))));
  EXPECT_THAT(refusal<FormatError>("wrong-git-sum"), HasSubstr("config.json: its checksum is "));
  EXPECT_THAT(refusal<FormatError>("wrong-bytes"), HasSubstr("its checksum is "));
  EXPECT_THAT(refusal<FormatError>("cut"),
              HasSubstr("1500000 bytes are announced where it has 3000000"));
  EXPECT_THAT(refusal<FormatError>("endless"),
              HasSubstr("more than the 3000000 bytes come that it was to have"));
  for (const char* kind : {"wrong-sum", "wrong-git-sum", "wrong-bytes", "cut"})
    EXPECT_EQ(incomplete(kind), "") << kind;
}

TEST_F(Hub, StartsOverWhereWhatWasThereIsSpoilt) {
  const fs::path blob = fs::canonical(weights("plain"));
  fs::remove(blob);
  std::ofstream(blob.string() + ".incomplete") << std::string(1000, 'x');
  pull("plain");
  EXPECT_EQ(fs::file_size(blob), kWeightBytes);
  const std::string requests = server_->requests();
  EXPECT_THAT(requests, HasSubstr("bytes=1000-"));
  // All of it, and wrong; then longer than it.
  for (const std::size_t size : {kWeightBytes, kWeightBytes + 1}) {
    fs::remove(blob);
    std::ofstream(blob.string() + ".incomplete") << std::string(size, 'x');
    pull("plain");
    EXPECT_NE(contents(blob).front(), 'x');
  }
}

TEST_F(Hub, RefusesNamesAndSettingsThatAreNone) {
  for (const char* repo :
       {"", "a/b/c", "../x", "a b", "-a", "a--b", "a/..", "a\n", "models/", "https://x/y"})
    EXPECT_THAT(error_of<ArgumentError>([&] { hub::find(repo, options_); }),
                HasSubstr("is no name of a repository"));
  for (const char* revision : {"", "../x", "a b", "a:b", "/x", "a//b", "x^1"}) {
    options_.revision = revision;
    EXPECT_THAT(refusal<ArgumentError>("plain"), HasSubstr("is no revision"));
  }
  options_.revision = "main";
  EXPECT_THAT(error_of<ArgumentError>([&] { hub::pull_file("acme/plain", "../x", options_); }),
              HasSubstr("is no file of a repository: a part of it is \"..\""));
  for (const char* url :
       {"ftp://x", "huggingface.co", "http://", "https:///x", "http://x?y", "file:///x"}) {
    options_.endpoint = url;
    EXPECT_THAT(refusal<ArgumentError>("plain"), HasSubstr("is no URL of a hub"));
  }
  options_.endpoint = "https://me:hf_secret@x";
  EXPECT_THAT(refusal<ArgumentError>("plain"),
              AllOf(HasSubstr("must not hold"), Not(HasSubstr("hf_secret"))));
  options_.endpoint = server_->url();
  options_.token = "hf_secret\r\nX-Evil: 1";
  EXPECT_THAT(refusal<ArgumentError>("plain"),
              AllOf(HasSubstr("the token is none"), Not(HasSubstr("hf_secret"))));
}

TEST_F(Hub, SaysWhereACacheCantBeWritten) {
  std::ofstream(cache_.path / "file") << "";
  options_.cache = cache_.path / "file";
  EXPECT_THAT(refusal<ArgumentError>("plain"),
              AllOf(HasSubstr("can't be written: Not a directory"), HasSubstr("file")));
  options_.cache = cache_.path;
  EXPECT_THAT(refusal<ArgumentError>("no-space"), HasSubstr("bytes free, and 43980"));
}

// The cache

TEST_F(Hub, FindsOnlyWhatIsComplete) {
  EXPECT_FALSE(find("acme/plain", options_).has_value());
  const fs::path snapshot = pull("plain");
  server_->requests();
  EXPECT_EQ(find("acme/plain", options_), snapshot);
  EXPECT_EQ(find_file("acme/plain", "config.json", options_), snapshot / "config.json");
  EXPECT_FALSE(find_file("acme/plain", "README.md", options_).has_value());
  Options other = options_;
  other.include = {"*.md"};
  EXPECT_FALSE(find("acme/plain", other).has_value());
  other.include = {"*.none"};
  EXPECT_FALSE(find("acme/plain", other).has_value());
  fs::remove(snapshot / "tokenizer.json");
  EXPECT_FALSE(find("acme/plain", options_).has_value());
  EXPECT_EQ(server_->requests(), "");
}

TEST_F(Hub, JudgesByTheIndexWhereNoListIsKept) {
  const fs::path snapshot = pull("plain");
  fs::remove_all(folder("plain") / "trees");
  EXPECT_EQ(find("acme/plain", options_), snapshot);
  std::ofstream(snapshot / "model.safetensors.index.json")
      << R"({"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}})";
  EXPECT_FALSE(find("acme/plain", options_).has_value());
  std::ofstream(snapshot / "model-2.safetensors") << "x";
  EXPECT_EQ(find("acme/plain", options_), snapshot);
  fs::remove(snapshot / "model.safetensors");
  fs::remove(snapshot / "model-2.safetensors");
  fs::remove(snapshot / "model.safetensors.index.json");
  EXPECT_FALSE(find("acme/plain", options_).has_value());
}

TEST_F(Hub, TakesTheCachesWordOffline) {
  options_.offline = true;
  EXPECT_THAT(refusal<HubError>("plain"),
              AllOf(HasSubstr("acme/plain at main is not in the cache ("),
                    HasSubstr("nothing is downloaded while offline")));
  options_.offline = false;
  const fs::path snapshot = pull("plain");
  server_->requests();
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  options_.offline.reset();
  EXPECT_EQ(pull("plain"), snapshot);
  fs::remove(snapshot / "config.json");
  EXPECT_THAT(refusal<HubError>("plain"), HasSubstr("config.json is missing"));
  ::unsetenv("HF_HUB_OFFLINE");
  EXPECT_EQ(server_->requests(), "");
}

TEST_F(Hub, ReadsTheEnvironment) {
  ::setenv("HF_ENDPOINT", (server_->url() + "/").c_str(), 1);
  ::setenv("HF_HOME", cache_.path.c_str(), 1);
  std::ofstream(cache_.path / "token") << "hf_secret\n";
  const fs::path snapshot = pull_with("private", {.include = {"config.json"}});
  EXPECT_EQ(snapshot, cache_.path / "hub/models--acme--private/snapshots" / kCommit);
  ::setenv("HF_TOKEN", "hf_other", 1);
  EXPECT_THAT(error_of<HubError>([&] { pull_with("private", {.force = true}); }),
              HasSubstr("not valid"));
  ::setenv("HF_HUB_CACHE", (cache_.path / "other").c_str(), 1);
  EXPECT_FALSE(find("acme/private", {.include = {"config.json"}}).has_value());
  for (const char* name : {"HF_ENDPOINT", "HF_TOKEN", "HF_HUB_CACHE"}) ::unsetenv(name);
  ::setenv("HF_HOME", "/nonexistent", 1);
}

TEST_F(Hub, FollowsNoLinkOutOfTheCache) {
  const fs::path snapshot = pull("plain");
  std::ofstream(cache_.path / "secret.json") << "{}\n";
  fs::remove(snapshot / "tokenizer.json");
  fs::create_symlink(cache_.path / "secret.json", snapshot / "tokenizer.json");
  EXPECT_THAT(error_of<FormatError>([&] { find("acme/plain", options_); }),
              HasSubstr("tokenizer.json leads out of the cache"));
  fs::remove(snapshot / "tokenizer.json");
  // A folder that is to be written into.
  fs::create_directories(cache_.path / "elsewhere");
  fs::remove_all(snapshot / "sub");
  fs::create_directory_symlink(cache_.path / "elsewhere", snapshot / "sub");
  EXPECT_THAT(refusal<FormatError>("plain"), HasSubstr("leads out of the cache"));
  fs::remove(snapshot / "sub");
  fs::remove_all(folder("plain") / "blobs");
  fs::create_directory_symlink(cache_.path / "elsewhere", folder("plain") / "blobs");
  EXPECT_THAT(refusal<FormatError>("plain"), HasSubstr("blobs leads out of the cache"));
  EXPECT_TRUE(fs::is_empty(cache_.path / "elsewhere"));
  // What another client keeps for all repositories together.
  fs::remove(folder("plain") / "blobs");
  const fs::path blob = fs::canonical(weights("plain"));
  fs::create_directories(cache_.path / "blobs/ab");
  fs::rename(blob, cache_.path / "blobs/ab/abcd");
  fs::create_symlink("../../blobs/ab/abcd", blob);
  EXPECT_EQ(find("acme/plain", options_), snapshot);
}

TEST_F(Hub, WritesThroughNoLink) {
  const fs::path blob = fs::canonical(weights("plain"));
  fs::remove(blob);
  std::ofstream(cache_.path / "victim") << "precious";
  fs::create_symlink(cache_.path / "victim", blob.string() + ".incomplete");
  EXPECT_THAT(refusal<ArgumentError>("plain"), HasSubstr(".incomplete can't be written"));
  EXPECT_EQ(contents(cache_.path / "victim"), "precious");
}

TEST_F(Hub, TwoAtOnceDownloadOnce) {
  std::thread other([&] { pull("slow"); });
  pull("slow");
  other.join();
  EXPECT_EQ(occurrences(server_->requests(), "cdn GET"), 1u);
  EXPECT_EQ(incomplete("slow"), "");
}

TEST_F(Hub, TellsRepositoriesFromPaths) {
  for (const char* name : {"owner/name", "mlx-community/Qwen3-0.6B_4bit"})
    EXPECT_TRUE(is_repository(name)) << name;
  for (const char* name : {"", "name", "/name", "owner/", "./name", "../name", "a/b/c",
                           "owner/name.gguf", "owner/na me", "/no/such/folder"})
    EXPECT_FALSE(is_repository(name)) << name;
  const fs::path before = fs::current_path();
  fs::create_directories(cache_.path / "owner" / "name");
  fs::current_path(cache_.path);
  EXPECT_FALSE(is_repository("owner/name"));
  fs::current_path(before);
}

TEST_F(Hub, ComputesChecksums) {
  const auto sum = [](Digest::Kind kind) {
    Digest digest(kind);
    digest.update(std::as_bytes(std::span("abc", 3)));
    return digest.finish();
  };
  EXPECT_EQ(sum(Digest::Kind::kSha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sum(Digest::Kind::kSha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace mlxnx::hub
