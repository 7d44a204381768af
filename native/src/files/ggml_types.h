// The numbers and names that ggml gives to element types.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "files/stored.h"

namespace mlxnx::files {

struct GgmlType {
  std::uint32_t number;
  std::string_view name;
  std::optional<StoredType> stored;  ///< none: the type is known and not read
};

inline constexpr std::array kGgmlTypes = {
    GgmlType{0, "F32", StoredType::kF32},        GgmlType{1, "F16", StoredType::kF16},
    GgmlType{2, "Q4_0", StoredType::kQ4_0},      GgmlType{3, "Q4_1", StoredType::kQ4_1},
    GgmlType{4, "Q4_2", std::nullopt},           GgmlType{5, "Q4_3", std::nullopt},
    GgmlType{6, "Q5_0", StoredType::kQ5_0},      GgmlType{7, "Q5_1", StoredType::kQ5_1},
    GgmlType{8, "Q8_0", StoredType::kQ8_0},      GgmlType{9, "Q8_1", std::nullopt},
    GgmlType{10, "Q2_K", StoredType::kQ2_K},     GgmlType{11, "Q3_K", StoredType::kQ3_K},
    GgmlType{12, "Q4_K", StoredType::kQ4_K},     GgmlType{13, "Q5_K", StoredType::kQ5_K},
    GgmlType{14, "Q6_K", StoredType::kQ6_K},     GgmlType{15, "Q8_K", std::nullopt},
    GgmlType{16, "IQ2_XXS", std::nullopt},       GgmlType{17, "IQ2_XS", std::nullopt},
    GgmlType{18, "IQ3_XXS", std::nullopt},       GgmlType{19, "IQ1_S", std::nullopt},
    GgmlType{20, "IQ4_NL", StoredType::kIQ4_NL}, GgmlType{21, "IQ3_S", std::nullopt},
    GgmlType{22, "IQ2_S", std::nullopt},         GgmlType{23, "IQ4_XS", StoredType::kIQ4_XS},
    GgmlType{24, "I8", StoredType::kS8},         GgmlType{25, "I16", StoredType::kS16},
    GgmlType{26, "I32", StoredType::kS32},       GgmlType{27, "I64", StoredType::kS64},
    GgmlType{28, "F64", StoredType::kF64},       GgmlType{29, "IQ1_M", std::nullopt},
    GgmlType{30, "BF16", StoredType::kBF16},     GgmlType{31, "Q4_0_4_4", std::nullopt},
    GgmlType{32, "Q4_0_4_8", std::nullopt},      GgmlType{33, "Q4_0_8_8", std::nullopt},
    GgmlType{34, "TQ1_0", std::nullopt},         GgmlType{35, "TQ2_0", std::nullopt},
    GgmlType{36, "IQ4_NL_4_4", std::nullopt},    GgmlType{37, "IQ4_NL_4_8", std::nullopt},
    GgmlType{38, "IQ4_NL_8_8", std::nullopt},    GgmlType{39, "MXFP4", StoredType::kMXFP4},
    GgmlType{40, "NVFP4", StoredType::kNVFP4},   GgmlType{41, "Q1_0", std::nullopt},
};

}  // namespace mlxnx::files
