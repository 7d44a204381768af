// Highway's words in builds without it: everything is compiled once, for the CPUs that all is
// compiled for.
#pragma once

#define HWY_BEFORE_NAMESPACE() static_assert(true)
#define HWY_AFTER_NAMESPACE() static_assert(true)
#define HWY_NAMESPACE plain
#define HWY_INLINE inline
#define HWY_ONCE 1
#define HWY_EXPORT(function) static_assert(true)
#define HWY_DYNAMIC_DISPATCH(function) plain::function
