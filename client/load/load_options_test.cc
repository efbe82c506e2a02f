#include "client/load/load_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace dragoman::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

LoadOptions Options(Arrival arrival, size_t streams) {
  LoadOptions options;
  options.streams = streams;
  options.words_per_second = 2.0;
  options.duration = milliseconds(60000);
  options.arrival = arrival;
  options.ramp = milliseconds(9000);
  options.words = {"one", "two", "three"};
  return options;
}

TEST(LoadOptionsTest, ARampHasToFitIntoTheDuration) {
  LoadOptions options = Options(Arrival::kPoisson, 4);
  EXPECT_TRUE(options.Validate().ok()) << options.Validate();
  options.ramp = options.duration + milliseconds(1);
  EXPECT_EQ(options.Validate().code(), absl::StatusCode::kInvalidArgument);
  options.arrival = Arrival::kBurst;
  EXPECT_TRUE(options.Validate().ok()) << options.Validate();
}

TEST(LoadOptionsTest, WordsThatAreNoTextAreRefused) {
  LoadOptions options = Options(Arrival::kSpread, 4);
  options.words.push_back("\xC3");
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("UTF-8"));
}

}  // namespace
}  // namespace dragoman::client
