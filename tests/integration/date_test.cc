// R30: the date of the machine jumps by a day, forth and back, and no time limit notices; only what
// is written with a date does. The date of this whole process is moved
// (tests/support/moved_date.h).
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/stream_client.h"
#include "tests/integration/test_server.h"
#include "tests/support/moved_date.h"

namespace dragoman::testing {
namespace {

using std::chrono::duration_cast;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Steady = std::chrono::steady_clock;

// Early is never right; late is the contract's second, and the load of the machine.
constexpr milliseconds kEarly{50};
constexpr milliseconds kLate{1000};

bool IsStarted(const v1::StreamEvent& event) { return event.has_started(); }
bool IsFinal(const v1::StreamEvent& event) { return event.has_segment_final(); }

std::string DateIn(hours time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now() + absl::FromChrono(time),
                          absl::UTCTimeZone());
}

class DateTest : public ::testing::Test {
 protected:
  ~DateTest() override { MoveDate(seconds(0)); }
};

// Waits for the end of a stream in a thread of its own and says when it came.
class End {
 public:
  explicit End(StreamClient* client)
      : thread_([this, client] {
          status_ = client->Finish();
          time_ = Steady::now();
        }) {}
  ~End() {
    if (thread_.joinable()) thread_.join();
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  void ExpectAfter(Steady::time_point begin, Steady::duration limit, grpc::StatusCode code,
                   const std::string& reason) {
    thread_.join();
    const auto took = duration_cast<milliseconds>(time_ - begin);
    EXPECT_GE(took, limit - kEarly) << reason;
    EXPECT_LE(took, limit + kLate) << reason;
    EXPECT_EQ(status_.error_code(), code) << status_.error_message();
    EXPECT_EQ(DetailsOf(status_).reason, reason);
  }

 private:
  grpc::Status status_;
  Steady::time_point time_;
  std::thread thread_;
};

TEST_F(DateTest, TheDateOfTheProcessMovesAndSteadyTimeDoesNot) {
  const auto date = std::chrono::system_clock::now();
  const auto steady = Steady::now();

  MoveDate(hours(24));

  EXPECT_GE(std::chrono::system_clock::now() - date, hours(24));
  EXPECT_GE(time(nullptr) - std::chrono::system_clock::to_time_t(date), 24 * 3600);
  EXPECT_LE(Steady::now() - steady, seconds(10));
}

// Timers inside gRPC wait until a date. Forth they hold; back they stop until the date has caught
// up (1.51), also for the tests after this one, and only our own limits end a stream.
TEST_F(DateTest, R30_ADeadlineOfAClientHoldsWhenTheDateGoesForth) {
  TestServer server;
  const auto stub = server.NewStub();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(1));
  const auto begin = Steady::now();
  const auto call = stub->StreamTranslate(&context);
  while (server.Metric("grpc_server_started_total") < 1) std::this_thread::yield();

  MoveDate(hours(24));

  EXPECT_EQ(call->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  const auto took = duration_cast<milliseconds>(Steady::now() - begin);
  EXPECT_GE(took, seconds(1) - kEarly);
  EXPECT_LE(took, seconds(1) + kLate);
  server.ExpectConsistentAtRest();
}

// Shortened: limits of 2 and 3 s. All are running when the date jumps.
TEST_F(DateTest, R30_NoTimeLimitFiresEarlyOrLateWhenTheDateJumps) {
  TestServerOptions options;
  options.config.config_seconds = 2;
  options.config.idle_seconds = 3;
  TestServer server(options);
  const auto stub = server.NewStub();
  int round = 0;
  for (const hours jump : {hours(24), hours(-24), hours(0)}) {
    StreamClient speaks(stub.get(), MakeConfig("wait-k:1"));
    speaks.ReadUntil(IsStarted);
    StreamClient silent(stub.get(), MakeConfig());
    silent.ReadUntil(IsStarted);
    const auto silent_since = Steady::now();
    StreamClient without_config(stub.get());
    const auto open_since = Steady::now();
    ++round;
    // Three streams before each jump, one after it.
    while (server.Metric("grpc_server_started_total") < 4 * round - 1) std::this_thread::yield();

    MoveDate(jump);

    End idle(&silent);
    End config(&without_config);
    // Sessions translate on, and what begins now begins as ever.
    speaks.Text("A sentence on another day. ");
    speaks.ReadUntil(IsFinal);
    EXPECT_TRUE(RunSession(stub.get(), MakeConfig(), {TextRequest("One more. ")}).status.ok());
    speaks.HalfClose();
    EXPECT_TRUE(speaks.Finish().ok());
    config.ExpectAfter(open_since, seconds(2), grpc::StatusCode::DEADLINE_EXCEEDED,
                       "CONFIG_TIMEOUT");
    idle.ExpectAfter(silent_since, seconds(3), grpc::StatusCode::DEADLINE_EXCEEDED, "IDLE_TIMEOUT");
  }
  server.ExpectConsistentAtRest();
}

// Shortened: drain-seconds is 2. The last call comes a second before the end.
TEST_F(DateTest, R30_ADrainLastsAsLongWhenTheDateJumps) {
  for (const hours jump : {hours(24), hours(-24)}) {
    MoveDate(seconds(0));
    TestServerOptions options;
    options.config.drain_seconds = 2;
    TestServer server(options);
    const auto stub = server.NewStub();
    StreamClient deaf(stub.get(), MakeConfig());
    deaf.ReadUntil(IsStarted);
    const auto begin = Steady::now();
    std::thread run([&] { EXPECT_EQ(server.server().Run().cut, 1u); });
    server.server().RequestStop();
    deaf.ReadUntil([](const v1::StreamEvent& event) { return event.has_notice(); });

    MoveDate(jump);

    End end(&deaf);
    end.ExpectAfter(begin, seconds(1), grpc::StatusCode::UNAVAILABLE, "DRAINING");
    run.join();
    EXPECT_LE(Steady::now() - begin, seconds(2) + kLate);
  }
}

TEST_F(DateTest, R30_ATokenEndsOnItsDateAndIsGoodAgainWhenTheDateGoesBack) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/date_", getpid());
  const std::string tomorrow =
      absl::StrCat("sha256:", Sha256Hex("a"), " a translate default ", DateIn(hours(24)), " -\n");
  ASSERT_TRUE(WriteFileAtomically(path, tomorrow).ok());
  TestServerOptions options;
  options.config.token_file = path;
  TestServer server(options);
  const auto stub = server.NewStub();
  StreamClient runs(stub.get(), MakeConfig(), "Bearer a");
  runs.ReadUntil(IsStarted);

  MoveDate(hours(-24));
  server.server().CheckCredentials();  // runs every 5 s by itself
  runs.Text("A sentence on the day before. ");
  runs.ReadUntil(IsFinal);
  MoveDate(hours(72));
  server.server().CheckCredentials();

  const grpc::Status status = runs.Finish();
  EXPECT_EQ(DetailsOf(status).reason, "TOKEN_EXPIRED");
  MoveDate(seconds(0));
  StreamClient again(stub.get(), MakeConfig(), "Bearer a");
  again.ReadUntil(IsStarted);
  again.HalfClose();
  EXPECT_TRUE(again.Finish().ok());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace dragoman::testing
