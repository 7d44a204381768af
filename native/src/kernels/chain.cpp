#include "kernels/chain.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kernels/vectors.h"
#include "mlxnx/inline_vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/chain.cpp"
#include "hwy/foreach_target.h"
// Behind it: every kind of vectors comes by here.
#include "kernels/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace mlxnx::kernels {
namespace HWY_NAMESPACE {

// Narrower ones spend the time on the jumps.
#if HWY_MAX_BYTES >= 32

using Call = Chain::Call;
using Place = Chain::Place;

constexpr std::size_t kBlock = 4 * kLanes;

// Truths are vectors whose bits are all set or none.
using Stage = void (*)(const Call*, const Place*, std::size_t, V, V, V, V);

#define MLXNX_STAGE(name)                                                                  \
  void name([[maybe_unused]] const Call* call, [[maybe_unused]] const Place* places,       \
            [[maybe_unused]] std::size_t at, [[maybe_unused]] V x0, [[maybe_unused]] V x1, \
            [[maybe_unused]] V x2, [[maybe_unused]] V x3)
// The last thing that a stage does, so that it is a jump.
#define MLXNX_NEXT \
  return reinterpret_cast<Stage>(call[1].stage)(call + 1, places, at, x0, x1, x2, x3)

template <typename T>
HWY_INLINE T* At(const Call* call, const Place* places, int operand, std::size_t at) {
  const Place& place = places[call->places[static_cast<std::size_t>(operand)]];
  return reinterpret_cast<T*>(place.base) + (at & place.moves);
}
HWY_INLINE V LoadAt(const float* from, int i) { return hn::LoadU(DF(), from + i * kLanes); }
// Highway's own is false for NaN in some versions.
HWY_INLINE hn::Mask<DF> Differ(V x, V y) { return hn::Not(hn::Eq(x, y)); }
HWY_INLINE V AllOrNone(hn::Mask<DF> mask) { return hn::VecFromMask(DF(), mask); }

MLXNX_STAGE(Load) {
  const float* const from = At<const float>(call, places, 0, at);
  x0 = LoadAt(from, 0);
  x1 = LoadAt(from, 1);
  x2 = LoadAt(from, 2);
  x3 = LoadAt(from, 3);
  MLXNX_NEXT;
}

MLXNX_STAGE(Store) {
  float* const to = At<float>(call, places, 0, at);
  hn::StoreU(x0, DF(), to);
  hn::StoreU(x1, DF(), to + kLanes);
  hn::StoreU(x2, DF(), to + 2 * kLanes);
  hn::StoreU(x3, DF(), to + 3 * kLanes);
  MLXNX_NEXT;
}

// Where memory holds fewer bits: `Packed` loads and stores a vector.
template <typename Packed>
MLXNX_STAGE(LoadPacked) {
  const auto* const from = At<const typename Packed::Number>(call, places, 0, at);
  x0 = Packed::Load(from);
  x1 = Packed::Load(from + kLanes);
  x2 = Packed::Load(from + 2 * kLanes);
  x3 = Packed::Load(from + 3 * kLanes);
  MLXNX_NEXT;
}

template <typename Packed>
MLXNX_STAGE(StorePacked) {
  auto* const to = At<typename Packed::Number>(call, places, 0, at);
  Packed::Store(x0, to);
  Packed::Store(x1, to + kLanes);
  Packed::Store(x2, to + 2 * kLanes);
  Packed::Store(x3, to + 3 * kLanes);
  MLXNX_NEXT;
}

struct Truths {
  using Number = std::uint8_t;
  using D = hn::Rebind<Number, DI>;
  static HWY_INLINE V Load(const Number* from) {
    const auto wide = hn::PromoteTo(DI(), hn::LoadU(D(), from));
    return hn::BitCast(DF(), hn::VecFromMask(DI(), hn::Gt(wide, hn::Zero(DI()))));
  }
  static HWY_INLINE void Store(V x, Number* to) {
    const auto ones = hn::And(hn::BitCast(DI(), x), hn::Set(DI(), 1));
    hn::StoreU(hn::DemoteTo(D(), ones), D(), to);
  }
};

struct F16s {
  using Number = std::uint16_t;
  using D = hn::Rebind<Number, DF>;
  using Halves = hn::Rebind<hwy::float16_t, DF>;
  static HWY_INLINE V Load(const Number* from) {
    return hn::PromoteTo(DF(), hn::BitCast(Halves(), hn::LoadU(D(), from)));
  }
  static HWY_INLINE void Store(V x, Number* to) {
    hn::StoreU(hn::BitCast(D(), hn::DemoteTo(Halves(), x)), D(), to);
  }
  static HWY_INLINE V Rounded(V x) { return hn::PromoteTo(DF(), hn::DemoteTo(Halves(), x)); }
};

struct Bf16s {
  using Number = std::uint16_t;
  using D = hn::Rebind<Number, DF>;
  static HWY_INLINE V Load(const Number* from) {
    return hn::BitCast(DF(), hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::LoadU(D(), from))));
  }
  // Of numbers that are rounded already.
  static HWY_INLINE void Store(V x, Number* to) {
    const auto bits = hn::ShiftRight<16>(hn::BitCast(DU(), x));
    hn::StoreU(hn::DemoteTo(D(), hn::BitCast(DI(), bits)), D(), to);
  }
  // As files::f32_as_bf16 does.
  static HWY_INLINE V Rounded(V x) {
    const auto bits = hn::BitCast(DU(), x);
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(DU(), 1));
    const auto rounded = hn::Add(hn::Add(bits, hn::Set(DU(), 0x7FFF)), odd);
    const auto quiet = hn::Or(bits, hn::Set(DU(), 0x400000));
    const auto kept = hn::IfThenElse(hn::RebindMask(DU(), Differ(x, x)), quiet, rounded);
    return hn::BitCast(DF(), hn::And(kept, hn::Set(DU(), 0xFFFF0000)));
  }
};

