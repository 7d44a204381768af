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

MLXNX_STAGE(LoadTruths) {
  const std::uint8_t* const from = At<const std::uint8_t>(call, places, 0, at);
  const auto load = [&](int i) HWY_ATTR {
    const hn::Rebind<std::uint8_t, DI> bytes;
    const auto wide = hn::PromoteTo(DI(), hn::LoadU(bytes, from + i * kLanes));
    return hn::BitCast(DF(), hn::VecFromMask(DI(), hn::Ne(wide, hn::Zero(DI()))));
  };
  x0 = load(0);
  x1 = load(1);
  x2 = load(2);
  x3 = load(3);
  MLXNX_NEXT;
}

MLXNX_STAGE(StoreTruths) {
  std::uint8_t* const to = At<std::uint8_t>(call, places, 0, at);
  const auto store = [&](V x, int i) HWY_ATTR {
    const hn::Rebind<std::uint8_t, DI> bytes;
    const auto ones = hn::And(hn::BitCast(DI(), x), hn::Set(DI(), 1));
    hn::StoreU(hn::DemoteTo(bytes, ones), bytes, to + i * kLanes);
  };
  store(x0, 0);
  store(x1, 1);
  store(x2, 2);
  store(x3, 3);
  MLXNX_NEXT;
}

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

// Of operands of `type`; of casts, to the other one of the two.
Chain::Stage FindStage(Function function, Type type, bool is_turned) {
  using enum Function;
  if (function == k_select) return Opaque(&Select);
  if (type == Type::kBool) {
    switch (function) {
      case k_cast:
        return OfOne<One>();
      case k_logical_not:
        return OfOne<Not>();
      case k_bitwise_and:
      case k_logical_and:
        return OfTwo<And>(false);
      case k_bitwise_or:
      case k_logical_or:
        return OfTwo<Or>(false);
      case k_bitwise_xor:
      case k_not_equal:
        return OfTwo<Xor>(false);
      case k_equal:
        return OfTwo<Same>(false);
      default:
        return nullptr;
    }
  }
  switch (function) {
    case k_abs:
      return OfOne<Abs>();
    case k_cast:
      return OfOne<IsNotZero>();
    case k_ceil:
      return OfOne<Ceil>();
    case k_copy:
      return OfOne<Copy>();
    case k_cos:
      return OfOne<VectorCos>();
    case k_erf_inv:
      return OfOne<VectorErfinv>();
    case k_expm1:
      return OfOne<VectorExpm1>();
    case k_log1p:
      return OfOne<VectorLog1p>();
    case k_sin:
      return OfOne<VectorSin>();
    case k_erf:
      return OfOne<VectorErf>();
    case k_exp:
      return OfOne<VectorExp>();
    case k_floor:
      return OfOne<Floor>();
    case k_isfinite:
      return OfOne<IsFinite>();
    case k_isinf:
      return OfOne<IsInf>();
    case k_isnan:
      return OfOne<IsNan>();
    case k_log:
      return OfOne<VectorLog>();
    case k_negative:
      return OfOne<Negative>();
    case k_sigmoid:
      return OfOne<VectorSigmoid>();
    case k_tanh:
      return OfOne<VectorTanh>();
    case k_rsqrt:
      return OfOne<Rsqrt>();
    case k_sqrt:
      return OfOne<Sqrt>();
    case k_square:
      return OfOne<Square>();
    case k_add:
      return OfTwo<Add>(false);
    case k_divide:
      return OfTwo<Divide>(is_turned);
    case k_equal:
      return OfTwo<Equal>(false);
    case k_greater:
      return is_turned ? OfTwo<Less>(false) : OfTwo<Greater>(false);
    case k_greater_equal:
      return is_turned ? OfTwo<LessEqual>(false) : OfTwo<GreaterEqual>(false);
    case k_less:
      return is_turned ? OfTwo<Greater>(false) : OfTwo<Less>(false);
    case k_less_equal:
      return is_turned ? OfTwo<GreaterEqual>(false) : OfTwo<LessEqual>(false);
    case k_maximum:
      return OfTwo<Maximum>(is_turned);
    case k_minimum:
      return OfTwo<Minimum>(is_turned);
    case k_multiply:
      return OfTwo<Multiply>(false);
    case k_not_equal:
      return OfTwo<NotEqual>(false);
    case k_subtract:
      return OfTwo<Subtract>(is_turned);
    default:
      return nullptr;
  }
}

void RunBlocks(const Call* calls, const Place* places, std::size_t count) {
  const auto first = reinterpret_cast<Stage>(calls->stage);
  const V none = hn::Zero(DF());
  for (std::size_t at = 0; at < count; at += kBlock)
    first(calls, places, at, none, none, none, none);
}

