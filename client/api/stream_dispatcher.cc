#include "client/api/stream_dispatcher.h"

#include <optional>

namespace dragoman::client {

StreamDispatcher::StreamDispatcher(TranslateStream* stream, StreamListener* listener)
    : stream_(stream), thread_([stream, listener] {
        while (const std::optional<v1::StreamEvent> event = stream->Next()) {
          listener->OnEvent(*event);
        }
        listener->OnEnd(stream->end());
      }) {}

StreamDispatcher::~StreamDispatcher() {
  if (!thread_.joinable()) return;
  stream_->Cancel();
  thread_.join();
}

void StreamDispatcher::Wait() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace dragoman::client
