#include "base/json.h"

#include <set>
#include <utility>

#include "base/file.h"
#include "base/status_macros.h"

namespace dragoman {
namespace {

// SAX handler that builds the value and enforces what nlohmann's parser does not: depth and
// duplicate keys.
class LimitedBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit LimitedBuilder(int max_depth) : max_depth_(max_depth) {}

  bool null() override { return Add(Json(nullptr)); }
  bool boolean(bool value) override { return Add(Json(value)); }
  bool number_integer(number_integer_t value) override { return Add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Add(Json(value)); }
  bool number_float(number_float_t value, const string_t&) override { return Add(Json(value)); }
  bool string(string_t& value) override { return Add(Json(std::move(value))); }
  bool binary(binary_t&) override { return Fail("binary value"); }
  bool start_object(size_t) override { return Push(Json::object()); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      return Fail(absl::StrCat("duplicate key \"", name.substr(0, 80), "\""));
    }
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return Pop(); }
  bool start_array(size_t) override { return Push(Json::array()); }
  bool end_array() override { return Pop(); }
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    return Fail(absl::StrCat("syntax error at byte ", position, ": ",
                             std::string(error.what()).substr(0, 160)));
  }

  Json& root() { return root_; }
  const std::string& error() const { return error_; }

 private:
  bool Fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
    return false;
  }
  Json* Place(Json&& value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *stack_.back();
    if (parent.is_object()) {
      parent.push_back(Json::object_t::value_type(key_, std::move(value)));
      return &parent.at(key_);
    }
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool Add(Json&& value) {
    Place(std::move(value));
    return true;
  }
  bool Push(Json&& value) {
    if (static_cast<int>(stack_.size()) >= max_depth_) {
      return Fail(absl::StrCat("nesting deeper than ", max_depth_));
    }
    // A later sibling may move the parent's storage, never that of an open container: only the
    // innermost open container grows.
    stack_.push_back(Place(std::move(value)));
    keys_.emplace_back();
    return true;
  }
  bool Pop() {
    stack_.pop_back();
    keys_.pop_back();
    return true;
  }

  const int max_depth_;
  Json root_;
  std::vector<Json*> stack_;
  std::vector<std::set<std::string>> keys_;
  std::string key_;
  std::string error_;
};

absl::StatusOr<const Json*> Find(const Json& object, const std::string& field,
                                 const std::string& where) {
  if (!object.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": expected a JSON object"));
  }
  const auto it = object.find(field);
  if (it == object.end()) {
    return absl::NotFoundError(absl::StrCat(where, ": field \"", field, "\" is missing"));
  }
  return &*it;
}

absl::Status WrongType(const std::string& where, const std::string& field, const char* expected,
                       const Json& value) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": field \"", field, "\" must be ",
                                                 expected, ", is ", DumpJson(value).substr(0, 60)));
}

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON of ", text.size(), " bytes, limit ", limits.max_bytes));
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    return absl::InvalidArgumentError("JSON begins with a byte order mark; remove it");
  }
  LimitedBuilder builder(limits.max_depth);
  const bool parsed = Json::sax_parse(text.begin(), text.end(), &builder);
  if (!parsed || !builder.error().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("bad JSON: ", builder.error().empty() ? "syntax error" : builder.error()));
  }
  return std::move(builder.root());
}

absl::StatusOr<Json> ReadJsonFile(const std::string& path, const JsonLimits& limits) {
  DRAGOMAN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, limits.max_bytes));
  absl::StatusOr<Json> value = ParseJson(text, limits);
  if (!value.ok()) return AddContext(value.status(), path);
  return value;
}

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<int64_t> GetInt(const Json& object, const std::string& field,
                               const std::string& where, int64_t min, int64_t max) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json* value, Find(object, field, where));
  if (!value->is_number_integer()) return WrongType(where, field, "an integer", *value);
  const bool too_large =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t number = too_large ? INT64_MAX : value->get<int64_t>();
  if (too_large || number < min || number > max) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": field \"", field, "\" is ", DumpJson(*value), ", allowed ", min, " to ", max));
  }
  return number;
}

absl::StatusOr<double> GetDouble(const Json& object, const std::string& field,
                                 const std::string& where) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json* value, Find(object, field, where));
  if (!value->is_number()) return WrongType(where, field, "a number", *value);
  return value->get<double>();
}

absl::StatusOr<std::string> GetString(const Json& object, const std::string& field,
                                      const std::string& where) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json* value, Find(object, field, where));
  if (!value->is_string()) return WrongType(where, field, "a string", *value);
  return value->get<std::string>();
}

absl::StatusOr<bool> GetBool(const Json& object, const std::string& field,
                             const std::string& where) {
  DRAGOMAN_ASSIGN_OR_RETURN(const Json* value, Find(object, field, where));
  if (!value->is_boolean()) return WrongType(where, field, "true or false", *value);
  return value->get<bool>();
}

}  // namespace dragoman
