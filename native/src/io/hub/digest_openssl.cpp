#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>

#include "io/hub/digest.h"
#include "io/hub/loaded_library.h"

namespace mlxnx::hub {
namespace {

struct Crypto {
  Crypto() {
    const LoadedLibrary library({"libcrypto.so.3", "libcrypto.so.1.1"},
                                "OpenSSL (Debian: libssl3)");
    decltype(&OPENSSL_init_crypto) init = nullptr;
    library.find(init, "OPENSSL_init_crypto");
    library.find(create, "EVP_MD_CTX_new");
    library.find(destroy, "EVP_MD_CTX_free");
    library.find(begin, "EVP_DigestInit_ex");
    library.find(update, "EVP_DigestUpdate");
    library.find(finish, "EVP_DigestFinal_ex");
    library.find(sha1, "EVP_sha1");
    library.find(sha256, "EVP_sha256");
    // At exit it would take down what a thread that downloads stands on.
    init(OPENSSL_INIT_NO_ATEXIT, nullptr);
  }
  static const Crypto& get() {
    static const Crypto crypto;
    return crypto;
  }

  decltype(&EVP_MD_CTX_new) create = nullptr;
  decltype(&EVP_MD_CTX_free) destroy = nullptr;
  decltype(&EVP_DigestInit_ex) begin = nullptr;
  decltype(&EVP_DigestUpdate) update = nullptr;
  decltype(&EVP_DigestFinal_ex) finish = nullptr;
  decltype(&EVP_sha1) sha1 = nullptr;
  decltype(&EVP_sha256) sha256 = nullptr;
};

void check(int status) {
  if (status != 1)
    throw UnsupportedError(fmt::format("[{}] OpenSSL refuses to compute a checksum", kOp));
}

}  // namespace

struct Digest::State {
  State() : context(Crypto::get().create()) {}
  ~State() { Crypto::get().destroy(context); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  EVP_MD_CTX* context;
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  const Crypto& crypto = Crypto::get();
  check(crypto.begin(state_->context, kind == Kind::kSha1 ? crypto.sha1() : crypto.sha256(),
                     nullptr));
}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) {
  check(Crypto::get().update(state_->context, bytes.data(), bytes.size()));
}

std::string Digest::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned length = 0;
  check(Crypto::get().finish(state_->context, sum.data(), &length));
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", sum[i]);
  return text;
}

}  // namespace mlxnx::hub
