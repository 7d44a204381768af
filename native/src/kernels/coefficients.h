// Coefficients of approximations by polynomials and their quotients.
#pragma once

#include <array>

// None is inline: what those hold the compiler would have read from memory.
namespace mlxnx::kernels {

/// erf(x) / x as a quotient in powers of x^2 on [0, 16], for f32: weighted least squares, relative
/// error 3e-8 before rounding. All coefficients are positive, so nothing cancels.
[[maybe_unused]] constexpr std::array kErfNumerator = {
    1.1283791395351574,    0.19353771556256485,    0.053100471006893295,
    0.0038829378365532853, 0.00028454223304736834, 1.9866576604435362e-06,
};
[[maybe_unused]] constexpr std::array kErfDenominator = {
    1.0,
    0.5048508936280356,
    0.11534668801397542,
    0.01520645873103213,
    0.001185444784093139,
    3.7417620413898964e-05,
};

/// tanh(x) / x likewise on [0, 81]: relative error 2.1e-8 before rounding.
[[maybe_unused]] constexpr std::array kTanhNumerator = {
    0.9999999794518317,     0.13381026554067682,    0.003495589196285292,
    2.0609098975520016e-05, 1.3354682565778725e-08,
};
[[maybe_unused]] constexpr std::array kTanhDenominator = {
    1.0, 0.46714342147200955, 0.0258769863141687, 0.00032856365286004253, 7.776567361829221e-07,
};

/// erf_inv(x) / x in powers of w - 2.5 where w = -log(1 - x^2) is below 5, and in those of
/// sqrt(w) - 3 from there on. Giles, "Approximating the erfinv function" (2010), single precision;
/// Nx's reference takes these for f64 too, whose results are good to 1e-7 only, as they are there.
[[maybe_unused]] constexpr std::array kErfInvCentre = {
    1.50140941,     0.246640727,   -0.00417768164, -0.00125372503, 0.00021858087,
    -4.39150654e-6, -3.5233877e-6, 3.43273939e-7,  2.81022636e-8,
};
[[maybe_unused]] constexpr std::array kErfInvTail = {
    2.83297682,     1.00167406,    0.00943887047,  -0.0076224613,   0.00573950773,
    -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257,
};

}  // namespace mlxnx::kernels
