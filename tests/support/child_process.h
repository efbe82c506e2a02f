// Runs a program as a child for tests of command lines: real pipes or a real terminal, signals, and
// waiting for output instead of sleeping.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace dragoman::testing {

struct ChildOptions {
  std::vector<std::string> arguments;              // [0] is the path of the program
  std::map<std::string, std::string> environment;  // added to a small fixed environment
  bool terminal_output = false;                    // standard output is a terminal
  bool terminal_input = false;                     // standard input is that terminal too
};

// One thread only. Every wait ends by itself after 30 s; the child is then killed.
class ChildProcess {
 public:
  explicit ChildProcess(const ChildOptions& options);
  // Kills and reaps a child that still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void WriteInput(const std::string& bytes);
  void CloseInput();
  // Closes our end of its standard output, so that its next write fails.
  void CloseOutput();
  void Signal(int signal);
  // Reads until standard output (or error) holds `text`; false when the child closed it before.
  bool WaitForOutput(const std::string& text);
  bool WaitForError(const std::string& text);
  // Closes the input, reads all output, reaps. The exit code, or -signal when a signal ended it.
  int Wait();

  pid_t pid() const { return pid_; }
  const std::string& output() const { return output_; }
  const std::string& error() const { return error_; }

 private:
  bool Pump();  // reads what is there, blocks for the first byte; false: both streams are closed
  bool WaitFor(const std::string& stream, const std::string& text);

  pid_t pid_ = -1;
  int input_fd_ = -1;
  int output_fd_ = -1;
  int error_fd_ = -1;
  std::string output_;
  std::string error_;
};

}  // namespace dragoman::testing
