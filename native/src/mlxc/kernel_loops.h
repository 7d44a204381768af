// Changes to the source of a fused kernel after which GCC makes vectors of its loops.
//
// MLX's loop over elements that lie one after the other misses only the word that outputs overlap
// no other element's inputs: an output may be an input's own memory, element by element. Its nest
// of loops over strides reads and writes through pointers that move by steps unknown to the
// compiler. It becomes one over rows of up to 256 elements, for which each input is brought into a
// row of its own unless it is one already; short rows stay as they were.
#pragma once

namespace mlxnx::mlxc {

/// Stands after MLX's declarations and before a kernel. MLX's own functions for single numbers have
/// branches, or look at bits through memory, which no vectors are made of.
constexpr const char* kKernelFunctions = R"(
namespace mlx::core::simd {
template <> inline Simd<float, 1> exp(Simd<float, 1> x) { return std::exp(x.value); }
template <> inline Simd<float, 1> erf(Simd<float, 1> x) { return std::erf(x.value); }
template <> inline Simd<float, 1> sin(Simd<float, 1> x) { return std::sin(x.value); }
template <> inline Simd<float, 1> cos(Simd<float, 1> x) { return std::cos(x.value); }
}
template <typename T>
inline const T* mlxnx_row(const T* from, int64_t stride, int count, T* row) {
  if (stride == 1) return from;
  const T first = *from;
  if (stride == 0) {
    for (int i = 0; i < count; ++i) row[i] = first;
  } else {
    for (int i = 0; i < count; ++i) row[i] = from[i * stride];
  }
  return row;
}
)";

/// A program for awk, from a kernel's source to its source. Whatever it does not know stays.
constexpr const char* kKernelLoops = R"awk(function rewrite(   i, loops, first, inner) {
  loops = 0
  for (i = 1; i <= n; i++) {
    if (line[i] ~ /^  for \(size_t i = 0; i < size; \+\+i\) \{$/) {
      line[i] = "#pragma GCC ivdep\n" line[i]
      break
    }
    if (line[i] ~ /^  for \(int i[0-9]+ = 0; /) {
      if (loops++ == 0) first = i
      inner = i
    }
  }
  if (loops > 0) tile(first, inner, loops - 1)
  else print_lines(1, n)
  n = 0
}
function print_lines(from, to,   i) {
  for (i = from; i <= to; i++) print line[i]
}
function tile(first, inner, axis,   i, parts, name, end, ins, outs, steps, in_of, type_of, out_of, body) {
  for (end = inner + 1; line[end] != "  }"; end++) {
    split(line[end], parts, " ")
    name = parts[4]
    if (line[end] ~ /^  [a-z0-9_]+ tmp_[A-Z]+ = \*[A-Z]+;$/) {
      gsub(/[*;]/, "", name)
      in_of[++ins] = name
      type_of[ins] = parts[1]
      body = body "  " parts[1] " tmp_" name " = in_" name "[i];\n"
    } else if (line[end] ~ /^  \*[A-Z]+\+\+ = tmp_[A-Z]+;$/) {
      name = parts[1]
      gsub(/[*+]/, "", name)
      out_of[++outs] = name
      body = body "  " name "[i] = tmp_" name ";\n"
    } else if (line[end] ~ /^  [A-Z]+ \+= [A-Z]+_strides\[[0-9]+\];$/) {
      steps++
    } else {
      body = body line[end] "\n"
    }
  }
  if (steps != ins || outs == 0) {
    print_lines(1, n)
    return
  }
  print_lines(1, first - 1)
  print "  if (shape[" axis "] >= 16) {"
  print_lines(first, inner - 1)
  print "  for (int start = 0; start < shape[" axis "]; start += 256) {"
  print "  const int count = shape[" axis "] - start < 256 ? shape[" axis "] - start : 256;"
  for (i = 1; i <= ins; i++) {
    name = in_of[i]
    print "  " type_of[i] " row_" name "[256];"
    print "  const " type_of[i] "* in_" name " ="
    print "      mlxnx_row(" name ", " name "_strides[" axis "], count, row_" name ");"
  }
  print "#pragma GCC ivdep"
  print "  for (int i = 0; i < count; ++i) {"
  printf "%s", body
  print "  }"
  for (i = 1; i <= ins; i++) print "  " in_of[i] " += count * " in_of[i] "_strides[" axis "];"
  for (i = 1; i <= outs; i++) print "  " out_of[i] " += count;"
  print "  }"
  print_lines(end + 1, n - 1)
  print "  } else {"
  print_lines(first, n - 1)
  print "  }"
  print line[n]
}
/^void / { inside = 1 }
!inside { print; next }
{ line[++n] = $0 }
/^}$/ { inside = 0; rewrite() }
END { print_lines(1, n) }
)awk";

}  // namespace mlxnx::mlxc
