#include "mlx_hooks/large_pages.h"

#include <sys/mman.h>

#include <cstdint>
#include <mutex>
#include <unordered_set>

namespace mlx_hooks {
namespace {

constexpr std::uintptr_t kPage = std::uintptr_t{2} << 20;

// Pages that were asked for once, and so are large unless they were given back meanwhile.
class AskedFor {
 public:
  // Whether all of [first, last) were there already.
  bool add(std::uintptr_t first, std::uintptr_t last) {
    const std::scoped_lock lock(mutex_);
    bool were_there = true;
    for (std::uintptr_t page = first; page < last; page += kPage)
      were_there = !pages_.insert(page / kPage).second && were_there;
    return were_there;
  }

 private:
  std::mutex mutex_;
  std::unordered_set<std::uintptr_t> pages_;
};

}  // namespace

void ask_for_large_pages(void* memory, std::size_t bytes) {
  if (bytes < 2 * kPage) return;
  static AskedFor& asked = *new AskedFor();  // never destroyed: others allocate at exit
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (start + kPage - 1) / kPage * kPage;
  const std::uintptr_t last = (start + bytes) / kPage * kPage;
  void* const pages = reinterpret_cast<void*>(first);
  // The heap hands out what small pages lie under, too. Without them it comes anew.
  if (!asked.add(first, last)) ::madvise(pages, last - first, MADV_DONTNEED);
  ::madvise(pages, last - first, MADV_HUGEPAGE);
}

}  // namespace mlx_hooks
