// Opens a backend library (libdragoman_torch.so and the like), checks that it belongs to this build
// and makes backbones with it. It knows no torch and no kernels.
//
// Thread-safe: a library is immutable after Open().
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "model/api/backbone.h"
#include "model/api/backend_module.h"
#include "model/api/backend_options.h"

namespace dragoman::model {

class ModelPackage;

class BackendLibrary : public std::enable_shared_from_this<BackendLibrary> {
 public:
  // Errors, all naming path and remedy: NotFound (no such library, or one of its own libraries is
  // missing), FailedPrecondition (not a backend, or one of another build).
  static absl::StatusOr<std::shared_ptr<BackendLibrary>> Open(const std::string& path);
  ~BackendLibrary();
  BackendLibrary(const BackendLibrary&) = delete;
  BackendLibrary& operator=(const BackendLibrary&) = delete;

  // The backbone keeps the library open for as long as it lives. Errors: those of the backend.
  absl::StatusOr<std::unique_ptr<Backbone>> Create(const ModelPackage& package,
                                                   const BackendOptions& options);

  const std::string& path() const { return path_; }
  std::string name() const { return module_->name; }  // "torch"

 private:
  BackendLibrary(std::string path, void* handle, const BackendModule* module)
      : path_(std::move(path)), handle_(handle), module_(module) {}
  const std::string path_;
  void* const handle_;
  const BackendModule* const module_;
};

// Path of libdragoman_<name>.so: beside the running program in ../lib (build tree) or
// ../lib/dragoman (installed). Errors: NotFound with the places that were tried.
absl::StatusOr<std::string> FindBackendLibrary(const std::string& name);

// Open() and Create() in one. An empty `path` means FindBackendLibrary(name).
absl::StatusOr<std::unique_ptr<Backbone>> LoadBackbone(const std::string& path,
                                                       const std::string& name,
                                                       const ModelPackage& package,
                                                       const BackendOptions& options);

}  // namespace dragoman::model
