#include "nif/pressure.h"

#include <algorithm>
#include <atomic>

#include "mlxnx/device.h"

namespace mlxnx::nif {
namespace {

// Building this much takes milliseconds at least, a minor collection microseconds.
constexpr std::size_t kMinorStepBytes = std::size_t{8} << 20;
constexpr std::size_t kMajorSlackBytes = std::size_t{256} << 20;
// What a tensor costs beside its elements: handle, node and graph.
constexpr std::size_t kOverheadBytes = 512;

thread_local std::size_t built = 0;    // since the last collection that this scheduler asked for
std::atomic<std::size_t> baseline{0};  // active bytes after the last major collection
std::atomic<bool> measure_baseline{false};

}  // namespace

Pressure note_built(std::size_t bytes) {
  built += bytes + kOverheadBytes;
  if (built < kMinorStepBytes) [[likely]]
    return Pressure::kNone;
  built = 0;
  const std::size_t active = memory_info().active_bytes;
  if (measure_baseline.exchange(false, std::memory_order_relaxed)) {
    baseline.store(active, std::memory_order_relaxed);
    return Pressure::kMinor;
  }
  const std::size_t base = std::min(active, baseline.load(std::memory_order_relaxed));
  baseline.store(base, std::memory_order_relaxed);
  if (active < 2 * base + kMajorSlackBytes) return Pressure::kMinor;
  measure_baseline.store(true, std::memory_order_relaxed);
  return Pressure::kMajor;
}

namespace {
Term with_f64_on_cpu(ErlNifEnv* env, Term result) {
  static std::atomic<std::uint64_t> told{0};
  const std::uint64_t count = f64_ops_on_cpu();
  if (count == told.load(std::memory_order_relaxed)) [[likely]]
    return result;
  const std::uint64_t before = told.exchange(count, std::memory_order_relaxed);
  // Another scheduler may have told of more in between.
  if (count <= before) return result;
  return enif_make_tuple3(env, atoms.f64_on_cpu, enif_make_uint64(env, count - before), result);
}
}  // namespace

Term with_pressure(ErlNifEnv* env, Pressure pressure, Term result) {
  result = with_f64_on_cpu(env, result);
  if (pressure == Pressure::kNone) [[likely]]
    return result;
  const Term is_major = pressure == Pressure::kMajor ? atoms.true_ : atoms.false_;
  return enif_make_tuple3(env, atoms.collect, is_major, result);
}

}  // namespace mlxnx::nif
