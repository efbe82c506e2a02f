#include "server/security/token_file.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace dragoman::server {
namespace {

constexpr size_t kMaxRows = 100000;
constexpr size_t kMaxNameBytes = 64;
constexpr size_t kMaxSanBytes = 512;

bool IsName(const std::string& text) {
  if (text.empty() || text.size() > kMaxNameBytes) return false;
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') {
      return false;
    }
  }
  return true;
}

bool IsCredential(const std::string& text) {
  if (absl::StartsWith(text, "san:")) return text.size() > 4 && text.size() <= kMaxSanBytes;
  if (!absl::StartsWith(text, "sha256:") || text.size() != 7 + 64) return false;
  for (const char c : text.substr(7)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

absl::Status SetRoles(const std::string& text, ClientRow* row) {
  for (const auto& name : absl::StrSplit(text, ',')) {
    if (name == "translate") {
      row->translate = true;
    } else if (name == "operator") {
      row->is_operator = true;
    } else {
      return absl::InvalidArgumentError("a role is neither translate nor operator");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<int64_t>> ParseEnd(const std::string& text) {
  if (text == "-") return std::optional<int64_t>();
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) {
    return absl::InvalidArgumentError("the end of validity is not like 2027-01-31T00:00:00Z");
  }
  return std::optional<int64_t>(absl::ToUnixSeconds(time));
}

absl::Status ParseClass(const std::vector<std::string>& words, TokenFile* file) {
  if (words.size() < 2 || !IsName(words[1]) || words[1] == "default" || words[1] == "unlimited") {
    return absl::InvalidArgumentError("a class needs a name of its own");
  }
  QuotaClass quota;
  for (size_t i = 2; i < words.size(); ++i) {
    const std::vector<std::string> parts = absl::StrSplit(words[i], absl::MaxSplits('=', 1));
    uint32_t value = 0;
    if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &value)) {
      return absl::InvalidArgumentError("a limit of a class is not NAME=NUMBER");
    }
    if (parts[0] == "streams") {
      quota.streams = value;
    } else if (parts[0] == "starts") {
      quota.starts_per_second = value;
    } else if (parts[0] == "words") {
      quota.words_per_minute = value;
    } else {
      return absl::InvalidArgumentError("a limit of a class is none of streams, starts, words");
    }
  }
  if (!file->classes.emplace(words[1], quota).second) {
    return absl::InvalidArgumentError("the class is there twice");
  }
  return absl::OkStatus();
}

absl::Status ParseRow(const std::vector<std::string>& words, TokenFile* file) {
  if (words.size() != 6) {
    return absl::InvalidArgumentError(absl::StrCat("a row has 6 columns, this one ", words.size()));
  }
  if (!IsCredential(words[0])) {
    return absl::InvalidArgumentError(
        "the credential is neither sha256:<64 hex digits> nor san:...");
  }
  const std::string credential =
      absl::StartsWith(words[0], "sha256:") ? absl::AsciiStrToLower(words[0]) : words[0];
  ClientRow row;
  row.client = words[1];
  if (!IsName(row.client)) {
    return absl::InvalidArgumentError(
        "the client id is not of letters, digits, \"-\", \"_\", \".\"");
  }
  DRAGOMAN_RETURN_IF_ERROR(SetRoles(words[2], &row));
  row.quota_class = words[3];
  DRAGOMAN_ASSIGN_OR_RETURN(row.not_after, ParseEnd(words[4]));
  if (words[5] != "-") return absl::InvalidArgumentError("a flag is unknown");
  if (!file->rows.emplace(credential, std::move(row)).second) {
    return absl::InvalidArgumentError("the credential is there twice");
  }
  if (file->rows.size() > kMaxRows) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", kMaxRows, " rows"));
  }
  return absl::OkStatus();
}

absl::Status ParseLine(const std::string& line, TokenFile* file) {
  const std::vector<std::string> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.empty() || words[0][0] == '#') return absl::OkStatus();
  return words[0] == "class" ? ParseClass(words, file) : ParseRow(words, file);
}

}  // namespace

absl::StatusOr<TokenFile> ParseTokenFile(std::string_view text) {
  TokenFile file;
  size_t number = 0;
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    ++number;
    const absl::Status status = ParseLine(std::string(line), &file);
    if (!status.ok()) return AddContext(status, absl::StrCat("line ", number));
  }
  for (const auto& [credential, row] : file.rows) {
    if (row.quota_class != "default" && row.quota_class != "unlimited" &&
        file.classes.count(row.quota_class) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the quota class of client ", row.client, " is not declared"));
    }
  }
  return file;
}

}  // namespace dragoman::server
