// What the bench commands measure: a model package, or random weights of a shape.
#pragma once

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "base/clock.h"
#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/gate_rule.h"
#include "model/package/model_package.h"

namespace dragoman::model {

struct SubjectOptions {
  std::string model;    // folder, or
  std::string shape;    // "15m", "50m", "135m", "1b": random weights, native backend
  std::string weights;  // "fp32", "bf16", "int8", "int4"; empty: as the package has them
  std::string backend = "auto", device = "cpu", compute = "float32";
  int threads = 1;
  // No flags: gates for rows that are not forced, random ones of this rate, or those of the
  // package's router. Neither: no gate rule.
  double skip = 0;
  bool router = false;
  RouterExec router_exec = RouterExec::kAuto;  // how rows that skip are computed
};

// Adds the flags of all fields to a command; one of --model and --shape is then required.
void AddSubjectFlags(CLI::App* command, SubjectOptions* options);

struct Subject {
  std::string name;
  std::unique_ptr<ModelPackage> package;  // null: a shape
  std::unique_ptr<Backbone> backbone;
  double start_seconds = 0;  // of loading
};

// Room for `streams` streams of the given rows per side. Errors: InvalidArgument (no or both of
// model and shape, position limit), those of the backends.
absl::StatusOr<Subject> OpenSubject(const SubjectOptions& options, size_t streams,
                                    int32_t source_rows, int32_t target_rows, Clock* clock);

// Token ids without meaning; speed does not depend on them.
TokenId AnyToken(int64_t index, int64_t vocab);

}  // namespace dragoman::model
