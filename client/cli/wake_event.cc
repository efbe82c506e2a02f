#include "client/cli/wake_event.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"

namespace dragoman::client {

WakeEvent::WakeEvent() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  DRAGOMAN_CHECK_MSG(fd_ >= 0, "no descriptor for an eventfd");
}

WakeEvent::~WakeEvent() { close(fd_); }

void WakeEvent::Set() { eventfd_write(fd_, 1); }

}  // namespace dragoman::client
