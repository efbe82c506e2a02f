// The listening sockets and the thread that accepts. gRPC's own listener stays deaf for ever after
// one EMFILE (1.51.1), so connections are accepted here and handed over. Refuses at once what is
// over a limit: descriptors, connections in all, connections of one address.
//
// Thread-safe after Listen().
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "server/lifecycle/connection_table.h"

namespace dragoman::server {

struct AcceptOptions {
  std::string host = "127.0.0.1";  // a name stands for all its addresses
  uint16_t port = 0;               // 0: the system chooses
  size_t max_connections = 4096;   // 0: no limit
  size_t connections_per_peer = 64;
  // Connections whose descriptor number comes nearer to the limit of the process than this are
  // refused, so that files, logs and our own calls still find one. 0: a quarter of the limit, at
  // most 64.
  size_t reserved_descriptors = 0;
};

class AcceptLoop {
 public:
  enum class Refusal { kDescriptors, kPeer, kTotal };
  struct Connection {
    int listener = -1;
    int fd = -1;         // owned by who takes it
    bool probe = false;  // from this process (see OpenProbe())
  };
  using Handover = std::function<void(const Connection&)>;

  // Binds and listens; nothing is accepted before Start(). Errors: Unavailable with the address.
  static absl::StatusOr<std::unique_ptr<AcceptLoop>> Listen(
      const AcceptOptions& options, Clock* clock, std::function<void(Refusal)> on_refused);
  ~AcceptLoop();
  AcceptLoop(const AcceptLoop&) = delete;
  AcceptLoop& operator=(const AcceptLoop&) = delete;

  void Start(Handover handover);
  // Closes the listening sockets and joins the thread. Connections live on.
  void Stop();

  int port() const { return port_; }
  // Open connections, those of probes left out.
  size_t connections() { return table_.Count(); }

  // A new connection to our own listener, marked as a probe: limits do not count it. A blocking
  // socket that the caller owns. Errors: Unavailable.
  absl::StatusOr<int> OpenProbe();

 private:
  AcceptLoop(const AcceptOptions& options, Clock* clock, std::function<void(Refusal)> on_refused);
  absl::Status Bind();
  void Run();
  void AcceptFrom(int listener);
  // True when the descriptors were used up.
  bool AcceptOne(int listener, bool* again);
  void Place(int listener, int fd, const sockaddr_storage& peer);
  bool TakeProbe(const sockaddr_storage& peer);

  const AcceptOptions options_;
  const std::function<void(Refusal)> on_refused_;
  ConnectionTable table_;
  Handover handover_;
  std::vector<int> listeners_;
  sockaddr_storage probe_target_{};  // where our own connections go
  int port_ = 0;
  int stop_ = -1;   // eventfd
  int spare_ = -1;  // given up for a moment to be able to refuse when there is no descriptor left
  std::thread thread_;
  Mutex mu_;
  std::set<uint16_t> probe_ports_ ABSL_GUARDED_BY(mu_);  // source ports of probes on their way
};

// Raises the soft limit of descriptors to the hard one; gives the limit that is in force.
size_t RaiseDescriptorLimit();

}  // namespace dragoman::server
