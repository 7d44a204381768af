#include "io/hub/connection.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "io/hub/loaded_library.h"
#include "io/hub/names.h"
#include "mlxc/ending.h"
#include "mlxnx/error.h"
#include "tensor/printable.h"

namespace mlxnx::hub {
namespace {

constexpr int kMostRedirects = 10;
constexpr std::size_t kMostHeaders = 200;
constexpr std::size_t kLongestHeader = 16 << 10;  // signed URLs have some thousand bytes
constexpr std::size_t kMostUnread = 64 << 10;
constexpr long kConnectSeconds = 20;

struct Curl {
  Curl() {
    const LoadedLibrary library({"libcurl.so.4", "libcurl.4.dylib"}, "libcurl (Debian: libcurl4)");
    decltype(&curl_global_init) init = nullptr;
    library.find(init, "curl_global_init");
    library.find(create, "curl_easy_init");
    library.find(destroy, "curl_easy_cleanup");
    library.find(reset, "curl_easy_reset");
    library.find(set, "curl_easy_setopt");
    library.find(get_info, "curl_easy_getinfo");
    library.find(perform, "curl_easy_perform");
    library.find(error_text, "curl_easy_strerror");
    library.find(append, "curl_slist_append");
    library.find(free_list, "curl_slist_free_all");
    library.find(free, "curl_free");
    library.find(url_create, "curl_url");
    library.find(url_destroy, "curl_url_cleanup");
    library.find(url_set, "curl_url_set");
    library.find(url_get, "curl_url_get");
    init(CURL_GLOBAL_DEFAULT);
    // What that has registered for the end comes after our own.
    mlxc::watch_for_the_end();
  }
  static const Curl& get() {
    static const Curl curl;
    return curl;
  }

  decltype(&curl_easy_init) create = nullptr;
  decltype(&curl_easy_cleanup) destroy = nullptr;
  decltype(&curl_easy_reset) reset = nullptr;
  decltype(&curl_easy_setopt) set = nullptr;
  decltype(&curl_easy_getinfo) get_info = nullptr;
  decltype(&curl_easy_perform) perform = nullptr;
  decltype(&curl_easy_strerror) error_text = nullptr;
  decltype(&curl_slist_append) append = nullptr;
  decltype(&curl_slist_free_all) free_list = nullptr;
  decltype(&curl_free) free = nullptr;
  decltype(&curl_url) url_create = nullptr;
  decltype(&curl_url_cleanup) url_destroy = nullptr;
  decltype(&curl_url_set) url_set = nullptr;
  decltype(&curl_url_get) url_get = nullptr;
};

// A URL in its parts.
class Url {
 public:
  explicit Url(const std::string& text) : url_(Curl::get().url_create()) { set(text); }
  ~Url() { Curl::get().url_destroy(url_); }
  Url(const Url&) = delete;
  Url& operator=(const Url&) = delete;

