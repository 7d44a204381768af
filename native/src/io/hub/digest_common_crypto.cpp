#include <CommonCrypto/CommonDigest.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "io/hub/digest.h"

namespace mlxnx::hub {

struct Digest::State {
  Kind kind;
  CC_SHA1_CTX sha1;
  CC_SHA256_CTX sha256;
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  state_->kind = kind;
  if (kind == Kind::kSha1) {
    CC_SHA1_Init(&state_->sha1);
  } else {
    CC_SHA256_Init(&state_->sha256);
  }
}
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) {
  // Its lengths have 32 bits.
  constexpr std::size_t kMost = std::size_t{1} << 30;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kMost))) {
    const auto length = static_cast<CC_LONG>(std::min(bytes.size(), kMost));
    if (state_->kind == Kind::kSha1) {
      CC_SHA1_Update(&state_->sha1, bytes.data(), length);
    } else {
      CC_SHA256_Update(&state_->sha256, bytes.data(), length);
    }
  }
}

std::string Digest::finish() {
  std::array<unsigned char, CC_SHA256_DIGEST_LENGTH> sum{};
  std::size_t length = sum.size();
  if (state_->kind == Kind::kSha1) {
    length = CC_SHA1_DIGEST_LENGTH;
    CC_SHA1_Final(sum.data(), &state_->sha1);
  } else {
    CC_SHA256_Final(sum.data(), &state_->sha256);
  }
  std::string text;
  for (std::size_t i = 0; i < length; ++i) text += fmt::format("{:02x}", sum[i]);
  return text;
}

}  // namespace mlxnx::hub
