#include "progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <utility>

#include "output.h"

namespace mlxnx::cli {

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  constexpr double kStep = 1000;
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // What would be rounded to 1000 is 1 of the next.
  while (value >= kStep - 0.05 && unit + 1 < kUnits.size()) {
    value /= kStep;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, kUnits[unit]);
}

ProgressLine::ProgressLine(std::string what, bool is_quiet, Unit unit)
    : what_(std::move(what)),
      unit_(unit),
      is_quiet_(is_quiet),
      is_terminal_(::isatty(STDERR_FILENO) != 0) {}

std::string ProgressLine::text_of(double amount) const {
  return unit_ == Unit::kBytes ? bytes_text(static_cast<std::uint64_t>(amount))
                               : fmt::format("{:.3g}", amount);
}

void ProgressLine::show(std::uint64_t done, std::uint64_t total) {
  constexpr auto kBetween = std::chrono::milliseconds(200);
  if (!std::exchange(has_first_, true)) first_ = done;
  if (is_quiet_) return;
  const std::uint64_t tenth = total == 0 ? 10 : done * 10 / total;
  if (!is_terminal_) {
    if (std::exchange(tenth_, tenth) != tenth) print_error(line(done, total));
    return;
  }
  const Clock::time_point now = Clock::now();
  if (now - shown_ < kBetween) return;
  shown_ = now;
  is_shown_ = true;
  const std::string text = "\r\033[K" + line(done, total);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string ProgressLine::line(std::uint64_t done, std::uint64_t total) const {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const auto amount = [&](std::uint64_t count) {
    return unit_ == Unit::kBytes ? bytes_text(count) : fmt::format("{}", count);
  };
  std::string text = fmt::format("{} {:3}%, {} of {}", what_, total == 0 ? 100 : 100 * done / total,
                                 amount(done), amount(total));
  const double rate = seconds > 0 ? static_cast<double>(done - first_) / seconds : 0;
  if (rate > 0) {
    text += fmt::format(", {}/s", text_of(rate));
    if (done < total)
      text += fmt::format(", {:.0f} s left", static_cast<double>(total - done) / rate);
  }
  return text;
}

void ProgressLine::clear() {
  if (std::exchange(is_shown_, false)) std::fputs("\r\033[K", stderr);
}

}  // namespace mlxnx::cli