MLXNX_STAGE(End) {}

// Of operands that lie in memory.
MLXNX_STAGE(ByKernel) {
  const void* const operands[] = {At<const float>(call, places, 0, at),
                                  At<const float>(call, places, 1, at)};
  float* const made = At<float>(call, places, 2, at);
  call->kernel(operands, made, kBlock);
  x0 = LoadAt(made, 0);
  x1 = LoadAt(made, 1);
  x2 = LoadAt(made, 2);
  x3 = LoadAt(made, 3);
  MLXNX_NEXT;
}

template <typename F>
MLXNX_STAGE(Unary) {
  x0 = F::Of(x0);
  x1 = F::Of(x1);
  x2 = F::Of(x2);
  x3 = F::Of(x3);
  MLXNX_NEXT;
}

template <typename Packed>
struct Rounding {
  static HWY_INLINE V Of(V x) { return Packed::Rounded(x); }
};

template <typename F, bool is_turned>
MLXNX_STAGE(Binary) {
  const float* const from = At<const float>(call, places, 0, at);
  const auto of = [&](V x, int i) HWY_ATTR {
    const V y = LoadAt(from, i);
    return is_turned ? F::Of(y, x) : F::Of(x, y);
  };
  x0 = of(x0, 0);
  x1 = of(x1, 1);
  x2 = of(x2, 2);
  x3 = of(x3, 3);
  MLXNX_NEXT;
}

MLXNX_STAGE(Select) {
  const float* const on_true = At<const float>(call, places, 0, at);
  const float* const on_false = At<const float>(call, places, 1, at);
  const auto of = [&](V mask, int i) HWY_ATTR {
    return hn::IfThenElse(hn::MaskFromVec(mask), LoadAt(on_true, i), LoadAt(on_false, i));
  };
  x0 = of(x0, 0);
  x1 = of(x1, 1);
  x2 = of(x2, 2);
  x3 = of(x3, 3);
  MLXNX_NEXT;
}

// ---- functions, with the results of elementwise.cpp's to the last bit

#define MLXNX_F1(name, ...)                 \
  struct name {                             \
    static HWY_INLINE V Of(V x) __VA_ARGS__ \
  };
#define MLXNX_F2(name, ...)                      \
  struct name {                                  \
    static HWY_INLINE V Of(V x, V y) __VA_ARGS__ \
  };

