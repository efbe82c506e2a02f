#include "server/lifecycle/accept_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <vector>

#include "gtest/gtest.h"

namespace dragoman::server {
namespace {

// A blocking connection to a loopback port.
class Dial {
 public:
  explicit Dial(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Dial() { close(fd_); }
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;
  bool connected() const { return connected_; }
  // Blocks until the other side says something: true for a byte, false for an end or a reset.
  bool Greeted() {
    char byte = 0;
    return recv(fd_, &byte, 1, 0) == 1;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

// Greets every connection that it is given and keeps it open.
class AcceptLoopTest : public ::testing::Test {
 protected:
  ~AcceptLoopTest() override {
    loop_.reset();
    CloseAll();
  }
  void Start(const AcceptOptions& options) {
    auto loop = AcceptLoop::Listen(options, &clock_, [this](AcceptLoop::Refusal refusal) {
      if (refusal == AcceptLoop::Refusal::kDescriptors) ++refused_fd_;
      if (refusal == AcceptLoop::Refusal::kPeer) ++refused_peer_;
      if (refusal == AcceptLoop::Refusal::kTotal) ++refused_total_;
    });
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    loop_->Start([this](const AcceptLoop::Connection& connection) {
      if (connection.probe) ++probes_;
      const MutexLock lock(&mu_);
      fds_.push_back(connection.fd);
      EXPECT_EQ(send(connection.fd, "x", 1, MSG_NOSIGNAL), 1);
    });
  }
  void CloseAll() {
    const MutexLock lock(&mu_);
    for (const int fd : fds_) close(fd);
    fds_.clear();
  }

  SystemClock clock_;
  std::unique_ptr<AcceptLoop> loop_;
  std::atomic<int> refused_fd_{0};
  std::atomic<int> refused_peer_{0};
  std::atomic<int> refused_total_{0};
  std::atomic<int> probes_{0};
  Mutex mu_;
  std::vector<int> fds_ ABSL_GUARDED_BY(mu_);
};

TEST_F(AcceptLoopTest, HandsConnectionsOverAndCountsOpenOnes) {
  Start({});
  std::deque<Dial> dials;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(dials.emplace_back(loop_->port()).Greeted());
  EXPECT_EQ(loop_->connections(), 5u);
  CloseAll();
  EXPECT_EQ(loop_->connections(), 0u);
}

TEST_F(AcceptLoopTest, RefusesOverTheLimitOfOneAddressUntilOneCloses) {
  AcceptOptions options;
  options.connections_per_peer = 3;
  Start(options);
  std::deque<Dial> dials;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(dials.emplace_back(loop_->port()).Greeted());
  EXPECT_FALSE(dials.emplace_back(loop_->port()).Greeted());
  EXPECT_EQ(refused_peer_.load(), 1);
  CloseAll();
  EXPECT_TRUE(dials.emplace_back(loop_->port()).Greeted());
}

TEST_F(AcceptLoopTest, RefusesOverTheLimitInAll) {
  AcceptOptions options;
  options.max_connections = 2;
  Start(options);
  Dial first(loop_->port());
  Dial second(loop_->port());
  EXPECT_TRUE(first.Greeted());
  EXPECT_TRUE(second.Greeted());
  Dial third(loop_->port());
  EXPECT_FALSE(third.Greeted());
  EXPECT_EQ(refused_total_.load(), 1);
}

TEST_F(AcceptLoopTest, RefusesByDescriptorNumberBeforeTheLimitAndServesAgain) {
  AcceptOptions options;
  // All but the first few numbers are reserved.
  options.reserved_descriptors = static_cast<size_t>(sysconf(_SC_OPEN_MAX)) - 24;
  Start(options);
  std::deque<Dial> dials;
  int greeted = 0;
  for (int i = 0; i < 24; ++i) {
    if (dials.emplace_back(loop_->port()).Greeted()) ++greeted;
  }
  EXPECT_GT(refused_fd_.load(), 0);
  EXPECT_EQ(greeted + refused_fd_.load(), 24);
  dials.clear();
  CloseAll();
  EXPECT_TRUE(Dial(loop_->port()).Greeted());
}

TEST_F(AcceptLoopTest, ProbesAreKnownAndNotCounted) {
  AcceptOptions options;
  options.max_connections = 1;
  Start(options);
  Dial client(loop_->port());
  EXPECT_TRUE(client.Greeted());
  const auto probe = loop_->OpenProbe();
  ASSERT_TRUE(probe.ok()) << probe.status();
  char byte = 0;
  EXPECT_EQ(recv(*probe, &byte, 1, 0), 1);
  close(*probe);
  EXPECT_EQ(probes_.load(), 1);
  EXPECT_EQ(loop_->connections(), 1u);
}

TEST_F(AcceptLoopTest, StopClosesThePort) {
  Start({});
  const int port = loop_->port();
  EXPECT_TRUE(Dial(port).Greeted());
  loop_->Stop();
  EXPECT_FALSE(Dial(port).connected());
  AcceptOptions again;
  again.port = static_cast<uint16_t>(port);
  EXPECT_TRUE(AcceptLoop::Listen(again, &clock_, [](AcceptLoop::Refusal) {}).ok());
}

TEST_F(AcceptLoopTest, ATakenPortAndAnUnknownNameAreErrors) {
  Start({});
  AcceptOptions taken;
  taken.port = static_cast<uint16_t>(loop_->port());
  EXPECT_TRUE(
      absl::IsUnavailable(AcceptLoop::Listen(taken, &clock_, [](AcceptLoop::Refusal) {}).status()));
  AcceptOptions unknown;
  unknown.host = "300.1.2.3";
  EXPECT_FALSE(AcceptLoop::Listen(unknown, &clock_, [](AcceptLoop::Refusal) {}).ok());
}

sockaddr_storage Address(const char* text) {
  sockaddr_storage address{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
    address.ss_family = AF_INET;
  } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
    address.ss_family = AF_INET6;
  }
  return address;
}

TEST(PeerKeyTest, OneKeyPerAddressAndPerIpv6Network) {
  EXPECT_EQ(PeerKey(Address("10.1.2.3")), "10.1.2.3");
  EXPECT_EQ(PeerKey(Address("::ffff:10.1.2.3")), "10.1.2.3");
  EXPECT_EQ(PeerKey(Address("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::");
  EXPECT_EQ(PeerKey(Address("2001:db8:1:2:ffff::1")), "2001:db8:1:2::");
  EXPECT_EQ(PeerKey(Address("::1")), "::1");
}

}  // namespace
}  // namespace dragoman::server
