#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/status_macros.h"

namespace dragoman {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

std::string ErrnoText() { return std::strerror(errno); }

// Opens a regular file and gives its size.
absl::Status OpenRegular(const std::string& path, const Descriptor& file, size_t* size) {
  if (file.get() < 0) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be opened: ", ErrnoText()));
  }
  struct stat facts;
  if (fstat(file.get(), &facts) != 0) {
    return absl::DataLossError(absl::StrCat(path, ": ", ErrnoText()));
  }
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not a regular file"));
  }
  *size = static_cast<size_t>(facts.st_size);
  return absl::OkStatus();
}

absl::Status SyncPath(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || fsync(file.get()) != 0) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be synced: ", ErrnoText()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  size_t size = 0;
  DRAGOMAN_RETURN_IF_ERROR(OpenRegular(path, file, &size));
  if (size > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", size, " bytes, limit ", max_bytes));
  }
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = read(file.get(), content.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return absl::DataLossError(absl::StrCat(path, ": cut while it was read"));
    done += static_cast<size_t>(got);
  }
  return content;
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view content) {
  const std::string temporary = absl::StrCat(path, ".tmp.", getpid());
  const auto fail = [&](const char* what) {
    absl::Status status =
        absl::UnavailableError(absl::StrCat(path, ": cannot ", what, ": ", ErrnoText()));
    unlink(temporary.c_str());
    return status;
  };
  {
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.get() < 0) return fail("create a temporary file");
    size_t done = 0;
    while (done < content.size()) {
      const ssize_t put = write(file.get(), content.data() + done, content.size() - done);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return fail("write");
      done += static_cast<size_t>(put);
    }
    if (fsync(file.get()) != 0) return fail("sync");
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) return fail("rename");
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return SyncPath(parent.empty() ? "." : parent);
}

absl::Status ReplaceDirectory(const std::string& temporary, const std::string& target) {
  std::error_code error;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temporary, error)) {
    if (entry.is_regular_file(error)) DRAGOMAN_RETURN_IF_ERROR(SyncPath(entry.path().string()));
  }
  if (error) return absl::UnavailableError(absl::StrCat(temporary, ": ", error.message()));
  const std::string old = target + ".old";
  std::filesystem::remove_all(old, error);
  const bool existed = std::filesystem::exists(target, error);
  if (existed && rename(target.c_str(), old.c_str()) != 0) {
    return absl::UnavailableError(absl::StrCat(target, ": cannot be replaced: ", ErrnoText()));
  }
  if (rename(temporary.c_str(), target.c_str()) != 0) {
    const absl::Status status =
        absl::UnavailableError(absl::StrCat(target, ": cannot be made: ", ErrnoText()));
    if (existed) (void)rename(old.c_str(), target.c_str());
    return status;
  }
  std::filesystem::remove_all(old, error);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  size_t size = 0;
  DRAGOMAN_RETURN_IF_ERROR(OpenRegular(path, file, &size));
  if (size == 0) return std::unique_ptr<MappedFile>(new MappedFile(nullptr, 0));
  void* address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) {
    return absl::DataLossError(absl::StrCat(path, ": cannot be mapped: ", ErrnoText()));
  }
  return std::unique_ptr<MappedFile>(new MappedFile(address, size));
}

MappedFile::~MappedFile() {
  if (address_ != nullptr) munmap(address_, size_);
}

}  // namespace dragoman
