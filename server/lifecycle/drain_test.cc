#include "server/lifecycle/drain.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/step_clock.h"

namespace dragoman::server {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

// Records the calls; the sessions end when the test says so.
class Recorder {
 public:
  explicit Recorder(testing::StepClock* clock) : clock_(clock) {}

  DrainHooks Hooks() {
    DrainHooks hooks;
    hooks.stop_serving = [this] { Note("stop_serving"); };
    hooks.refuse_new = [this](TimePoint) { Note("refuse_new"); };
    hooks.notify_sessions = [this](Duration left) {
      Note("notify " + std::to_string(std::chrono::duration_cast<seconds>(left).count()));
    };
    hooks.stop_listening = [this] { Note("stop_listening"); };
    hooks.wait_sessions = [this](TimePoint deadline, const std::function<bool()>& interrupted) {
      const MutexLock lock(&mu_);
      waiting_ = true;
      reached_.notify_all();
      clock_->WaitUntil(&mu_, &changed_, deadline, [&] { return sessions_ == 0 || interrupted(); });
      return sessions_ == 0;
    };
    hooks.close_sessions = [this] {
      Note("close");
      const MutexLock lock(&mu_);
      const size_t count = sessions_;
      sessions_ = 0;
      return count;
    };
    return hooks;
  }
  void Interrupt() {
    { const MutexLock lock(&mu_); }
    changed_.notify_all();
  }
  void SetSessions(size_t count) {
    {
      const MutexLock lock(&mu_);
      sessions_ = count;
    }
    changed_.notify_all();
  }
  // Blocks until the sequence waits for sessions.
  void AwaitWaiting() {
    MutexLock lock(&mu_);
    reached_.wait(mu_, [this] { return waiting_; });
  }
  std::vector<std::string> notes() {
    const MutexLock lock(&mu_);
    return notes_;
  }

 private:
  void Note(std::string note) {
    const MutexLock lock(&mu_);
    notes_.push_back(std::move(note));
  }
  testing::StepClock* const clock_;
  Mutex mu_;
  CondVar changed_;
  CondVar reached_;
  std::vector<std::string> notes_;
  size_t sessions_ = 0;
  bool waiting_ = false;
};

TEST(StopSequenceTest, IdleReplicaPassesAllSteps) {
  testing::StepClock clock;
  Recorder recorder(&clock);
  StopSequence stop(&clock, {seconds(0), seconds(30), seconds(2)}, recorder.Hooks(),
                    [&] { recorder.Interrupt(); });

  stop.RequestStop();
  const auto result = stop.Run();

  EXPECT_TRUE(result.drained);
  EXPECT_THAT(recorder.notes(),
              ElementsAre("stop_serving", "refuse_new", "notify 30", "stop_listening"));
}

TEST(StopSequenceTest, SessionsThatEndInTimeAreNotClosed) {
  testing::StepClock clock;
  Recorder recorder(&clock);
  recorder.SetSessions(3);
  StopSequence stop(&clock, {seconds(0), seconds(30), seconds(2)}, recorder.Hooks(),
                    [&] { recorder.Interrupt(); });
  StopSequence::Result result;
  std::thread thread([&] { result = stop.Run(); });

  stop.RequestStop();
  recorder.AwaitWaiting();
  recorder.SetSessions(0);
  thread.join();

  EXPECT_TRUE(result.drained);
  EXPECT_EQ(result.cut, 0u);
}

TEST(StopSequenceTest, SessionsThatStayAreClosedBeforeTheEnd) {
  testing::StepClock clock;
  Recorder recorder(&clock);
  recorder.SetSessions(2);
  StopSequence stop(&clock, {seconds(0), seconds(30), seconds(2)}, recorder.Hooks(),
                    [&] { recorder.Interrupt(); });
  StopSequence::Result result;
  std::thread thread([&] { result = stop.Run(); });
  stop.RequestStop();
  recorder.AwaitWaiting();

  clock.Advance(seconds(27));
  EXPECT_THAT(recorder.notes(),
              ElementsAre("stop_serving", "refuse_new", "notify 30", "stop_listening"));
  clock.Advance(seconds(1));
  thread.join();

  EXPECT_FALSE(result.drained);
  EXPECT_EQ(result.cut, 2u);
  EXPECT_EQ(recorder.notes().back(), "close");
}

TEST(StopSequenceTest, SecondRequestCutsAtOnce) {
  testing::StepClock clock;
  Recorder recorder(&clock);
  recorder.SetSessions(1);
  StopSequence stop(&clock, {seconds(10), seconds(600), seconds(2)}, recorder.Hooks(),
                    [&] { recorder.Interrupt(); });
  StopSequence::Result result;
  std::thread thread([&] { result = stop.Run(); });

  stop.RequestStop();
  stop.RequestStop();
  thread.join();  // the clock did not move

  EXPECT_EQ(result.cut, 1u);
}

}  // namespace
}  // namespace dragoman::server
