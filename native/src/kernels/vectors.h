// The kinds of vectors that kernels are compiled for: those whose sizes the compiler knows, and of
// these no two that would come to about the same code. Included before the rest of Highway.
#pragma once

#define HWY_DISABLED_TARGETS                                                                \
  (HWY_SSE2 | HWY_SSSE3 | HWY_AVX3_DL | HWY_AVX3_ZEN4 | HWY_AVX3_SPR | HWY_SVE | HWY_SVE2 | \
   HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#include "hwy/detect_targets.h"

// Older versions don't know all of them.
#ifndef HWY_SSE2
#define HWY_SSE2 0
#endif
#ifndef HWY_AVX3_ZEN4
#define HWY_AVX3_ZEN4 0
#endif
#ifndef HWY_AVX3_SPR
#define HWY_AVX3_SPR 0
#endif
