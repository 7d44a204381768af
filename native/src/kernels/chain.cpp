#include "kernels/chain.h"

#include <algorithm>
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

namespace chain {

using Call = Chain::Call;
using Place = Chain::Place;

// Highway's own is false for NaN in some versions.
HWY_INLINE hn::Mask<DF> Differ(V x, V y) { return hn::Not(hn::Eq(x, y)); }
// Truths are vectors whose bits are all set or none.
HWY_INLINE V AllOrNone(hn::Mask<DF> mask) { return hn::VecFromMask(DF(), mask); }

// ---- what lies in memory, a vector of it

struct Floats {
  using Number = float;
  static HWY_INLINE V Load(const Number* from) { return hn::LoadU(DF(), from); }
  static HWY_INLINE void Store(V x, Number* to) { hn::StoreU(x, DF(), to); }
};

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

// ---- functions, with the results of elementwise.cpp's to the last bit, which tests hold them to

#define MLXNX_F1(name, ...)                 \
  struct name {                             \
    static HWY_INLINE V Of(V x) __VA_ARGS__ \
  };
#define MLXNX_F2(name, ...)                      \
  struct name {                                  \
    static HWY_INLINE V Of(V x, V y) __VA_ARGS__ \
  };

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

template <typename Half>
struct Rounded {
  static HWY_INLINE V Of(V x) { return Half::Rounded(x); }
};

// ---- stages

template <typename T>
HWY_INLINE T* At(const Call* call, const Place* places, int operand, std::size_t at) {
  const Place& place = places[call->places[static_cast<std::size_t>(operand)]];
  return reinterpret_cast<T*>(place.base) + (at & place.moves);
}

// Of as many vectors as there are indices. The call of the next stage is the last thing that a
// stage does, so that it is a jump, and vectors stay where they are.
template <std::size_t... i>
struct Stages {
  template <std::size_t>
  using Vector = V;
  using Stage = void (*)(const Call*, const Place*, std::size_t, Vector<i>...);

  static constexpr std::size_t kBlock = sizeof...(i) * kLanes;

  static HWY_INLINE void Next(const Call* call, const Place* places, std::size_t at,
                              Vector<i>... x) {
    reinterpret_cast<Stage>(call[1].stage)(call + 1, places, at, x...);
  }

  template <typename Numbers>
  static void Load(const Call* call, const Place* places, std::size_t at, Vector<i>...) {
    const auto* const from = At<const typename Numbers::Number>(call, places, 0, at);
    Next(call, places, at, Numbers::Load(from + i * kLanes)...);
  }

  template <typename Numbers>
  static void Store(const Call* call, const Place* places, std::size_t at, Vector<i>... x) {
    auto* const to = At<typename Numbers::Number>(call, places, 0, at);
    (Numbers::Store(x, to + i * kLanes), ...);
    Next(call, places, at, x...);
  }

  template <typename F>
  static void Unary(const Call* call, const Place* places, std::size_t at, Vector<i>... x) {
    Next(call, places, at, F::Of(x)...);
  }

  template <typename F, bool is_turned>
  static void Binary(const Call* call, const Place* places, std::size_t at, Vector<i>... x) {
    const float* const from = At<const float>(call, places, 0, at);
    if constexpr (is_turned) {
      Next(call, places, at, F::Of(Floats::Load(from + i * kLanes), x)...);
    } else {
      Next(call, places, at, F::Of(x, Floats::Load(from + i * kLanes))...);
    }
  }

  static void Select(const Call* call, const Place* places, std::size_t at, Vector<i>... mask) {
    const float* const on_true = At<const float>(call, places, 0, at);
    const float* const on_false = At<const float>(call, places, 1, at);
    Next(call, places, at,
         hn::IfThenElse(hn::MaskFromVec(mask), Floats::Load(on_true + i * kLanes),
                        Floats::Load(on_false + i * kLanes))...);
  }

  // Of operands that lie in memory.
  static void ByKernel(const Call* call, const Place* places, std::size_t at, Vector<i>...) {
    const void* const operands[] = {At<const float>(call, places, 0, at),
                                    At<const float>(call, places, 1, at)};
    float* const made = At<float>(call, places, 2, at);
    call->kernel(operands, made, kBlock);
    Next(call, places, at, Floats::Load(made + i * kLanes)...);
  }

