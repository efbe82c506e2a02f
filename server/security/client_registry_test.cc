#include "server/security/client_registry.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "gtest/gtest.h"

namespace dragoman::server {
namespace {

std::string Row(const std::string& token, const std::string& rest) {
  return absl::StrCat("sha256:", Sha256Hex(token), " ", rest, "\n");
}

class ClientRegistryTest : public ::testing::Test {
 protected:
  ClientRegistryTest() : path_(absl::StrCat(::testing::TempDir(), "/clients_", getpid())) {}
  ~ClientRegistryTest() override { unlink(path_.c_str()); }
  void Write(const std::string& text) { ASSERT_TRUE(WriteFileAtomically(path_, text).ok()); }
  std::unique_ptr<ClientRegistry> Create(bool certificates = false, bool file = true) {
    RegistryOptions options;
    if (file) options.token_file = path_;
    options.client_certificates = certificates;
    options.default_quota = {32, 20, 0};
    auto registry = ClientRegistry::Create(options, [this] { return now_; });
    EXPECT_TRUE(registry.ok()) << registry.status();
    return *std::move(registry);
  }
  static std::string Outcome(const std::variant<Client, AuthFailure>& found) {
    if (const auto* client = std::get_if<Client>(&found)) return client->name;
    switch (std::get<AuthFailure>(found)) {
      case AuthFailure::kTokenMissing:
        return "missing";
      case AuthFailure::kTokenInvalid:
        return "invalid";
      case AuthFailure::kTokenExpired:
        return "expired";
    }
    return "?";
  }

  const std::string path_;
  int64_t now_ = 1700000000;
};

TEST_F(ClientRegistryTest, FindsTheClientOfAToken) {
  Write(Row("secret", "acme translate default - -") +
        Row("old", "acme translate default 2023-11-14T22:13:20Z -"));
  const auto registry = Create();
  EXPECT_EQ(Outcome(registry->Identify("Bearer secret", "")), "acme");
  EXPECT_EQ(Outcome(registry->Identify("bearer secret", "")), "acme");
  EXPECT_EQ(Outcome(registry->Identify("", "")), "missing");
  EXPECT_EQ(Outcome(registry->Identify("Bearer secre", "")), "invalid");
  EXPECT_EQ(Outcome(registry->Identify("Bearer ", "")), "invalid");
  EXPECT_EQ(Outcome(registry->Identify("Basic secret", "")), "invalid");
  EXPECT_EQ(Outcome(registry->Identify("Bearer old", "")), "expired");
  --now_;
  EXPECT_EQ(Outcome(registry->Identify("Bearer old", "")), "acme");
}

TEST_F(ClientRegistryTest, QuotaClassesGiveTheirLimits) {
  Write("class gold streams=7\n" + Row("a", "a translate gold - -") +
        Row("b", "b translate default - -") + Row("c", "c operator unlimited - -"));
  const auto registry = Create();
  EXPECT_EQ(std::get<Client>(registry->Identify("Bearer a", "")).quota, (QuotaClass{7, 0, 0}));
  EXPECT_EQ(std::get<Client>(registry->Identify("Bearer b", "")).quota, (QuotaClass{32, 20, 0}));
  const Client c = std::get<Client>(registry->Identify("Bearer c", ""));
  EXPECT_EQ(c.quota, QuotaClass{});
  EXPECT_FALSE(c.translate);
  EXPECT_TRUE(c.is_operator);
}

TEST_F(ClientRegistryTest, ReloadTakesRowsAwayAndABadFileChangesNothing) {
  Write(Row("secret", "acme translate default - -"));
  const auto registry = Create();
  const std::string credential =
      std::get<Client>(registry->Identify("Bearer secret", "")).credential;
  EXPECT_EQ(*registry->Reload(), false);

  Write("half a ro");
  EXPECT_FALSE(registry->Reload().ok());
  EXPECT_EQ(*registry->Reload(), false);  // told once
  EXPECT_EQ(Outcome(registry->Check(credential)), "acme");

  Write(Row("other", "acme translate default - -"));
  EXPECT_EQ(*registry->Reload(), true);
  EXPECT_EQ(Outcome(registry->Check(credential)), "invalid");
  EXPECT_EQ(Outcome(registry->Identify("Bearer other", "")), "acme");
}

TEST_F(ClientRegistryTest, CertificatesAreEnoughUnlessAFileNamesTheClients) {
  const auto alone = Create(/*certificates=*/true, /*file=*/false);
  EXPECT_EQ(Outcome(alone->Identify("", "spiffe://x/a")), "spiffe://x/a");
  EXPECT_EQ(Outcome(alone->Identify("", "")), "missing");
  EXPECT_FALSE(std::get<Client>(alone->Identify("", "spiffe://x/a")).is_operator);

  Write("san:spiffe://x/a ops operator unlimited - -\n");
  const auto both = Create(/*certificates=*/true);
  EXPECT_EQ(Outcome(both->Identify("", "spiffe://x/a")), "ops");
  EXPECT_EQ(Outcome(both->Identify("", "spiffe://x/b")), "missing");
}

TEST_F(ClientRegistryTest, WithoutCredentialsEverybodyIsAnonymous) {
  const auto registry = Create(false, false);
  EXPECT_FALSE(registry->credentials_needed());
  const Client client = std::get<Client>(registry->Identify("Bearer whatever", ""));
  EXPECT_EQ(client.name, "");
  EXPECT_TRUE(client.translate);
  EXPECT_FALSE(client.is_operator);
  EXPECT_EQ(client.quota, (QuotaClass{32, 20, 0}));
}

}  // namespace
}  // namespace dragoman::server
