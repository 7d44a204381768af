#include "mlxnx/config.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "files/json_file.h"
#include "mlxnx/error.h"

namespace mlxnx {

struct Config::Value {
  nlohmann::json json = nlohmann::json::object();
  std::string file = "";  ///< that it was read from, for errors
};

namespace {

using nlohmann::json;

template <typename T>
struct Reader;

template <>
struct Reader<bool> {
  static constexpr const char* kWanted = "true or false";
  static bool fits(const json& value) { return value.is_boolean(); }
  static bool read(const json& value) { return value.get<bool>(); }
};
template <>
struct Reader<std::int64_t> {
  static constexpr const char* kWanted = "an integer";
  // A float without a fraction is what some writers make of integers.
  static bool fits(const json& value) {
    if (value.is_number_unsigned()) return std::in_range<std::int64_t>(value.get<std::uint64_t>());
    if (value.is_number_integer()) return true;
    return value.is_number_float() && value.get<double>() == static_cast<double>(read(value));
  }
  static std::int64_t read(const json& value) {
    constexpr double kMost = 9007199254740992;  // 2^53
    if (!value.is_number_float()) return value.get<std::int64_t>();
    const double number = value.get<double>();
    return number > -kMost && number < kMost ? static_cast<std::int64_t>(number) : 0;
  }
};
template <>
struct Reader<double> {
  static constexpr const char* kWanted = "a number";
  static constexpr std::pair<std::string_view, double> kWords[] = {
      {"Infinity", std::numeric_limits<double>::infinity()},
      {"-Infinity", -std::numeric_limits<double>::infinity()},
      {"NaN", std::numeric_limits<double>::quiet_NaN()}};
  static const double* word(const json& value) {
    if (!value.is_object() || value.size() != 1) return nullptr;
    const auto text = value.find("__float__");
    if (text == value.end() || !text->is_string()) return nullptr;
    for (const auto& [name, number] : kWords) {
      if (text->get_ref<const std::string&>() == name) return &number;
    }
    return nullptr;
  }
  static bool fits(const json& value) { return value.is_number() || word(value) != nullptr; }
  static double read(const json& value) {
    const double* named = word(value);
    return named != nullptr ? *named : value.get<double>();
  }
};
template <>
struct Reader<std::string> {
  static constexpr const char* kWanted = "a text";
  static bool fits(const json& value) { return value.is_string(); }
  static std::string read(const json& value) { return value.get<std::string>(); }
};

}  // namespace

Config::Config() : value_(std::make_shared<Value>()) {}
Config::Config(std::shared_ptr<const Value> value) : value_(std::move(value)) {}

namespace {

void require_object(const json& value) {
  if (!value.is_object()) throw FormatError(files::shown(value) + " is no object");
}

}  // namespace

Config Config::parse(std::string_view text) {
  Value value{files::parse_python_json(text)};
  require_object(value.json);
  return Config(std::make_shared<const Value>(std::move(value)));
}

Config Config::read(const std::filesystem::path& path) {
  constexpr std::uint64_t kMostBytes = 4 << 20;
  Value value{
      files::read_json(path, "config", kMostBytes, files::kMostDepth, files::parse_python_json),
      path.string()};
  files::naming_file("config", path, [&] { require_object(value.json); });
  return Config(std::make_shared<const Value>(std::move(value)));
}

bool Config::contains(std::string_view key) const {
  const auto found = value_->json.find(key);
  return found != value_->json.end() && !found->is_null();
}

bool Config::is_null(std::string_view key) const {
  const auto found = value_->json.find(key);
  return found != value_->json.end() && found->is_null();
}

std::vector<std::string> Config::keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : value_->json.items()) {
    if (!value.is_null()) keys.push_back(key);
  }
  return keys;
}

