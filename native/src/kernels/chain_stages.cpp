#include <array>
#include <limits>

#include "kernels/chain.h"
#include "kernels/vectors.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/chain_stages.cpp"
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
using Source = Chain::Source;

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
MLXNX_F1(AsNumber, { return hn::And(x, hn::Set(DF(), 1.0F)); })
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
HWY_INLINE T* At(const Call* call, const Place* places, std::size_t operand, std::size_t at) {
  const Place& place = places[call->places[operand]];
  return reinterpret_cast<T*>(place.base) + (at & place.moves);
}

// Where a stage finds an operand: in the registers of the value at hand `x`, in those of the kept
// one, in memory, or as one number for all elements.
struct Held {
  static constexpr std::size_t kPlaces = 0;
  HWY_INLINE Held(const Call*, const Place*, std::size_t, std::size_t) {}
  HWY_INLINE V Get(std::size_t, V x, V) const { return x; }
};
struct Kept {
  static constexpr std::size_t kPlaces = 0;
  HWY_INLINE Kept(const Call*, const Place*, std::size_t, std::size_t) {}
  HWY_INLINE V Get(std::size_t, V, V kept) const { return kept; }
};
struct Memory {
  static constexpr std::size_t kPlaces = 1;
  HWY_INLINE Memory(const Call* call, const Place* places, std::size_t operand, std::size_t at)
      : from(At<const float>(call, places, operand, at)) {}
  HWY_INLINE V Get(std::size_t i, V, V) const { return Floats::Load(from + i * kLanes); }
  const float* from;
};
struct One {
  static constexpr std::size_t kPlaces = 1;
  HWY_INLINE One(const Call* call, const Place* places, std::size_t operand, std::size_t)
      : one(Number(*reinterpret_cast<const float*>(places[call->places[operand]].base))) {}
  HWY_INLINE V Get(std::size_t, V, V) const { return one; }
  V one;
};

// Of as many vectors as there are indices, and as many that are kept. The call of the next stage is
// the last thing that a stage does, so that it is a jump, and vectors stay where they are.
template <std::size_t... i>
struct Stages {
  template <std::size_t>
  using Vector = V;
  using Stage = void (*)(const Call*, const Place*, std::size_t, Vector<i>... x, Vector<i>... kept);

  static constexpr std::size_t kBlock = sizeof...(i) * kLanes;

  static HWY_INLINE void Next(const Call* call, const Place* places, std::size_t at, Vector<i>... x,
                              Vector<i>... kept) {
    reinterpret_cast<Stage>(call[1].stage)(call + 1, places, at, x..., kept...);
  }

  template <typename Numbers>
  static void Load(const Call* call, const Place* places, std::size_t at, Vector<i>...,
                   Vector<i>... kept) {
    const auto* const from = At<const typename Numbers::Number>(call, places, 0, at);
    Next(call, places, at, Numbers::Load(from + i * kLanes)..., kept...);
  }

  template <typename Numbers>
  static void Store(const Call* call, const Place* places, std::size_t at, Vector<i>... x,
                    Vector<i>... kept) {
    auto* const to = At<typename Numbers::Number>(call, places, 0, at);
    (Numbers::Store(x, to + i * kLanes), ...);
    Next(call, places, at, x..., kept...);
  }

  static void Keep(const Call* call, const Place* places, std::size_t at, Vector<i>... x,
                   Vector<i>...) {
    Next(call, places, at, x..., x...);
  }
  static void Take(const Call* call, const Place* places, std::size_t at, Vector<i>...,
                   Vector<i>... kept) {
    Next(call, places, at, kept..., kept...);
  }

  template <typename F>
  static void Unary(const Call* call, const Place* places, std::size_t at, Vector<i>... x,
                    Vector<i>... kept) {
    Next(call, places, at, F::Of(x)..., kept...);
  }

  template <typename F, typename First, typename Second>
  static void Binary(const Call* call, const Place* places, std::size_t at, Vector<i>... x,
                     Vector<i>... kept) {
    const First first(call, places, 0, at);
    const Second second(call, places, First::kPlaces, at);
    Next(call, places, at, F::Of(first.Get(i, x, kept), second.Get(i, x, kept))..., kept...);
  }

  template <typename OnTrue, typename OnFalse>
  static void Select(const Call* call, const Place* places, std::size_t at, Vector<i>... mask,
                     Vector<i>... kept) {
    const OnTrue on_true(call, places, 0, at);
    const OnFalse on_false(call, places, OnTrue::kPlaces, at);
    Next(call, places, at,
         hn::IfThenElse(hn::MaskFromVec(mask), on_true.Get(i, mask, kept),
                        on_false.Get(i, mask, kept))...,
         kept...);
  }

