// Reads what a client shows of itself and whom it trusts, from the files of ChannelOptions.
#pragma once

#include <string>

#include "base/status.h"
#include "client/api/channel_options.h"

namespace dragoman::client {

struct Credentials {
  std::string authorities;  // PEM; empty: those of the system
  std::string certificate;  // PEM; empty: none is shown
  std::string key;          // PEM
  std::string token;        // empty: none
};

// Errors: those of ReadFile(); InvalidArgument for a token file that is empty or holds a control
// character. Error messages name files, never what is in them.
absl::StatusOr<Credentials> LoadCredentials(const ChannelOptions& options);

}  // namespace dragoman::client
