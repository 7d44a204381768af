// What the sanitizers are told when the tests run under one. libmlx comes as a binary that is not
// instrumented.

extern "C" {

// ThreadSanitizer sees libmlx's mutexes but not its reference counts, and takes the last release of
// what two threads shared for a race.
const char* __tsan_default_suppressions();
const char* __tsan_default_suppressions() { return "race:libmlx.so\n"; }
}
