// The hub of hub_server.py, as long as this object lives, and a cache of its own.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace mlxnx::testing_support {

class HubServer {
 public:
  HubServer() {
    int input[2], output[2];
    if (::pipe2(input, O_CLOEXEC) != 0 || ::pipe2(output, O_CLOEXEC) != 0) return;
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(input[0], STDIN_FILENO);
      ::dup2(output[1], STDOUT_FILENO);
      ::execlp("python3", "python3", MLXNX_HUB_SERVER, static_cast<char*>(nullptr));
      ::_exit(127);
    }
    ::close(input[0]);
    ::close(output[1]);
    input_ = input[1];
    FILE* const said = ::fdopen(output[0], "r");
    if (std::fscanf(said, "%d %d", &port_, &other_port_) != 2)
      ADD_FAILURE() << "no hub to test with";
    std::fclose(said);
    // Whatever proxy there is, it has no part in this.
    for (const char* name : {"no_proxy", "NO_PROXY"}) ::setenv(name, "127.0.0.1,host.invalid", 1);
    for (const char* name : {"HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE"})
      ::unsetenv(name);
    ::setenv("HF_HOME", "/nonexistent", 1);
  }
  ~HubServer() {
    ::close(input_);
    ::waitpid(process_, nullptr, 0);
  }
  HubServer(const HubServer&) = delete;
  HubServer& operator=(const HubServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  /// What was asked for since the last call: host, method, path, range, whether a token came.
  std::string requests() const {
    const std::string text = get("/requests");
    get("/forget");
    return text.substr(text.find("\r\n\r\n") + 4);
  }

 private:
  // The whole answer.
  std::string get(const std::string& path) const {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    std::string answer;
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(socket, request.data(), request.size(), 0) > 0) {
      std::array<char, 4096> buffer{};
      for (ssize_t count; (count = ::recv(socket, buffer.data(), buffer.size(), 0)) > 0;)
        answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
    ::close(socket);
    return answer;
  }

  int port_ = 0, other_port_ = 0, input_ = -1;
  pid_t process_ = -1;
};

class TemporaryCache {
 public:
  TemporaryCache() {
    std::string name = (std::filesystem::temp_directory_path() / "mlxnx_hub_XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TemporaryCache() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryCache(const TemporaryCache&) = delete;
  TemporaryCache& operator=(const TemporaryCache&) = delete;

  std::filesystem::path path;
};

}  // namespace mlxnx::testing_support