#define MLXNX_ELEMENTARY(name)                                     \
  struct Vector##name {                                            \
    static HWY_INLINE V Of(V x) { return HWY_NAMESPACE::name(x); } \
  };
MLXNX_ELEMENTARY(Erf)
MLXNX_ELEMENTARY(Erfinv)
MLXNX_ELEMENTARY(Exp)
MLXNX_ELEMENTARY(Expm1)
MLXNX_ELEMENTARY(Log)
MLXNX_ELEMENTARY(Log1p)
MLXNX_ELEMENTARY(Sigmoid)
MLXNX_ELEMENTARY(Tanh)
MLXNX_F1(VectorCos, { return SineFrom<1>(x); })
MLXNX_F1(VectorSin, { return SineFrom<0>(x); })

HWY_INLINE V Infinity() { return hn::Set(DF(), std::numeric_limits<float>::infinity()); }

MLXNX_F1(Abs, { return hn::Abs(x); })
MLXNX_F1(Ceil, { return hn::Ceil(x); })
MLXNX_F1(Copy, { return x; })
MLXNX_F1(Floor, { return hn::Floor(x); })
MLXNX_F1(IsFinite, { return AllOrNone(hn::Lt(hn::Abs(x), Infinity())); })
MLXNX_F1(IsInf, { return AllOrNone(hn::Eq(hn::Abs(x), Infinity())); })
MLXNX_F1(IsNan, { return AllOrNone(Differ(x, x)); })
MLXNX_F1(IsNotZero, { return AllOrNone(Differ(x, hn::Zero(DF()))); })
MLXNX_F1(Negative, { return hn::Neg(x); })
MLXNX_F1(Not, { return hn::Not(x); })
MLXNX_F1(One, { return hn::And(x, hn::Set(DF(), 1.0F)); })
MLXNX_F1(Rsqrt, { return hn::Div(hn::Set(DF(), 1.0F), hn::Sqrt(x)); })
MLXNX_F1(Sqrt, { return hn::Sqrt(x); })
MLXNX_F1(Square, { return hn::Mul(x, x); })

MLXNX_F2(Add, { return hn::Add(x, y); })
MLXNX_F2(And, { return hn::And(x, y); })
MLXNX_F2(Divide, { return hn::Div(x, y); })
MLXNX_F2(Equal, { return AllOrNone(hn::Eq(x, y)); })
MLXNX_F2(Greater, { return AllOrNone(hn::Gt(x, y)); })
MLXNX_F2(GreaterEqual, { return AllOrNone(hn::Ge(x, y)); })
MLXNX_F2(Less, { return AllOrNone(hn::Lt(x, y)); })
MLXNX_F2(LessEqual, { return AllOrNone(hn::Le(x, y)); })
MLXNX_F2(Maximum, { return hn::IfThenElse(hn::Or(Differ(x, x), hn::Gt(x, y)), x, y); })
MLXNX_F2(Minimum, { return hn::IfThenElse(hn::Or(Differ(x, x), hn::Lt(x, y)), x, y); })
MLXNX_F2(Multiply, { return hn::Mul(x, y); })
MLXNX_F2(NotEqual, { return AllOrNone(Differ(x, y)); })
MLXNX_F2(Or, { return hn::Or(x, y); })
MLXNX_F2(Subtract, { return hn::Sub(x, y); })
MLXNX_F2(Xor, { return hn::Xor(x, y); })
MLXNX_F2(Same, { return hn::Not(hn::Xor(x, y)); })

Chain::Stage Opaque(Stage stage) { return reinterpret_cast<Chain::Stage>(stage); }
template <typename F>
Chain::Stage OfOne() {
  return Opaque(&Unary<F>);
}
template <typename F>
Chain::Stage OfTwo(bool is_turned) {
  return Opaque(is_turned ? &Binary<F, true> : &Binary<F, false>);
}

#define MLXNX_ROW(name, stage) \
  case Function::k_##name:     \
    return stage;

