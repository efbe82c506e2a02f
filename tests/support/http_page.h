// An HTTP server for tests: gives each request the bytes that the test makes, then closes.
#pragma once

#include <functional>
#include <string>
#include <thread>

namespace dragoman::testing {

class HttpPage {
 public:
  // Listens at once on a free port of 127.0.0.1. `answer` gets the head of the request and makes
  // the whole answer, status line and all; it runs on the thread of the page.
  explicit HttpPage(std::function<std::string(const std::string& request)> answer);
  ~HttpPage();
  HttpPage(const HttpPage&) = delete;
  HttpPage& operator=(const HttpPage&) = delete;

  std::string url() const;
  // A good answer with this body.
  static std::string Ok(const std::string& body);

 private:
  void Serve();

  const std::function<std::string(const std::string&)> answer_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

}  // namespace dragoman::testing
