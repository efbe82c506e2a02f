#include "server/security/token_file.h"

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::server {
namespace {

using ::testing::HasSubstr;

std::string Hash(const std::string& token) { return "sha256:" + Sha256Hex(token); }

TEST(TokenFileTest, ReadsRowsAndClasses) {
  const auto file = ParseTokenFile(
      absl::StrCat("# who\n\nclass gold streams=128 starts=50 words=6000\n", Hash("a"),
                   "  acme translate,operator gold 2027-01-31T00:00:00Z -\r\n",
                   "san:spiffe://x/caption\tcaptions\ttranslate\tdefault\t-\t-"));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->rows.size(), 2u);
  const ClientRow& acme = file->rows.at(Hash("a"));
  EXPECT_EQ(acme.client, "acme");
  EXPECT_TRUE(acme.translate);
  EXPECT_TRUE(acme.is_operator);
  EXPECT_EQ(acme.not_after, 1801353600);
  EXPECT_EQ(file->classes.at("gold"), (QuotaClass{128, 50, 6000}));
  EXPECT_FALSE(file->rows.at("san:spiffe://x/caption").is_operator);
  EXPECT_FALSE(file->rows.at("san:spiffe://x/caption").not_after.has_value());
}

TEST(TokenFileTest, HashesMayBeUpperCase) {
  std::string hash = Hash("a");
  for (char& c : hash) c = static_cast<char>(std::toupper(c));
  hash.replace(0, 6, "sha256");
  const auto file = ParseTokenFile(hash + " acme translate default - -");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rows.count(Hash("a")), 1u);
}

TEST(TokenFileTest, BadLinesAreNamedByNumberAndNeverShown) {
  const std::string good = absl::StrCat(Hash("a"), " acme translate default - -\n");
  const std::string secret = "a-token-put-here-by-mistake";
  for (const std::string& bad : {
           secret,
           absl::StrCat(secret, " acme translate default - -"),
           absl::StrCat("sha256:", secret, " acme translate default - -"),
           absl::StrCat(Hash("b"), " ac/me translate default - -"),
           absl::StrCat(Hash("b"), " acme ", secret, " default - -"),
           absl::StrCat(Hash("b"), " acme translate default ", secret, " -"),
           absl::StrCat(Hash("b"), " acme translate default - ", secret),
           absl::StrCat(Hash("b"), " acme translate default -"),
           absl::StrCat(Hash("a"), " again translate default - -"),
           std::string("class default streams=1"),
           std::string("class gold streams=many"),
           std::string("class gold speed=1"),
       }) {
    const auto file = ParseTokenFile(good + bad);
    ASSERT_FALSE(file.ok()) << bad;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("line 2"));
    EXPECT_THAT(std::string(file.status().message()), Not(HasSubstr(secret)));
  }
  EXPECT_FALSE(ParseTokenFile(Hash("a") + " acme translate silver - -").ok());
}

}  // namespace
}  // namespace dragoman::server