  static void End(const Call*, const Place*, std::size_t, Vector<i>...) {}

  static void Run(const Call* calls, const Place* places, std::size_t begin, std::size_t end) {
    const auto first = reinterpret_cast<Stage>(calls->stage);
    const V none = hn::Zero(DF());
    for (std::size_t at = begin; at < end; at += kBlock)
      first(calls, places, at, (static_cast<void>(i), none)...);
  }
};

// Twice as many take longer over memory.
using Block = Stages<0, 1, 2, 3>;

template <typename Stage>
Chain::Stage Opaque(Stage stage) {
  return reinterpret_cast<Chain::Stage>(stage);
}
template <typename F>
Chain::Stage OfOne() {
  return Opaque(&Block::Unary<F>);
}
template <typename F>
Chain::Stage OfTwo(bool is_turned) {
  return Opaque(is_turned ? &Block::Binary<F, true> : &Block::Binary<F, false>);
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
  if (step.function == Function::k_select) return Opaque(&Block::Select);
  if (step.function != Function::k_cast)
    return of_truths ? OfTruths(step.function) : OfNumbers(step.function, is_turned);
  if (of_truths == (step.result == Type::kBool)) return OfOne<Copy>();
  return of_truths ? OfOne<One>() : OfOne<IsNotZero>();
}

// What `find` answers for how `type` lies in memory.
template <typename Find>
Chain::Stage AsStored(Type type, Find find) {
  switch (type) {
    case Type::kBool:
      return find(Truths());
    case Type::kF16:
      return find(F16s());
    case Type::kBf16:
      return find(Bf16s());
    default:
      return find(Floats());
  }
}
Chain::Stage FindLoad(Type type) {
  return AsStored(type, []<typename T>(T) { return Opaque(&Block::Load<T>); });
}
Chain::Stage FindStore(Type type) {
  return AsStored(type, []<typename T>(T) { return Opaque(&Block::Store<T>); });
}
Chain::Stage FindRounding(Type half) {
  return half == Type::kF16 ? OfOne<Rounded<F16s>>() : OfOne<Rounded<Bf16s>>();
}

}  // namespace chain

Chain::Target TheTarget() {
  using namespace chain;
  return {.stage = &FindStage,
          .load = &FindLoad,
          .store = &FindStore,
          .rounding = &FindRounding,
          .kernel = Opaque(&Block::ByKernel),
          .end = Opaque(&Block::End),
          .run = &Block::Run,
          .block = Block::kBlock};
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
class Builder {
 public:
  Builder(const Program& program, const Chain::Target& target)
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
  Builder builder(program, target);
  if (!builder.find()) return std::nullopt;
  Chain chain;
  chain.calls_ = std::move(builder.calls);
  chain.inputs_ = program.inputs;
  for (const std::uint16_t value : program.results)
    chain.results_.push_back(program.type_of(value));
  chain.steps_ = program.steps.size();
  chain.unpacked_ = builder.unpacked;
  chain.block_ = target.block;
  chain.run_ = target.run;
  return chain;
}

void Chain::run(std::span<const Place> places, std::size_t count, bool may_compute_twice,
                std::byte* spare) const {
  const std::size_t whole = count / block_ * block_, rest = count - whole;
  run_(calls_.data(), places.data(), 0, whole);
  if (rest == 0) return;
  if (whole != 0 && may_compute_twice)
    return run_(calls_.data(), places.data(), count - block_, count);
  // What is left goes through a block of its own.
  InlineVector<Place, 32> all(places);
  const auto block = [&] {
    const Place place{spare, 0};
    spare += block_ * sizeof(float);
    return place;
  };
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (places[i].moves == 0) continue;
    all[i] = block();
    std::memcpy(all[i].base, places[i].base + whole * size_of(inputs_[i]),
                rest * size_of(inputs_[i]));
  }
  const std::size_t before = inputs_.size() + steps_;
  for (std::size_t r = 0; r < results_.size(); ++r) all[before + r] = block();
  run_(calls_.data(), all.data(), 0, block_);
  for (std::size_t r = 0; r < results_.size(); ++r) {
    std::memcpy(places[before + r].base + whole * size_of(results_[r]), all[before + r].base,
                rest * size_of(results_[r]));
  }
}

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
