#include "ops/recorder.h"

namespace mlxnx::ops {
namespace {
constinit thread_local Recorder* current = nullptr;
}  // namespace

Recorder* current_recorder() { return current; }

RecorderScope::RecorderScope(Recorder& recorder) : outer_(current) { current = &recorder; }
RecorderScope::~RecorderScope() { current = outer_; }

}  // namespace mlxnx::ops