namespace {

// "[config] what is wrong", with the file in between if it is known.
[[noreturn]] void fail(const std::string& file, const std::string& what) {
  throw FormatError(fmt::format("[config] {}{}{}", file, file.empty() ? "" : ": ", what));
}

const json& member(const Config::Value& value, std::string_view key) {
  const auto found = value.json.find(key);
  if (found == value.json.end() || found->is_null())
    fail(value.file, fmt::format("{:?} is missing", key));
  return *found;
}

// The member, for whoever wants to know what it is.
struct Member {
  Member(const Config::Value& object, std::string_view key)
      : json(member(object, key)), key(key), file(object.file) {}
  [[noreturn]] void refuse(const nlohmann::json& part, std::string_view wanted) const {
    fail(file, fmt::format("{:?} is {}, and {} is wanted", key, files::shown(part), wanted));
  }
  const nlohmann::json& json;
  std::string_view key;
  const std::string& file;
};

template <typename T>
T read_as(const Member& member, const json& value) {
  if (!Reader<T>::fits(value)) member.refuse(value, Reader<T>::kWanted);
  return Reader<T>::read(value);
}

template <typename T>
std::vector<T> read_list(const Member& member) {
  if (!member.json.is_array()) member.refuse(member.json, "a list");
  std::vector<T> values;
  for (const json& element : member.json) values.push_back(read_as<T>(member, element));
  return values;
}

template <typename T>
constexpr bool kIsList = false;
template <typename T>
constexpr bool kIsList<std::vector<T>> = true;

}  // namespace

template <typename T>
T Config::get(std::string_view key) const {
  if constexpr (std::is_same_v<T, bool>) {
    if (is_null(key)) return false;
  }
  const Member found(*value_, key);
  const auto object = [&](const json& value) {
    return Config(std::make_shared<const Value>(Value{value, value_->file}));
  };
  if constexpr (std::is_same_v<T, Config>) {
    if (!found.json.is_object()) found.refuse(found.json, "an object");
    return object(found.json);
  } else if constexpr (std::is_same_v<T, std::vector<Config>>) {
    const bool is_list = found.json.is_array();
    if (!is_list || !std::ranges::all_of(found.json, &json::is_object))
      found.refuse(found.json, "a list of objects");
    T values;
    for (const json& element : found.json) values.push_back(object(element));
    return values;
  } else if constexpr (kIsList<T>) {
    return read_list<typename T::value_type>(found);
  } else {
    return read_as<T>(found, found.json);
  }
}

template <typename T>
void Config::set(std::string_view key, const T& value) {
  if constexpr (std::is_same_v<T, Config>) {
    own().json[std::string(key)] = value.value_->json;
  } else {
    own().json[std::string(key)] = value;
  }
}

#define MLXNX_CONFIG_TYPE(T)                                                   \
  template T Config::get<T>(std::string_view) const;                           \
  template std::vector<T> Config::get<std::vector<T>>(std::string_view) const; \
  template void Config::set<T>(std::string_view, const T&);
MLXNX_CONFIG_TYPE(bool)
MLXNX_CONFIG_TYPE(std::int64_t)
MLXNX_CONFIG_TYPE(double)
MLXNX_CONFIG_TYPE(std::string)
MLXNX_CONFIG_TYPE(Config)
#undef MLXNX_CONFIG_TYPE
template void Config::set<std::vector<bool>>(std::string_view, const std::vector<bool>&);
template void Config::set<std::vector<std::int64_t>>(std::string_view,
                                                     const std::vector<std::int64_t>&);
template void Config::set<std::vector<double>>(std::string_view, const std::vector<double>&);
template void Config::set<std::vector<std::string>>(std::string_view,
                                                    const std::vector<std::string>&);

void Config::set_from(std::string_view key, const Config& other, std::string_view from) {
  const json value = member(*other.value_, from.empty() ? key : from);  // `other` may be this one
  own().json[std::string(key)] = value;
}

bool Config::holds_object(std::string_view key) const {
  return contains(key) && value_->json.find(key)->is_object();
}

bool Config::holds_list(std::string_view key) const {
  return contains(key) && value_->json.find(key)->is_array();
}

void Config::erase(std::string_view key) { own().json.erase(std::string(key)); }

std::string Config::to_json(int indent) const {
  return value_->json.dump(indent, ' ', false, json::error_handler_t::replace);
}

// Values that copies share are never changed.
Config::Value& Config::own() {
  auto mine = std::make_shared<Value>(*value_);
  Value& value = *mine;
  value_ = std::move(mine);
  return value;
}

}  // namespace mlxnx
