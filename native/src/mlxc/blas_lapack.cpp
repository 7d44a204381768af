// The LAPACK names that libmlx imports, exported in front of the wheel's slow ones.
//
// Each function jumps through its slot and leaves registers and stack as the caller made them,
// which is right for any signature. A slot first leads to mlxnx_blas_first_use, which has all slots
// filled and jumps again. Only the integer argument registers are kept across that: Fortran passes
// everything by address, and the lengths of texts as integers.
// On CPUs other than these two libmlx keeps the LAPACK that it came with.

#include <array>
#include <atomic>
#include <cstddef>
#include <iterator>

#include "mlxc/blas_library.h"

#if defined(__x86_64__) || defined(__aarch64__)

using mlxnx::mlxc::blas_library;
using mlxnx::mlxc::LapackFunction;

using Slots = std::array<LapackFunction, std::size(mlxnx::mlxc::kLapackNames)>;

extern "C" {
[[gnu::visibility("hidden")]] void mlxnx_blas_first_use();
[[gnu::visibility("hidden")]] void mlxnx_blas_fill_slots() noexcept;
[[gnu::visibility("hidden")]] extern Slots mlxnx_blas_slots;
}

[[gnu::used]] constinit Slots mlxnx_blas_slots = [] {
  Slots slots;
  slots.fill(&mlxnx_blas_first_use);
  return slots;
}();

[[gnu::used]] void mlxnx_blas_fill_slots() noexcept {
  const Slots& functions = blas_library().lapack;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    std::atomic_ref(mlxnx_blas_slots[i]).store(functions[i], std::memory_order_release);
  }
}

#endif

// clang-format off
#if defined(__x86_64__)

// r11 holds the address of the slot. Seven saved registers and the return address keep the stack aligned to 16.
asm(R"(
.text
.type mlxnx_blas_first_use, @function
.globl mlxnx_blas_first_use
.hidden mlxnx_blas_first_use
mlxnx_blas_first_use:
  .cfi_startproc
  endbr64
  pushq %rdi
  pushq %rsi
  pushq %rdx
  pushq %rcx
  pushq %r8
  pushq %r9
  pushq %r11
  .cfi_adjust_cfa_offset 56
  call mlxnx_blas_fill_slots
  popq %r11
  popq %r9
  popq %r8
  popq %rcx
  popq %rdx
  popq %rsi
  popq %rdi
  .cfi_adjust_cfa_offset -56
  jmp *(%r11)
  .cfi_endproc
.size mlxnx_blas_first_use, . - mlxnx_blas_first_use

.set mlxnx_blas_slot, 0
.macro mlxnx_blas_forward name
  .p2align 4
  .type \name, @function
  .globl \name
\name:
  .cfi_startproc
  endbr64
  leaq mlxnx_blas_slots + 8 * mlxnx_blas_slot(%rip), %r11
  jmp *(%r11)
  .cfi_endproc
  .size \name, . - \name
  .set mlxnx_blas_slot, mlxnx_blas_slot + 1
.endm
)"
#define MLXNX_LAPACK(name) "mlxnx_blas_forward " #name "\n"
#include "mlxc/blas_symbols.def"
#undef MLXNX_LAPACK
);

#elif defined(__aarch64__)

// x16 holds the address of the slot. `hint #34` is `bti c`, which CPUs without it pass over.
asm(R"(
.text
.p2align 2
.type mlxnx_blas_first_use, %function
.globl mlxnx_blas_first_use
.hidden mlxnx_blas_first_use
mlxnx_blas_first_use:
  .cfi_startproc
  hint #34
  stp x29, x30, [sp, #-96]!
  .cfi_def_cfa_offset 96
  .cfi_offset 29, -96
  .cfi_offset 30, -88
  mov x29, sp
  stp x0, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  stp x6, x7, [sp, #64]
  str x16, [sp, #80]
  bl mlxnx_blas_fill_slots
  ldr x16, [sp, #80]
  ldp x6, x7, [sp, #64]
  ldp x4, x5, [sp, #48]
  ldp x2, x3, [sp, #32]
  ldp x0, x1, [sp, #16]
  ldp x29, x30, [sp], #96
  .cfi_def_cfa_offset 0
  .cfi_restore 29
  .cfi_restore 30
  ldar x17, [x16]
  br x17
  .cfi_endproc
.size mlxnx_blas_first_use, . - mlxnx_blas_first_use

.set mlxnx_blas_slot, 0
.macro mlxnx_blas_forward name
  .p2align 4
  .type \name, %function
  .globl \name
\name:
  .cfi_startproc
  hint #34
  adrp x16, mlxnx_blas_slots + 8 * mlxnx_blas_slot
  add x16, x16, :lo12:mlxnx_blas_slots + 8 * mlxnx_blas_slot
  ldar x17, [x16]
  br x17
  .cfi_endproc
  .size \name, . - \name
  .set mlxnx_blas_slot, mlxnx_blas_slot + 1
.endm
)"
#define MLXNX_LAPACK(name) "mlxnx_blas_forward " #name "\n"
#include "mlxc/blas_symbols.def"
#undef MLXNX_LAPACK
);

#endif
// clang-format on