Chain::Stage OfTruths(Function function) {
  switch (function) {
    MLXNX_ROW(logical_not, OfOne<Not>())
    MLXNX_ROW(bitwise_and, OfTwo<And>(false))
    MLXNX_ROW(logical_and, OfTwo<And>(false))
    MLXNX_ROW(bitwise_or, OfTwo<Or>(false))
    MLXNX_ROW(logical_or, OfTwo<Or>(false))
    MLXNX_ROW(bitwise_xor, OfTwo<Xor>(false))
    MLXNX_ROW(not_equal, OfTwo<Xor>(false))
    MLXNX_ROW(equal, OfTwo<Same>(false))
    default:
      return nullptr;
  }
}

Chain::Stage OfNumbers(Function function, bool is_turned) {
  switch (function) {
    MLXNX_ROW(abs, OfOne<Abs>())
    MLXNX_ROW(ceil, OfOne<Ceil>())
    MLXNX_ROW(copy, OfOne<Copy>())
    MLXNX_ROW(cos, OfOne<VectorCos>())
    MLXNX_ROW(erf, OfOne<VectorErf>())
    MLXNX_ROW(erf_inv, OfOne<VectorErfinv>())
    MLXNX_ROW(exp, OfOne<VectorExp>())
    MLXNX_ROW(expm1, OfOne<VectorExpm1>())
    MLXNX_ROW(floor, OfOne<Floor>())
    MLXNX_ROW(isfinite, OfOne<IsFinite>())
    MLXNX_ROW(isinf, OfOne<IsInf>())
    MLXNX_ROW(isnan, OfOne<IsNan>())
    MLXNX_ROW(log, OfOne<VectorLog>())
    MLXNX_ROW(log1p, OfOne<VectorLog1p>())
    MLXNX_ROW(negative, OfOne<Negative>())
    MLXNX_ROW(rsqrt, OfOne<Rsqrt>())
    MLXNX_ROW(sigmoid, OfOne<VectorSigmoid>())
    MLXNX_ROW(sin, OfOne<VectorSin>())
    MLXNX_ROW(sqrt, OfOne<Sqrt>())
    MLXNX_ROW(square, OfOne<Square>())
    MLXNX_ROW(tanh, OfOne<VectorTanh>())
    MLXNX_ROW(add, OfTwo<Add>(false))
    MLXNX_ROW(divide, OfTwo<Divide>(is_turned))
    MLXNX_ROW(equal, OfTwo<Equal>(false))
    MLXNX_ROW(greater, is_turned ? OfTwo<Less>(false) : OfTwo<Greater>(false))
    MLXNX_ROW(greater_equal, is_turned ? OfTwo<LessEqual>(false) : OfTwo<GreaterEqual>(false))
    MLXNX_ROW(less, is_turned ? OfTwo<Greater>(false) : OfTwo<Less>(false))
    MLXNX_ROW(less_equal, is_turned ? OfTwo<GreaterEqual>(false) : OfTwo<LessEqual>(false))
    MLXNX_ROW(maximum, OfTwo<Maximum>(is_turned))
    MLXNX_ROW(minimum, OfTwo<Minimum>(is_turned))
    MLXNX_ROW(multiply, OfTwo<Multiply>(false))
    MLXNX_ROW(not_equal, OfTwo<NotEqual>(false))
    MLXNX_ROW(subtract, OfTwo<Subtract>(is_turned))
    default:
      return nullptr;
  }
}
#undef MLXNX_ROW

Chain::Stage FindStage(const Step& step, bool is_turned) {
  const bool of_truths = step.type == Type::kBool;
  if (step.function == Function::k_select) return Opaque(&Select);
  if (step.function != Function::k_cast)
    return of_truths ? OfTruths(step.function) : OfNumbers(step.function, is_turned);
  if (of_truths == (step.result == Type::kBool)) return OfOne<Copy>();
  return of_truths ? OfOne<One>() : OfOne<IsNotZero>();
}

Chain::Stage FindLoad(Type type) {
  switch (type) {
    case Type::kBool:
      return Opaque(&LoadPacked<Truths>);
    case Type::kF16:
      return Opaque(&LoadPacked<F16s>);
    case Type::kBf16:
      return Opaque(&LoadPacked<Bf16s>);
    default:
      return Opaque(&Load);
  }
}
Chain::Stage FindStore(Type type) {
  switch (type) {
    case Type::kBool:
      return Opaque(&StorePacked<Truths>);
    case Type::kF16:
      return Opaque(&StorePacked<F16s>);
    case Type::kBf16:
      return Opaque(&StorePacked<Bf16s>);
    default:
      return Opaque(&Store);
  }
}
Chain::Stage FindRounding(Type half) {
  return half == Type::kF16 ? OfOne<Rounding<F16s>>() : OfOne<Rounding<Bf16s>>();
}

