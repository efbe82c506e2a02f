#include "client/api/call_status.h"

#include "gtest/gtest.h"
#include "proto/google/rpc/error.pb.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;

std::string Details(const google::rpc::ErrorInfo& error_info, milliseconds retry_delay) {
  google::rpc::Status status;
  status.set_code(14);
  status.add_details()->PackFrom(error_info);
  google::rpc::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_seconds(retry_delay.count() / 1000);
  retry_info.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>(retry_delay.count() % 1000 * 1000000));
  status.add_details()->PackFrom(retry_info);
  return status.SerializeAsString();
}

google::rpc::ErrorInfo NoCapacity(const std::string& domain) {
  google::rpc::ErrorInfo error_info;
  error_info.set_domain(domain);
  error_info.set_reason("NO_CAPACITY");
  (*error_info.mutable_metadata())["slots"] = "8";
  (*error_info.mutable_metadata())["queued"] = "64";
  return error_info;
}

TEST(CallStatusTest, DecodesErrorInfoAndRetryInfo) {
  const CallStatus status =
      MakeCallStatus(absl::StatusCode::kUnavailable, "all slots are taken",
                     Details(NoCapacity("dragoman"), milliseconds(1500)), std::nullopt);

  EXPECT_EQ(status.reason, "NO_CAPACITY");
  EXPECT_EQ(status.metadata.at("slots"), "8");
  EXPECT_EQ(status.retry_delay, milliseconds(1500));
  EXPECT_FALSE(status.pushback.has_value());
  EXPECT_EQ(status.ToString(), "UNAVAILABLE NO_CAPACITY: all slots are taken (queued=64 slots=8)");
}

TEST(CallStatusTest, IgnoresAnErrorInfoOfAnotherDomain) {
  const CallStatus status =
      MakeCallStatus(absl::StatusCode::kUnavailable, "",
                     Details(NoCapacity("googleapis.com"), milliseconds(0)), std::nullopt);

  EXPECT_EQ(status.reason, "");
  EXPECT_TRUE(status.metadata.empty());
}

TEST(CallStatusTest, KeepsTheStatusWhenTheDetailsDoNotParse) {
  const CallStatus status =
      MakeCallStatus(absl::StatusCode::kInternal, "broken", "\xff\xff\xff", std::nullopt);

  EXPECT_EQ(status.code, absl::StatusCode::kInternal);
  EXPECT_EQ(status.message, "broken");
  EXPECT_EQ(status.reason, "");
}

TEST(CallStatusTest, ReadsThePushbackAndTakesANegativeOrBrokenOneAsNo) {
  const auto with = [](const char* pushback) {
    return MakeCallStatus(absl::StatusCode::kUnavailable, "", "", pushback);
  };

  EXPECT_EQ(with("250").pushback, milliseconds(250));
  EXPECT_FALSE(with("250").retry_forbidden);
  EXPECT_TRUE(with("-1").retry_forbidden);
  EXPECT_TRUE(with("soon").retry_forbidden);
}

TEST(CallStatusTest, ClampsARetryDelayThatMakesNoSense) {
  google::rpc::Status details;
  google::rpc::RetryInfo retry_info;
  retry_info.mutable_retry_delay()->set_seconds(-5);
  details.add_details()->PackFrom(retry_info);

  const CallStatus status =
      MakeCallStatus(absl::StatusCode::kUnavailable, "", details.SerializeAsString(), std::nullopt);

  EXPECT_EQ(status.retry_delay, milliseconds(0));
}

}  // namespace
}  // namespace dragoman::client
