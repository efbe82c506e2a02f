#include "tests/support/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace dragoman::testing {
namespace {

constexpr int kWaitMs = 30000;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

[[noreturn]] void Fail(const char* what) {
  std::perror(what);
  std::abort();
}

Pipe MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) Fail("pipe2");
  return {fds[0], fds[1]};
}

Pipe MakeTerminal() {
  int master = -1;
  int slave = -1;
  winsize size{};
  size.ws_col = 60;
  size.ws_row = 24;
  if (openpty(&master, &slave, nullptr, nullptr, &size) != 0) Fail("openpty");
  fcntl(master, F_SETFD, FD_CLOEXEC);
  fcntl(slave, F_SETFD, FD_CLOEXEC);
  return {master, slave};
}

void CloseAndForget(int* fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

}  // namespace

ChildProcess::ChildProcess(const ChildOptions& options) {
  const Pipe output = options.terminal_output ? MakeTerminal() : MakePipe();
  const Pipe error = MakePipe();
  Pipe input;
  if (options.terminal_input) {
    input = {output.write_end, dup(output.read_end)};
    fcntl(input.write_end, F_SETFD, FD_CLOEXEC);
  } else {
    input = MakePipe();
  }
  std::map<std::string, std::string> variables = {
      {"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}, {"TERM", "xterm-256color"}};
  // Programs built with a sanitizer need its suppressions.
  for (const char* name : {"ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) variables[name] = value;
  }
  for (const auto& [name, value] : options.environment) variables[name] = value;
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(name + "=" + value);
  // After fork() only async-signal-safe calls: all vectors are made before.
  std::vector<char*> argv;
  for (const std::string& argument : options.arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  std::vector<char*> envp;
  for (const std::string& variable : environment) {
    envp.push_back(const_cast<char*>(variable.c_str()));
  }
  envp.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) Fail("fork");
  if (pid_ == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    dup2(input.read_end, STDIN_FILENO);
    dup2(output.write_end, STDOUT_FILENO);
    dup2(error.write_end, STDERR_FILENO);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  if (!options.terminal_input) close(input.read_end);
  close(output.write_end);
  close(error.write_end);
  input_fd_ = input.write_end;
  output_fd_ = output.read_end;
  error_fd_ = error.read_end;
}

ChildProcess::~ChildProcess() {
  CloseAndForget(&input_fd_);
  CloseAndForget(&output_fd_);
  CloseAndForget(&error_fd_);
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void ChildProcess::WriteInput(const std::string& bytes) {
  size_t begin = 0;
  while (begin < bytes.size()) {
    const ssize_t written = write(input_fd_, bytes.data() + begin, bytes.size() - begin);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the child does not read any more
    begin += static_cast<size_t>(written);
  }
}

void ChildProcess::CloseInput() { CloseAndForget(&input_fd_); }
void ChildProcess::CloseOutput() { CloseAndForget(&output_fd_); }

void ChildProcess::Signal(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

bool ChildProcess::Pump() {
  std::array<pollfd, 2> fds = {{{output_fd_, POLLIN, 0}, {error_fd_, POLLIN, 0}}};
  if (output_fd_ < 0 && error_fd_ < 0) return false;
  const int ready = poll(fds.data(), fds.size(), kWaitMs);
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0) {
    std::fprintf(stderr, "child gave nothing for %d ms, killed\n", kWaitMs);
    Signal(SIGKILL);
    return false;
  }
  const auto take = [](const pollfd& source, int* fd, std::string* text) {
    if (source.revents == 0) return;
    std::array<char, 4096> buffer;
    const ssize_t size = read(source.fd, buffer.data(), buffer.size());
    if (size > 0) {
      text->append(buffer.data(), static_cast<size_t>(size));
    } else if (size == 0 || errno != EINTR) {  // EIO: the terminal has no other end any more
      CloseAndForget(fd);
    }
  };
  take(fds[0], &output_fd_, &output_);
  take(fds[1], &error_fd_, &error_);
  return true;
}

bool ChildProcess::WaitFor(const std::string& stream, const std::string& text) {
  while (stream.find(text) == std::string::npos) {
    if (!Pump()) return false;
  }
  return true;
}

bool ChildProcess::WaitForOutput(const std::string& text) { return WaitFor(output_, text); }
bool ChildProcess::WaitForError(const std::string& text) { return WaitFor(error_, text); }

int ChildProcess::Wait() {
  CloseInput();
  while (Pump()) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace dragoman::testing
