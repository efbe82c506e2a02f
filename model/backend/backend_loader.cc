#include "model/backend/backend_loader.h"

#include <dlfcn.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/status_macros.h"
#include "base/thread_name.h"
#include "model/api/forwarding_backbone.h"

namespace dragoman::model {
namespace {

// A backbone whose code lives in a library, which may close only after it.
class LoadedBackbone final : public ForwardingBackbone {
 public:
  LoadedBackbone(std::shared_ptr<BackendLibrary> library, std::unique_ptr<Backbone> backbone)
      : ForwardingBackbone(std::move(backbone)), library_(std::move(library)) {}
  ~LoadedBackbone() override { DestroyInner(); }

 private:
  const std::shared_ptr<BackendLibrary> library_;
};

std::string LoaderMessage() {
  const char* message = dlerror();
  return message == nullptr ? "unknown reason" : message;
}

absl::Status CheckModule(const std::string& path, const BackendModule* module) {
  constexpr char kRemedy[] =
      "; use the library that was built and installed together with this program";
  // The version stands first and is read alone: the rest may look different in another version.
  if (module == nullptr || module->api_version != kBackendApiVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": backend interface version ", module == nullptr ? 0 : module->api_version,
        ", this program has ", kBackendApiVersion, kRemedy));
  }
  if (module->build_id == nullptr || std::strcmp(module->build_id, DRAGOMAN_BUILD_ID) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is of build ", module->build_id == nullptr ? "?" : module->build_id,
                     ", this program of build ", DRAGOMAN_BUILD_ID, kRemedy));
  }
  if (module->create == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": makes no backbones", kRemedy));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<BackendLibrary>> BackendLibrary::Open(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return absl::NotFoundError(
        absl::StrCat(path, ": no such backend library; give its path, or build or install it"));
  }
  // NODELETE: a backend may own threads (OpenMP) that outlive its last object; their code must
  // stay.
  // Compute libraries start threads at load; those inherit the name, so that their time is known
  // from that of the service.
  char caller[16] = "";
  pthread_getname_np(pthread_self(), caller, sizeof(caller));
  NameThisThread("compute");
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  NameThisThread(caller);
  if (handle == nullptr) {
    return absl::NotFoundError(absl::StrCat(
        path, ": cannot be opened: ", LoaderMessage(),
        "; if another library is missing, install it (scripts/bootstrap.sh lists them)"));
  }
  void* symbol = dlsym(handle, kBackendModuleSymbol);
  if (symbol == nullptr) {
    dlclose(handle);
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": is no backend library, it lacks ", kBackendModuleSymbol));
  }
  const auto get_module = reinterpret_cast<const BackendModule* (*)()>(symbol);
  const BackendModule* module = get_module();
  if (const absl::Status status = CheckModule(path, module); !status.ok()) {
    dlclose(handle);
    return status;
  }
  return std::shared_ptr<BackendLibrary>(new BackendLibrary(path, handle, module));
}

BackendLibrary::~BackendLibrary() { dlclose(handle_); }

absl::StatusOr<std::unique_ptr<Backbone>> BackendLibrary::Create(const ModelPackage& package,
                                                                 const BackendOptions& options) {
  DRAGOMAN_ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone, module_->create(package, options));
  return std::make_unique<LoadedBackbone>(shared_from_this(), std::move(backbone));
}

absl::StatusOr<std::string> FindBackendLibrary(const std::string& name) {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) {
    return absl::NotFoundError(
        absl::StrCat("the folder of this program is unknown: ", error.message()));
  }
  const std::filesystem::path root = program.parent_path().parent_path();
  const std::string file = absl::StrCat("libdragoman_", name, ".so");
  std::string tried;
  for (const std::filesystem::path& folder : {root / "lib", root / "lib" / "dragoman"}) {
    const std::string path = (folder / file).string();
    if (std::filesystem::is_regular_file(path, error)) return path;
    absl::StrAppend(&tried, tried.empty() ? "" : " and ", path);
  }
  return absl::NotFoundError(absl::StrCat("backend \"", name, "\" was not found: tried ", tried,
                                          "; build it or give the path of its library"));
}

absl::StatusOr<std::unique_ptr<Backbone>> LoadBackbone(const std::string& path,
                                                       const std::string& name,
                                                       const ModelPackage& package,
                                                       const BackendOptions& options) {
  std::string library_path = path;
  if (library_path.empty()) {
    DRAGOMAN_ASSIGN_OR_RETURN(library_path, FindBackendLibrary(name));
  }
  DRAGOMAN_ASSIGN_OR_RETURN(const std::shared_ptr<BackendLibrary> library,
                            BackendLibrary::Open(library_path));
  return library->Create(package, options);
}

}  // namespace dragoman::model
