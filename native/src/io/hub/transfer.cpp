#include "io/hub/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "io/hub/connection.h"
#include "io/hub/digest.h"
#include "io/hub/names.h"
#include "io/hub/partial_blob.h"
#include "io/hub/place.h"
#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenLooksAtALock{100};
// A try that brings less has brought nothing: a server could go on like that for years.
constexpr std::uint64_t kWorthATry = 1 << 20;

bool may_pass(int status) { return status == 408 || status == 429 || status >= 500; }

std::optional<std::uint64_t> number(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_good = error == std::errc() && end == text.data() + text.size();
  return is_good && number <= kMostFileBytes ? std::optional(number) : std::nullopt;
}

std::uint64_t nothing() { return 0; }

// The name of a blob in an etag: `"abc"`, or `W/"abc"`.
std::string without_quotes(std::string etag) {
  if (etag.starts_with("W/")) etag.erase(0, 2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"')
    etag = etag.substr(1, etag.size() - 2);
  return etag;
}

// The start of a download: whether it goes on with what is there, and is as long as it was to be.
void begin(const Answer& answer, const RemoteFile& file, PartialBlob& blob) {
  if (answer.status == 206) {
    const std::string range =
        fmt::format("bytes {}-{}/{}", blob.size(), *file.size - 1, *file.size);
    if (answer.header("content-range") == range) return;
    blob.clear();
    throw Broken(fmt::format("{} answers with another part of the file", answer.host));
  }
  blob.clear();
  const std::string length = answer.header("content-length");
  if (length.empty() || !answer.header("content-encoding").empty()) return;
  if (number(length) == file.size) return;
  throw FormatError(fmt::format("[{}] {}: {} bytes are announced where it has {}", kOp, file.name,
                                tensors::printable(length), *file.size));
}

class HttpTransfer : public Transfer {
 public:
  HttpTransfer(std::string repo, const Options& options, Watch& watch, const Patience& patience)
      : repo_(std::move(repo)),
        watch_(watch),
        patience_(patience),
        connection_(endpoint(options), token(options), watch, patience_) {}

  Listing list(const std::string& revision) override;
  void complete(RemoteFile& file, const std::string& commit) override;
  void fetch(const RemoteFile& file, const std::string& commit, const RepoCache& cache,
             bool is_forced) override;

 private:
  Answer patiently(const std::string& what, const std::function<Answer()>& ask,
                   const std::function<std::uint64_t()>& brought);
  [[noreturn]] void refuse(const Answer& answer, const std::string& what) const;
  std::string refusal(const Answer& answer, const std::string& what) const;
  std::string file_path(const RemoteFile& file, const std::string& commit) const {
    return fmt::format("/{}/resolve/{}/{}", repo_, commit, url_encoded(file.name, true));
  }

  std::string repo_;
  Watch& watch_;
  Patience patience_;
  Connection connection_;
};

// `ask()`'s answer, once it is a good one. `brought` is how much the tries have brought so far.
Answer HttpTransfer::patiently(const std::string& what, const std::function<Answer()>& ask,
                               const std::function<std::uint64_t()>& brought) {
  std::uint64_t furthest = brought();
  milliseconds wait = patience_.first_wait;
  for (int tries = 1;; ++tries) {
    std::string reason;
    milliseconds pause = wait;
    try {
      Answer answer = ask();
      if (answer.status < 400) return answer;
      if (!may_pass(answer.status)) refuse(answer, what);
      reason = fmt::format("{} answers {}", answer.host, answer.status);
      if (answer.retry_after) pause = *answer.retry_after;
    } catch (const Broken& broken) {
      reason = broken.what();
    }
    if (brought() >= furthest + kWorthATry) {
      furthest = brought();
      tries = 1;
      wait = patience_.first_wait;
    }
    const bool is_too_long = pause > patience_.longest_asked;
    if (tries >= patience_.tries || is_too_long) {
      throw HubError(fmt::format(
          "[{}] {}, {}: {}{}; pulling again goes on where this has ended", kOp, repo_, what, reason,
          is_too_long ? fmt::format(" and asks for a pause of {} s", pause.count() / 1000)
                      : fmt::format(", after {} tries", tries)));
    }
    watch_.wait(pause);
    wait = std::min(2 * wait, patience_.longest_wait);
  }
}

// An error that tells what to do.
void HttpTransfer::refuse(const Answer& answer, const std::string& what) const {
  throw HubError(fmt::format("[{}] {}", kOp, refusal(answer, what)));
}

std::string HttpTransfer::refusal(const Answer& answer, const std::string& what) const {
  const std::string page = fmt::format("{}/{}", connection_.endpoint(), repo_);
  const std::string code = answer.header("x-error-code");
  const bool is_of_access = answer.status == 401 || answer.status == 403;
  if (!answer.is_of_hub || (answer.status != 404 && !is_of_access))
    return fmt::format("{}, {}: {} answers {}", repo_, what, answer.host, answer.status);
  if (answer.status == 404 && code == "EntryNotFound")
    return fmt::format("{} has no {}", repo_, what);
  if (answer.status == 404 && code == "RevisionNotFound")
    return fmt::format("{} has no {}; see {}/tree/main", repo_, what, page);
  if (answer.status == 404)
    return fmt::format("{} has no {}, or no {} in it", connection_.endpoint(), repo_, what);
  const std::string todo = connection_.has_token()
                               ? "the token that is set is not valid, or may not read it"
                               : "set HF_TOKEN to a token that may read it";
  if (code == "GatedRepo")
    return fmt::format("{} is gated ({}): accept its terms at {}; {}", repo_, answer.status, page,
                       todo);
  return fmt::format("{} does not exist, or is private or gated ({}): {}; see {}", repo_,
                     answer.status, todo, page);
}

Listing HttpTransfer::list(const std::string& revision) {
  std::string text;
  const Receiver receiver{
      .begin = [&](const Answer&) { text.clear(); },
      .take =
          [&](std::span<const std::byte> bytes) {
            if (bytes.size() > kMostListingBytes - text.size()) {
              throw FormatError(fmt::format("[{}] the list of {}'s files has more than {} bytes",
                                            kOp, repo_, kMostListingBytes));
            }
            text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          }};
  const std::string path =
      fmt::format("/api/models/{}/revision/{}?blobs=true", repo_, url_encoded(revision, false));
  const std::string what = "revision " + revision;
  patiently(
      what, [&] { return connection_.get(path, 0, receiver); }, &nothing);
  try {
    Listing listing = parse_answer(text);
    if (is_git_id(revision) && listing.commit != revision)
      throw FormatError(
          fmt::format("it tells of commit {} in place of {}", listing.commit, revision));
    return listing;
  } catch (const FormatError& error) {
    throw FormatError(fmt::format("[{}] what the hub answers of {} at {} is wrong: {}", kOp, repo_,
                                  revision, error.what()));
  }
}

void HttpTransfer::complete(RemoteFile& file, const std::string& commit) {
  if (file.size && !file.blob().empty()) return;
  const Answer answer = patiently(
      file.name, [&] { return connection_.head(file_path(file, commit)); }, &nothing);
  const auto first_of = [&](const char* name, const char* other) {
    const std::string value = answer.header(name);
    return value.empty() ? answer.header(other) : value;
  };
  const bool is_elsewhere = answer.status >= 300;
  if (!file.size) {
    file.size = number(is_elsewhere ? answer.header("x-linked-size")
                                    : first_of("x-linked-size", "content-length"));
  }
  file.etag = without_quotes(is_elsewhere ? answer.header("x-linked-etag")
                                          : first_of("x-linked-etag", "etag"));
  if (file.size && is_blob_name(file.blob())) return;
  throw FormatError(fmt::format("[{}] the hub tells no {} of {}", kOp,
                                file.size ? "checksum or other etag" : "length", file.name));
}

void HttpTransfer::fetch(const RemoteFile& file, const std::string& commit, const RepoCache& cache,
                         bool is_forced) {
  BlobLock lock(cache.lock(file.blob()));
  while (!lock.try_lock()) watch_.wait(kBetweenLooksAtALock);
  if (!is_forced && cache.has_blob(file)) {  // another process was quicker
    watch_.set_bytes(*file.size);
    return;
  }
  PartialBlob blob(cache.incomplete(file.blob()), file, is_forced);
  const Receiver receiver{.begin = [&](const Answer& answer) { begin(answer, file, blob); },
                          .take =
                              [&](std::span<const std::byte> bytes) {
                                blob.append(bytes);
                                watch_.set_bytes(blob.size());
                              }};
  const auto ask = [&] {
    Answer answer = connection_.get(file_path(file, commit), blob.size(), receiver);
    const bool is_beyond = answer.status == 416;  // which the file is not, by what was announced
    if (is_beyond) blob.clear();
    if (is_beyond || (answer.status < 400 && !blob.is_whole()))
      throw Broken(fmt::format("{} ended early", answer.host));
    return answer;
  };
  do {
    watch_.set_bytes(blob.size());
    if (!blob.is_whole()) patiently(file.name, ask, [&] { return blob.size(); });
  } while (!blob.verify());
  blob.commit(cache.blob(file.blob()));
}

}  // namespace

std::unique_ptr<Transfer> open_transfer(std::string repo, const Options& options, Watch& watch,
                                        const Patience& patience) {
  // OpenSSL is to be set up by us, not by libcurl; and if there is none, it is told now.
  Digest(Digest::Kind::kSha256);
  return std::make_unique<HttpTransfer>(std::move(repo), options, watch, patience);
}

}  // namespace mlxnx::hub