void RunBlocks(const Call* calls, const Place* places, std::size_t count) {
  const auto first = reinterpret_cast<Stage>(calls->stage);
  const V none = hn::Zero(DF());
  for (std::size_t at = 0; at < count; at += kBlock)
    first(calls, places, at, none, none, none, none);
}

Chain::Target TheTarget() {
  return {.stage = &FindStage,
          .load = &FindLoad,
          .store = &FindStore,
          .rounding = &FindRounding,
          .kernel = Opaque(&ByKernel),
          .end = Opaque(&End),
          .run = &RunBlocks,
          .block = kBlock};
}

#else
Chain::Target TheTarget() { return {}; }
#endif

}  // namespace HWY_NAMESPACE
}  // namespace mlxnx::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace mlxnx::kernels {

HWY_EXPORT(TheTarget);

namespace {

bool is_number(Type type) { return type == Type::kF32 || is_half(type); }
bool is_held(Type type) { return is_number(type) || type == Type::kBool; }

// A program's stages, one after the other. What a step makes is in registers when the next step
// begins, and is stored where another one reads it.
class Stages {
 public:
  Stages(const Program& program, const Chain::Target& target)
      : program_(program),
        target_(target),
        given_(program.inputs.size()),
        values_(given_ + program.steps.size()) {}

  // False where some step has none.
  bool find() {
    // Where stages are no jumps each is a call within the one before.
    constexpr std::size_t kMost = 512;
    const auto is_step = [this](std::uint16_t value) { return value >= given_; };
    if (!std::ranges::all_of(program_.inputs, is_held) || program_.steps.size() > kMost ||
        !std::ranges::all_of(program_.results, is_step) || !find_forms())
      return false;
    unpack_inputs();
    for (std::size_t i = 0; i < forms_.size(); ++i) add_step(i);
    add(target_.end);
    return true;
  }

  std::vector<Chain::Call> calls;
  std::size_t unpacked = 0;  // inputs that have a block of f32 behind the places of results

 private:
  struct Form {
    Chain::Stage stage = nullptr;
    Kernel kernel = nullptr;  // where there is no stage
    int held = 0;             // the operand that comes in registers; -1: none does
  };

  std::optional<Form> form(std::size_t i) const {
    const Step& step = program_.steps[i];
    if (!is_held(step.type) || !is_held(step.result)) return std::nullopt;
    const auto was_made_before = [&](std::size_t k) {
      return i > 0 && step.operands[k] == given_ + i - 1;
    };
    const bool is_turned =
        operand_count(step.function) == 2 && was_made_before(1) && !was_made_before(0);
    if (const Chain::Stage stage = target_.stage(step, is_turned))
      return Form{.stage = stage, .held = is_turned ? 1 : 0};
    const Kernel kernel = kernel_of(step.function, Type::kF32);
    if (!is_number(step.type) || !is_number(step.result) || kernel == nullptr) return std::nullopt;
    return Form{.kernel = kernel, .held = -1};
  }

  // Of all steps, and which values they read from memory.
  bool find_forms() {
    is_read_.assign(values_, false);
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const std::optional<Form> form = this->form(i);
      if (!form) return false;
      const Step& step = program_.steps[i];
      for (int k = 0; k < operand_count(step.function); ++k) {
        const std::uint16_t operand = step.operands[static_cast<std::size_t>(k)];
        const bool is_input = operand < given_;
        if (k != form->held || (!is_input && operand + std::size_t{1} != given_ + i))
          is_read_[operand] = true;
      }
      forms_.push_back(*form);
    }
    return true;
  }

