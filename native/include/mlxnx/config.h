// Settings of a model: a JSON object whose values are asked for by their types.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mlxnx {

/// An object of a `config.json`; what nobody asks for is kept. A value of null counts as absent.
/// Copies are cheap, and nothing changes but by `set`.
///
///     Config config = Config::parse(R"({"hidden_size": 576, "rope_theta": 1e5})");
///     config.get<std::int64_t>("hidden_size");             // 576
///     config.get<double>("rms_norm_eps", 1e-5);            // 1e-5
class Config {
 public:
  /// The object without members.
  Config();
  /// Throws: FormatError for anything but a JSON object, and one nested deeper than 64.
  static Config parse(std::string_view json);
  /// The same of a file, which the errors name. Throws: ArgumentError where it can't be read.
  static Config read(const std::filesystem::path& path);

  /// Whether there is such a member, and it is not null.
  bool contains(std::string_view key) const;
  /// Whether there is such a member, and it is null: Python's None, which is no default there.
  bool is_null(std::string_view key) const;
  std::vector<std::string> keys() const;

  /// The member as a T: bool, std::int64_t, double (also from an integer; "Infinity", "-Infinity"
  /// and "NaN" in `{"__float__": …}`), std::string, Config, or a vector of one of these. Null is
  /// false as a bool, and absent as anything else. Throws: FormatError that names the key where it
  /// is absent or something else.
  template <typename T>
  T get(std::string_view key) const;
  /// The same, or `absent` where there is no such member.
  template <typename T>
  T get(std::string_view key, T absent) const {
    const bool is_told = contains(key) || (std::is_same_v<T, bool> && is_null(key));
    return is_told ? get<T>(key) : absent;
  }

  /// Puts a value under a key: of the types of `get`.
  template <typename T>
  void set(std::string_view key, const T& value);
  /// Puts what `other` has under a key there, of whatever type; `from` is its key in `other` if it
  /// is another one.
  void set_from(std::string_view key, const Config& other, std::string_view from = {});
  void erase(std::string_view key);
  /// Whether the member is an object, or a list.
  bool holds_object(std::string_view key) const;
  bool holds_list(std::string_view key) const;

  /// The object as JSON with its keys in order: in one line, or with `indent` spaces per level.
  std::string to_json(int indent = -1) const;

  struct Value;

 private:
  explicit Config(std::shared_ptr<const Value> value);
  Value& own();
  std::shared_ptr<const Value> value_;
};

}  // namespace mlxnx