  // Of operands that lie in memory.
  static void ByKernel(const Call* call, const Place* places, std::size_t at, Vector<i>...,
                       Vector<i>... kept) {
    const void* const operands[] = {At<const float>(call, places, 0, at),
                                    At<const float>(call, places, 1, at)};
    float* const made = At<float>(call, places, 2, at);
    call->kernel(operands, made, kBlock);
    Next(call, places, at, Floats::Load(made + i * kLanes)..., kept...);
  }

  static void End(const Call*, const Place*, std::size_t, Vector<i>..., Vector<i>...) {}

  static void Run(const Call* calls, const Place* places, std::size_t begin, std::size_t end) {
    const auto first = reinterpret_cast<Stage>(calls->stage);
    const V none = hn::Zero(DF());
    for (std::size_t at = begin; at < end; at += kBlock)
      first(calls, places, at, (static_cast<void>(i), none)..., (static_cast<void>(i), none)...);
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

// What `find` answers for the type that a source is.
template <typename Find>
Chain::Stage FromSource(Source source, Find find) {
  switch (source) {
    case Source::kHeld:
      return find.template operator()<Held>();
    case Source::kMemory:
      return find.template operator()<Memory>();
    case Source::kOne:
      return find.template operator()<One>();
    case Source::kKept:
      return find.template operator()<Kept>();
  }
  return nullptr;
}

template <typename F>
Chain::Stage OfTwo(Source first, Source second) {
  return FromSource(first, [&]<typename First>() {
    return FromSource(second,
                      []<typename Second>() { return Opaque(&Block::Binary<F, First, Second>); });
  });
}

// By a mask that is held.
Chain::Stage OfSelect(Source on_true, Source on_false) {
  return FromSource(on_true, [&]<typename OnTrue>() {
    return FromSource(on_false,
                      []<typename OnFalse>() { return Opaque(&Block::Select<OnTrue, OnFalse>); });
  });
}

#define MLXNX_ROW(name, stage) \
  case Function::k_##name:     \
    return stage;

Chain::Stage OfTruth(Function function) {
  switch (function) {
    MLXNX_ROW(logical_not, OfOne<Not>())
    default:
      return nullptr;
  }
}

Chain::Stage OfTruths(Function function, Source first, Source second) {
  switch (function) {
    MLXNX_ROW(bitwise_and, OfTwo<And>(first, second))
    MLXNX_ROW(logical_and, OfTwo<And>(first, second))
    MLXNX_ROW(bitwise_or, OfTwo<Or>(first, second))
    MLXNX_ROW(logical_or, OfTwo<Or>(first, second))
    MLXNX_ROW(bitwise_xor, OfTwo<Xor>(first, second))
    MLXNX_ROW(not_equal, OfTwo<Xor>(first, second))
    MLXNX_ROW(equal, OfTwo<Same>(first, second))
    default:
      return nullptr;
  }
}

Chain::Stage OfNumber(Function function) {
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
    default:
      return nullptr;
  }
}

Chain::Stage OfNumbers(Function function, Source first, Source second) {
  switch (function) {
    MLXNX_ROW(add, OfTwo<Add>(first, second))
    MLXNX_ROW(divide, OfTwo<Divide>(first, second))
    MLXNX_ROW(equal, OfTwo<Equal>(first, second))
    MLXNX_ROW(greater, OfTwo<Greater>(first, second))
    MLXNX_ROW(greater_equal, OfTwo<GreaterEqual>(first, second))
    MLXNX_ROW(less, OfTwo<Less>(first, second))
    MLXNX_ROW(less_equal, OfTwo<LessEqual>(first, second))
    MLXNX_ROW(maximum, OfTwo<Maximum>(first, second))
    MLXNX_ROW(minimum, OfTwo<Minimum>(first, second))
    MLXNX_ROW(multiply, OfTwo<Multiply>(first, second))
    MLXNX_ROW(not_equal, OfTwo<NotEqual>(first, second))
    MLXNX_ROW(subtract, OfTwo<Subtract>(first, second))
    default:
      return nullptr;
  }
}
#undef MLXNX_ROW

Chain::Stage FindStage(const Step& step, const std::array<Source, 3>& from) {
  const bool of_truths = step.type == Type::kBool;
  if (operand_count(step.function) == 2) {
    return of_truths ? OfTruths(step.function, from[0], from[1])
                     : OfNumbers(step.function, from[0], from[1]);
  }
  if (from[0] != Source::kHeld) return nullptr;
  if (step.function == Function::k_select) return OfSelect(from[1], from[2]);
  if (step.function != Function::k_cast)
    return of_truths ? OfTruth(step.function) : OfNumber(step.function);
  if (of_truths == (step.result == Type::kBool)) return OfOne<Copy>();
  return of_truths ? OfOne<AsNumber>() : OfOne<IsNotZero>();
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
          .keep = Opaque(&Block::Keep),
          .take = Opaque(&Block::Take),
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
Chain::Target Chain::target() { return HWY_DYNAMIC_DISPATCH(TheTarget)(); }

}  // namespace mlxnx::kernels

#endif  // HWY_ONCE
