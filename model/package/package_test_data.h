// A package of a few kilobytes for the tests of this room.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "model/package/package_writer.h"

namespace dragoman::model {

struct SmallPackage {
  PackageContents contents;                    // its tensors point into `storage`
  std::map<std::string, std::string> storage;  // tensor name -> F32 bytes
};

// English to German, vocabulary 12, width 4; weights are `next()` in order.
SmallPackage MakeSmallPackage(const std::function<float()>& next, int64_t layers = 1);

}  // namespace dragoman::model
