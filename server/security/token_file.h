// The file of clients: who may call, with which role and quota. Tokens are kept as hashes, so the
// file does not open the door by itself.
//
//   # comment
//   class gold streams=128 starts=50 words=6000
//   sha256:<64 hex digits>  acme      translate,operator  gold     2027-01-31T00:00:00Z  -
//   san:spiffe://x/caption  captions  translate           default  -                     -
//
// Columns: credential, client id, roles, quota class, end of validity (UTC, "-": none), flags ("-":
// none; none is known yet). `words` are source words a minute; 0 is no limit. The classes "default"
// and "unlimited" are always there; "default" has the limits of the flags.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace dragoman::server {

struct QuotaClass {
  uint32_t streams = 0;  // at once; 0: no limit
  uint32_t starts_per_second = 0;
  uint32_t words_per_minute = 0;  // of source
  bool operator==(const QuotaClass&) const = default;
};

enum class Role { kTranslate, kOperator };

struct ClientRow {
  std::string client;
  bool translate = false;
  bool is_operator = false;
  std::string quota_class = "default";
  std::optional<int64_t> not_after;  // seconds since 1970
  bool Has(Role role) const { return role == Role::kTranslate ? translate : is_operator; }
};

struct TokenFile {
  // Credential as in the first column, "sha256:..." in lower case or "san:...".
  std::map<std::string, ClientRow> rows;
  std::map<std::string, QuotaClass> classes;  // without the two that are always there
};

// Errors: InvalidArgument with the line number; never with the text of the line, which may hold a
// token by mistake.
absl::StatusOr<TokenFile> ParseTokenFile(std::string_view text);

}  // namespace dragoman::server
