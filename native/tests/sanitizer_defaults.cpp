// What the sanitizers are told when the tests run under one. libmlx comes as a binary that is not
// instrumented.

extern "C" {

// What libmlx's kernels allocate for themselves and lose. A tensor that we lose is more than its
// elements: its handle, which is ours, is still reported.
const char* __lsan_default_suppressions();
const char* __lsan_default_suppressions() {
  return "leak:mlx::core::allocator::CommonAllocator::malloc\n";
}

// ThreadSanitizer sees libmlx's mutexes but not its reference counts, and takes the last release of
// what two threads shared for a race.
const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() { return "race:libmlx.so\n"; }
}
