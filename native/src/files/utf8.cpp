#include "files/utf8.h"

#include <cstddef>

namespace mlxnx::files {
namespace {

// How many bytes follow the first one of a character, and between what the first of them lies.
struct Form {
  std::size_t following;
  unsigned char least, most;
};

constexpr Form form_of(unsigned char first) {
  if (first < 0x80) return {0, 0, 0};
  if (first >= 0xc2 && first <= 0xdf) return {1, 0x80, 0xbf};
  if (first == 0xe0) return {2, 0xa0, 0xbf};
  if (first == 0xed) return {2, 0x80, 0x9f};
  if (first >= 0xe1 && first <= 0xef) return {2, 0x80, 0xbf};
  if (first == 0xf0) return {3, 0x90, 0xbf};
  if (first >= 0xf1 && first <= 0xf3) return {3, 0x80, 0xbf};
  if (first == 0xf4) return {3, 0x80, 0x8f};
  return {1, 1, 0};  // nothing lies between those
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
    const Form form = form_of(byte(i++));
    if (form.following > text.size() - i) return false;
    if (form.following > 0 && (byte(i) < form.least || byte(i) > form.most)) return false;
    for (std::size_t k = 1; k < form.following; ++k) {
      if ((byte(i + k) & 0xc0) != 0x80) return false;
    }
    i += form.following;
  }
  return true;
}

}  // namespace mlxnx::files