  // Those of fewer bits that steps read from memory.
  void unpack_inputs() {
    for (std::size_t i = 0; i < values_; ++i) {
      places_.push_back(static_cast<std::uint16_t>(i));
      if (i >= given_ || !is_read_[i] || program_.inputs[i] == Type::kF32) continue;
      load(static_cast<std::uint16_t>(i));
      places_[i] = static_cast<std::uint16_t>(values_ + program_.results.size() + unpacked++);
      add(target_.store(Type::kF32), {places_[i]});
    }
  }

  void add_step(std::size_t i) {
    const Step& step = program_.steps[i];
    const Form& form = forms_[i];
    const auto value = static_cast<std::uint16_t>(given_ + i);
    std::array<std::uint16_t, 3> in_memory{};
    std::size_t count = 0;
    for (int k = 0; k < operand_count(step.function); ++k) {
      const std::uint16_t operand = step.operands[static_cast<std::size_t>(k)];
      if (k == form.held) {
        load(operand);
      } else {
        in_memory[count++] = places_[operand];
      }
    }
    if (form.kernel != nullptr) {
      in_memory[2] = value;
      calls.push_back({target_.kernel, in_memory, form.kernel});
    } else {
      add(form.stage, in_memory);
    }
    const bool rounds = is_half(step.result) && step.function != Function::k_select;
    if (rounds) add(target_.rounding(step.result));
    if (is_read_[value] && (form.kernel == nullptr || rounds))
      add(target_.store(Type::kF32), {value});
    held_ = value;
    for (std::size_t r = 0; r < program_.results.size(); ++r) {
      if (program_.results[r] == value)
        add(target_.store(step.result), {static_cast<std::uint16_t>(values_ + r)});
    }
  }

  void load(std::uint16_t value) {
    if (held_ == value) return;
    const bool is_packed = value < given_ && places_[value] == value;
    add(target_.load(is_packed ? program_.inputs[value] : Type::kF32), {places_[value]});
    held_ = value;
  }

  void add(Chain::Stage stage, std::array<std::uint16_t, 3> places = {}) {
    calls.push_back({stage, places, nullptr});
  }

  const Program& program_;
  const Chain::Target& target_;
  const std::size_t given_, values_;
  std::vector<Form> forms_;            // of each step
  std::vector<bool> is_read_;          // of each value, from memory
  std::vector<std::uint16_t> places_;  // of each value, to be read as f32
  std::optional<std::uint16_t> held_;
};

}  // namespace

std::optional<Chain> Chain::of(const Program& program) {
  const Target target = HWY_DYNAMIC_DISPATCH(TheTarget)();
  if (target.block == 0) return std::nullopt;
  Stages stages(program, target);
  if (!stages.find()) return std::nullopt;
  Chain chain;
  chain.calls_ = std::move(stages.calls);
  chain.inputs_ = program.inputs;
  for (const std::uint16_t value : program.results)
    chain.results_.push_back(program.type_of(value));
  chain.steps_ = program.steps.size();
  chain.unpacked_ = stages.unpacked;
  chain.block_ = target.block;
  chain.run_ = target.run;
  return chain;
}

std::size_t Chain::spare_blocks() const { return inputs_.size() + results_.size() + unpacked_; }

void Chain::run(std::span<const Place> places, std::size_t count, std::byte* spare) const {
  const auto block = [&] {
    const Place place{spare, 0};
    spare += block_ * sizeof(float);
    return place;
  };
  InlineVector<Place, 32> all(places);
  for (std::size_t i = 0; i < unpacked_; ++i) all.push_back(block());
  const std::size_t whole = count / block_ * block_, rest = count - whole;
  run_(calls_.data(), all.data(), whole);
  if (rest == 0) return;
  // What is left goes through a block of its own.
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (places[i].moves == 0) continue;
    all[i] = block();
    std::memcpy(all[i].base, places[i].base + whole * size_of(inputs_[i]),
                rest * size_of(inputs_[i]));
  }
  const std::size_t before = inputs_.size() + steps_;
  for (std::size_t r = 0; r < results_.size(); ++r) all[before + r] = block();
  run_(calls_.data(), all.data(), block_);
  for (std::size_t r = 0; r < results_.size(); ++r) {
    std::memcpy(places[before + r].base + whole * size_of(results_[r]), all[before + r].base,
                rest * size_of(results_[r]));
  }
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