  /// Goes where a link in this page leads.
  void set(const std::string& text) {
    is_good_ = Curl::get().url_set(url_, CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  }
  bool is_good() const { return is_good_; }
  /// Empty where there is none.
  std::string part(CURLUPart part) const {
    char* text = nullptr;
    if (Curl::get().url_get(url_, part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return "";
    std::string copy(text);
    Curl::get().free(text);
    return copy;
  }
  std::string scheme() const { return part(CURLUPART_SCHEME); }
  /// What may be told of it: paths and queries of signed URLs are secrets.
  std::string origin() const {
    return fmt::format("{}://{}:{}", scheme(), part(CURLUPART_HOST), part(CURLUPART_PORT));
  }

 private:
  CURLU* url_;
  bool is_good_ = false;
};

std::string host_of(const std::string& url) { return Url(url).part(CURLUPART_HOST); }

std::string small_letters(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

// A request under way, as libcurl's callbacks see it. None of them lets an exception through.
struct Exchange {
  const Curl& curl;
  CURL* handle;
  const Watch& watch;
  const Receiver* receiver;
  std::chrono::milliseconds stall;
  Answer answer = {};
  curl_off_t bytes = 0;
  std::chrono::steady_clock::time_point changed = std::chrono::steady_clock::now();
  bool has_begun = false;
  std::size_t unread = 0;
  std::exception_ptr error = {};

  template <typename F>
  bool guarded(F f) {
    try {
      f();
      return true;
    } catch (...) {
      error = std::current_exception();
      return false;
    }
  }

  void begin() {
    if (std::exchange(has_begun, true) || receiver == nullptr) return;
    long status = 0;
    curl.get_info(handle, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    if (is_wanted()) receiver->begin(answer);
  }
  bool is_wanted() const { return answer.status == 200 || answer.status == 206; }

  static std::size_t on_header(char* text, std::size_t, std::size_t size, void* object) {
    auto& self = *static_cast<Exchange*>(object);
    const std::string line(text, size);
    // A new answer begins, as behind the one that says "100 Continue".
    if (line.starts_with("HTTP/")) self.answer.headers.clear();
    const std::size_t colon = line.find(':');
    if (colon == line.npos) return size;
    if (size > kLongestHeader || self.answer.headers.size() >= kMostHeaders) return size;
    const std::size_t start = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    const std::size_t end = line.find_last_not_of(" \t\r\n") + 1;
    self.answer.headers[small_letters(line.substr(0, colon))] =
        start < end ? line.substr(start, end - start) : "";
    return size;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* object) {
    auto& self = *static_cast<Exchange*>(object);
    const bool went_well = self.guarded([&] {
      self.begin();
      if (self.receiver != nullptr && self.is_wanted())
        self.receiver->take(std::as_bytes(std::span(data, size)));
    });
    // A page that explains an error is read, so that the connection stays of use, unless it is
    // long.
    if (!self.is_wanted()) self.unread += size;
    return went_well && self.unread <= kMostUnread ? size : 0;
  }

  // Called about once a second at least.
  static int on_progress(void* object, curl_off_t, curl_off_t bytes, curl_off_t, curl_off_t) {
    auto& self = *static_cast<Exchange*>(object);
    return self.guarded([&] { self.look_at(bytes); }) ? 0 : 1;
  }
  void look_at(curl_off_t now_bytes) {
    watch.check();
    const auto now = std::chrono::steady_clock::now();
    if (std::exchange(bytes, now_bytes) != now_bytes) changed = now;
    if (now - changed > stall) throw Broken("nothing comes any more");
  }
};

bool is_of_the_network(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_WEIRD_SERVER_REPLY:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string Answer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

struct Connection::Handle {
  Handle() : easy(Curl::get().create()) {
    if (easy == nullptr) throw HubError(fmt::format("[{}] libcurl can't be started", kOp));
  }
  ~Handle() { Curl::get().destroy(easy); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  CURL* easy;
};

Connection::Connection(std::string endpoint, std::string token, const Watch& watch,
                       const Patience& patience)
    : endpoint_(std::move(endpoint)),
      token_(std::move(token)),
      watch_(watch),
      patience_(patience),
      handle_(std::make_unique<Handle>()) {
  if (!Url(endpoint_).is_good()) {
    throw ArgumentError(fmt::format("[{}] \"{}\" is no URL", kOp, tensors::printable(endpoint_)));
  }
}

Connection::~Connection() = default;

Answer Connection::head(const std::string& path) { return ask(path, 0, nullptr); }

Answer Connection::get(const std::string& path, std::uint64_t from, const Receiver& receiver) {
  return ask(path, from, &receiver);
}

Answer Connection::ask(const std::string& path, std::uint64_t from, const Receiver* receiver) {
  const std::string hub = Url(endpoint_).origin();
  std::string url = endpoint_ + path;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    const bool is_hub = Url(url).origin() == hub;
    Answer answer = request(url, is_hub, from, receiver);
    const std::string location = answer.header("location");
    if (answer.status < 300 || answer.status > 399 || location.empty()) return answer;
    std::string next = redirected(url, location);
    if (receiver == nullptr && Url(next).origin() != hub) return answer;
    url = std::move(next);
  }
  throw HubError(fmt::format("[{}] {} leads from one place to the next, more than {} times", kOp,
                             host_of(endpoint_), kMostRedirects));
}

std::string Connection::redirected(const std::string& url, const std::string& location) const {
  Url target(url);
  const std::string before = target.scheme();
  const std::string host = target.part(CURLUPART_HOST);
  target.set(location);
  const std::string scheme = target.scheme();
  const bool is_http = scheme == "https" || (scheme == "http" && before == "http");
  if (target.is_good() && is_http && target.part(CURLUPART_USER).empty() &&
      target.part(CURLUPART_PASSWORD).empty())
    return target.part(CURLUPART_URL);
  throw HubError(fmt::format(
      "[{}] {} leads to a place that is not asked: {}", kOp, host,
      target.is_good() ? "a URL of the kind " + tensors::printable(scheme) + "://" : "no URL"));
}

Answer Connection::request(const std::string& url, bool is_hub, std::uint64_t from,
                           const Receiver* receiver) {
  watch_.check();
  const Curl& curl = Curl::get();
  CURL* const easy = handle_->easy;
  Exchange exchange{.curl = curl,
                    .handle = easy,
                    .watch = watch_,
                    .receiver = receiver,
                    .stall = patience_.stall};
  struct List {
    const Curl& curl;
    curl_slist* first = nullptr;
    ~List() { curl.free_list(first); }
    void add(const std::string& line) { first = curl.append(first, line.c_str()); }
  } headers{curl};
  if (is_hub && !token_.empty()) headers.add("Authorization: Bearer " + token_);
  const std::string range = fmt::format("{}-", from);

  curl.reset(easy);  // which keeps connections
  curl.set(easy, CURLOPT_URL, url.c_str());
  curl.set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl.set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl.set(easy, CURLOPT_NOSIGNAL, 1L);
  curl.set(easy, CURLOPT_USERAGENT, "mlxnx/" MLXNX_VERSION);
  curl.set(easy, CURLOPT_HTTPHEADER, headers.first);
  // Ranges and lengths are those of the file itself. A server that packs it all the same is
  // understood.
  curl.set(easy, CURLOPT_ACCEPT_ENCODING, "identity");
  curl.set(easy, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl.set(easy, CURLOPT_NOPROGRESS, 0L);
  curl.set(easy, CURLOPT_XFERINFOFUNCTION, &Exchange::on_progress);
  curl.set(easy, CURLOPT_XFERINFODATA, &exchange);
  curl.set(easy, CURLOPT_HEADERFUNCTION, &Exchange::on_header);
  curl.set(easy, CURLOPT_HEADERDATA, &exchange);
  curl.set(easy, CURLOPT_WRITEFUNCTION, &Exchange::on_body);
  curl.set(easy, CURLOPT_WRITEDATA, &exchange);
  if (receiver == nullptr) curl.set(easy, CURLOPT_NOBODY, 1L);
  if (from > 0) curl.set(easy, CURLOPT_RANGE, range.c_str());

  const CURLcode code = curl.perform(easy);
  if (exchange.error) std::rethrow_exception(exchange.error);
  long status = 0;
  curl.get_info(easy, CURLINFO_RESPONSE_CODE, &status);
  exchange.answer.status = static_cast<int>(status);
  exchange.answer.host = host_of(url);
  exchange.answer.is_of_hub = is_hub;
  const bool is_unread = code == CURLE_WRITE_ERROR && exchange.unread > kMostUnread;
  if (code != CURLE_OK && !is_unread) fail(code, url);
  has_answered_ = true;
  exchange.begin();  // where there was no body
  curl_off_t seconds = 0;
  if (curl.get_info(easy, CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK && seconds > 0)
    exchange.answer.retry_after = std::chrono::seconds(std::min<curl_off_t>(seconds, 1'000'000));
  return std::move(exchange.answer);
}

void Connection::fail(int error, const std::string& url) const {
  const auto code = static_cast<CURLcode>(error);
  const std::string text = fmt::format("{}: {}", host_of(url), Curl::get().error_text(code));
  if (!is_of_the_network(code)) throw HubError(fmt::format("[{}] {}", kOp, text));
  if (has_answered_) throw Broken(text);
  throw HubError(fmt::format(
      "[{}] {}; without a network what the cache has is taken by HF_HUB_OFFLINE=1", kOp, text));
}

}  // namespace mlxnx::hub
