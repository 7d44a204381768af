// Calls that are recorded instead of evaluated: while a function is traced, tensors stand for
// values that do not exist yet, and a call with such an operand goes to the recorder.
#pragma once

#include <span>
#include <vector>

#include "ops/attrs.h"
#include "ops/invoke.h"

namespace mlxnx::ops {

class Recorder {
 public:
  virtual ~Recorder() = default;
  /// The tensors that stand for the call's outputs.
  virtual std::vector<Tensor> record(const OpDef& op, const Operands& operands, const Attrs& attrs,
                                     std::span<const TensorType> wanted) = 0;
};

/// The recorder of the innermost RecorderScope on this thread, or null.
Recorder* current_recorder();

/// Whether calls without a traced operand go to the recorder as well.
bool records_all();

/// Makes `recorder` the current one until the scope ends. With `all` it gets every call, also while
/// others are current in the meantime.
class RecorderScope {
 public:
  explicit RecorderScope(Recorder& recorder, bool all = false);
  ~RecorderScope();
  RecorderScope(const RecorderScope&) = delete;
  RecorderScope& operator=(const RecorderScope&) = delete;

 private:
  Recorder* outer_;
  bool outer_all_;
};

}  // namespace mlxnx::ops
