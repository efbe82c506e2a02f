#include "client/load/slo.h"

namespace dragoman::client {

bool Slo::Holds(const LoadReport& report) const {
  return (!lag_seconds || report.lag_seconds.p99 <= *lag_seconds) &&
         (!first_text_seconds || report.first_text_seconds.p99 <= *first_text_seconds);
}

}  // namespace dragoman::client
