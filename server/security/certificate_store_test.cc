#include "server/security/certificate_store.h"

#include <unistd.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "tests/support/test_certificates.h"

namespace dragoman::server {
namespace {

class CertificateStoreTest : public ::testing::Test {
 protected:
  CertificateStoreTest() : folder_(absl::StrCat(::testing::TempDir(), "/certificates_", getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~CertificateStoreTest() override { std::filesystem::remove_all(folder_); }
  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/" + name, text).ok());
  }
  CertificateFiles Files() const { return {folder_ + "/chain", folder_ + "/key", ""}; }

  const std::string folder_;
  testing::TestAuthority authority_;
};

TEST_F(CertificateStoreTest, TakesANewPairAndKeepsTheOldOneOnABadRead) {
  const testing::TestPair first = authority_.Issue();
  const testing::TestPair second = authority_.Issue("", 60);
  Write("chain", first.certificate);
  Write("key", first.key);
  const auto store = CertificateStore::Create(Files());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->current()->generation, 1u);
  EXPECT_EQ(*(*store)->Reload(), false);

  Write("chain", second.certificate);  // the key has not followed yet
  EXPECT_FALSE((*store)->Reload().ok());
  EXPECT_EQ((*store)->current()->chain, first.certificate);
  Write("chain", "not PEM at all");
  EXPECT_FALSE((*store)->Reload().ok());
  std::filesystem::remove(folder_ + "/chain");
  EXPECT_FALSE((*store)->Reload().ok());
  EXPECT_EQ((*store)->current()->chain, first.certificate);

  Write("chain", second.certificate);
  Write("key", second.key);
  EXPECT_EQ(*(*store)->Reload(), true);
  EXPECT_EQ((*store)->current()->key, second.key);
  EXPECT_EQ((*store)->current()->generation, 2u);
  const int64_t now = std::time(nullptr);
  EXPECT_NEAR(static_cast<double>((*store)->current()->not_after - now), 60 * 86400.0, 3600.0);
}

TEST_F(CertificateStoreTest, RefusesWhatDoesNotBelongTogetherAtTheStart) {
  Write("chain", authority_.Issue().certificate);
  Write("key", authority_.Issue().key);
  EXPECT_TRUE(absl::IsInvalidArgument(CertificateStore::Create(Files()).status()));
  std::filesystem::remove(folder_ + "/key");
  EXPECT_TRUE(absl::IsNotFound(CertificateStore::Create(Files()).status()));
  const testing::TestPair pair = authority_.Issue();
  Write("chain", pair.certificate);
  Write("key", pair.key);
  Write("ca", "nonsense");
  CertificateFiles files = Files();
  files.authorities = folder_ + "/ca";
  EXPECT_FALSE(CertificateStore::Create(files).ok());
  Write("ca", authority_.certificate());
  EXPECT_TRUE(CertificateStore::Create(files).ok());
}

}  // namespace
}  // namespace dragoman::server
