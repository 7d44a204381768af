#include "ops/recorder.h"

namespace mlxnx::ops {
namespace {
constinit thread_local Recorder* current = nullptr;
constinit thread_local bool all_calls = false;
}  // namespace

Recorder* current_recorder() { return current; }

bool records_all() { return all_calls; }

RecorderScope::RecorderScope(Recorder& recorder, bool all)
    : outer_(current), outer_all_(all_calls) {
  current = &recorder;
  all_calls |= all;
}
RecorderScope::~RecorderScope() {
  current = outer_;
  all_calls = outer_all_;
}

}  // namespace mlxnx::ops