Chain::Target TheTarget() {
  return {.stage = &FindStage,
          .load = Opaque(&Load),
          .load_truths = Opaque(&LoadTruths),
          .store = Opaque(&Store),
          .store_truths = Opaque(&StoreTruths),
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

bool is_held(Type type) { return type == Type::kF32 || type == Type::kBool; }

// A program's stages, one after the other. What a step makes is in registers when the next step
// begins, and is stored where another one reads it.
class Stages {
 public:
  Stages(const Program& program, const Chain::Target& target)
      : program_(program), target_(target), given_(program.inputs.size()) {}

  // False where some step has none.
  bool find() {
    // Where stages are no jumps each is a call within the one before.
    constexpr std::size_t kMost = 512;
    const auto is_step = [this](std::uint16_t value) { return value >= given_; };
    if (!std::ranges::all_of(program_.inputs, is_held) || program_.steps.size() > kMost ||
        !std::ranges::all_of(program_.results, is_step) || !find_forms())
      return false;
    for (std::size_t i = 0; i < forms_.size(); ++i) add_step(i);
    add(target_.end);
    return true;
  }

  std::vector<Chain::Call> calls;

 private:
  struct Form {
    Chain::Stage stage = nullptr;
    Kernel kernel = nullptr;  // where there is no stage
    int held = 0;             // the operand that comes in registers; -1: none does
  };

  Type type_of(std::uint16_t value) const { return program_.type_of(value); }

  std::optional<Form> form(std::size_t i) const {
    const Step& step = program_.steps[i];
    const int count = operand_count(step.function);
    if (!is_held(step.type) || !is_held(step.result)) return std::nullopt;
    if (step.function == Function::k_cast && step.type == step.result) return std::nullopt;
    const auto was_made_before = [&](std::size_t k) {
      return i > 0 && step.operands[k] == given_ + i - 1;
    };
    const bool is_turned = count == 2 && was_made_before(1) && !was_made_before(0);
    if (const Chain::Stage stage = target_.stage(step.function, step.type, is_turned))
      return Form{.stage = stage, .held = is_turned ? 1 : 0};
    const Kernel kernel = kernel_of(step.function, step.type);
    if (step.type != Type::kF32 || step.result != Type::kF32 || kernel == nullptr)
      return std::nullopt;
    return Form{.kernel = kernel, .held = -1};
  }

  // Of all steps, and which values they read from memory.
  bool find_forms() {
    is_read_.assign(given_ + program_.steps.size(), false);
    for (std::size_t i = 0; i < program_.steps.size(); ++i) {
      const std::optional<Form> form = this->form(i);
      if (!form) return false;
      const Step& step = program_.steps[i];
      for (int k = 0; k < operand_count(step.function); ++k) {
        const std::uint16_t operand = step.operands[static_cast<std::size_t>(k)];
        // Truths in memory are bytes.
        if (k != form->held && operand < given_ && type_of(operand) == Type::kBool) return false;
        if (k != form->held || operand + std::size_t{1} != given_ + i) is_read_[operand] = true;
      }
      forms_.push_back(*form);
    }
    return true;
  }

  void add_step(std::size_t i) {
    const Step& step = program_.steps[i];
    const Form& form = forms_[i];
    const auto value = static_cast<std::uint16_t>(given_ + i);
    std::array<std::uint16_t, 3> in_memory{};
    std::size_t count = 0;
    for (int k = 0; k < operand_count(step.function); ++k) {
      const std::uint16_t operand = step.operands[static_cast<std::size_t>(k)];
      if (k != form.held) {
        in_memory[count++] = operand;
      } else if (operand != held_) {
        add(operand < given_ && type_of(operand) == Type::kBool ? target_.load_truths
                                                                : target_.load,
            {operand});
      }
    }
    if (form.kernel != nullptr) {
      in_memory[2] = value;
      calls.push_back({target_.kernel, in_memory, form.kernel});
    } else {
      add(form.stage, in_memory);
      if (is_read_[value]) add(target_.store, {value});
    }
    held_ = value;
    for (std::size_t r = 0; r < program_.results.size(); ++r) {
      if (program_.results[r] != value) continue;
      add(step.result == Type::kBool ? target_.store_truths : target_.store,
          {static_cast<std::uint16_t>(given_ + program_.steps.size() + r)});
    }
  }

  void add(Chain::Stage stage, std::array<std::uint16_t, 3> places = {}) {
    calls.push_back({stage, places, nullptr});
  }

  const Program& program_;
  const Chain::Target& target_;
  const std::size_t given_;
  std::vector<Form> forms_;    // of each step
  std::vector<bool> is_read_;  // of each value, from memory
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
  chain.block_ = target.block;
  chain.run_ = target.run;
  return chain;
}

void Chain::run(std::span<const Place> places, std::size_t count, std::byte* spare) const {
  const std::size_t whole = count / block_ * block_, rest = count - whole;
  run_(calls_.data(), places.data(), whole);
  if (rest == 0) return;
  // What is left goes through a block of its own.
  InlineVector<Place, 32> of_rest;
  for (const Place& place : places) of_rest.push_back(place);
  const auto set_aside = [&](std::size_t value) {
    of_rest[value] = {spare, 0};
    spare += block_ * sizeof(float);
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (places[i].moves == 0) continue;
    set_aside(i);
    std::memcpy(of_rest[i].base, places[i].base + whole * size_of(inputs_[i]),
                rest * size_of(inputs_[i]));
  }
  const std::size_t before = inputs_.size() + steps_;
  for (std::size_t r = 0; r < results_.size(); ++r) set_aside(before + r);
  run_(calls_.data(), &of_rest[0], block_);
  for (std::size_t r = 0; r < results_.size(); ++r) {
    std::memcpy(places[before + r].base + whole * size_of(results_[r]), of_rest[before + r].base,
                rest * size_of(results_[r]));
  }
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
