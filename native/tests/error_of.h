// The text of an error that is wanted.
#pragma once

#include <gtest/gtest.h>

#include <exception>
#include <string>

namespace mlxnx::testing_support {

/// What the error says that `function` throws, which is an `Error`.
template <typename Error, typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const std::exception& error) {
    EXPECT_NE(dynamic_cast<const Error*>(&error), nullptr) << "another class: " << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace mlxnx::testing_support
