// A live session that survives its server: when the transport breaks, or the replica drains or
// goes, a new session is opened and gets all source again whose translation was not final (soft
// resume). Finals that were seen stay; the text of the open segment may come out differently.
//
// The events of all sessions come out as those of one: seq and time go on, segments are numbered
// through, positions count from the first byte of the whole source. The one sign of a resume is
// another SessionStarted with `resumed` set and `source_received` at the resume point: stable text
// of the open segment that came before it is void.
//
// When a replica says that it drains, the next session is opened first; the old one goes on up to
// its next final and is then half-closed.
//
// Not done: `context.history`, which no model of this release takes; a server that would hold the
// state (`resume_token`) is not asked to.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "client/api/translate_stream.h"
#include "proto/dragoman/v1/interpreter.pb.h"

namespace dragoman::client {

struct ResumeOptions {
  bool reconnect = true;                      // false: the first end is the end
  std::chrono::milliseconds give_up{30000};   // without a session for so long: the end
  size_t max_kept_bytes = size_t{1} << 20;    // source without a final; above, nothing is resumed
  size_t max_queued_bytes = size_t{1} << 16;  // source that waits to be sent
};

// Thread-safe: any thread sends; one thread at a time calls Next().
class ResumingStream {
 public:
  // Opens a session; called from the thread of Next() and from threads of this class. nullptr: it
  // cannot be done.
  using Opener = std::function<std::unique_ptr<TranslateStream>()>;

  // Opens the first session at once. `clock` outlives the stream.
  ResumingStream(Opener open, const ResumeOptions& options, Clock* clock);
  ~ResumingStream();
  ResumingStream(const ResumingStream&) = delete;
  ResumingStream& operator=(const ResumingStream&) = delete;

  // As in TranslateStream. Between two sessions they block once max_queued_bytes wait.
  absl::Status SendText(std::string_view bytes);
  absl::Status Flush(uint32_t id);
  absl::Status EndSegment(uint32_t id);
  absl::Status Heartbeat();
  void HalfClose();
  void Cancel();

  // The next event; nullopt: the end, see end(). Blocks; also opens new sessions.
  std::optional<v1::StreamEvent> Next();
  // Valid once Next() has returned nullopt. `started` tells of any session.
  const StreamEnd& end() const;
  // Sessions after the first.
  int resumes() const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace dragoman::client
