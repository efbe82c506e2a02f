// Certificates made on the spot, for tests of transport security: an authority and what it signs.
#pragma once

#include <memory>
#include <string>

namespace dragoman::testing {

struct TestPair {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

// One authority. Not for production: the keys are made for speed and live in memory.
class TestAuthority {
 public:
  TestAuthority();
  ~TestAuthority();
  const std::string& certificate() const;
  // A pair for "localhost" and 127.0.0.1; `uri` is added as a name when it is not empty.
  TestPair Issue(const std::string& uri = "", int valid_days = 30) const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace dragoman::testing
