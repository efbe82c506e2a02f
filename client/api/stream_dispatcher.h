// Callbacks for a live session instead of a loop over TranslateStream::Next().
#pragma once

#include <thread>

#include "client/api/translate_stream.h"

namespace dragoman::client {

class StreamListener {
 public:
  virtual ~StreamListener() = default;
  // An event, in order and checked. While it runs no further event is delivered, and after
  // StreamOptions::max_read_ahead_events the server is paused too. May send on the stream; must not
  // block on a full queue for ever and must not destroy the dispatcher.
  virtual void OnEvent(const v1::StreamEvent& event) = 0;
  // The last call.
  virtual void OnEnd(const StreamEnd& end) = 0;
};

// Owns the thread that delivers. Both calls come from that thread.
class StreamDispatcher {
 public:
  // Starts to deliver. `stream` and `listener` outlive the dispatcher; nobody else calls Next().
  StreamDispatcher(TranslateStream* stream, StreamListener* listener);
  // Cancels the session if it is still open and waits for OnEnd().
  ~StreamDispatcher();
  StreamDispatcher(const StreamDispatcher&) = delete;
  StreamDispatcher& operator=(const StreamDispatcher&) = delete;

  // Waits for OnEnd() to return.
  void Wait();

 private:
  TranslateStream* const stream_;
  std::thread thread_;
};

}  // namespace dragoman::client
