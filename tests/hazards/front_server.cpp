// The routes of stock_server.cpp, served by our frontend.
#include "http/front.hpp"
#include "tests/hazards/arguments.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

using namespace edgecap::http;
using namespace edgecap::test;

/// For answers under way when the end comes.
constexpr std::chrono::milliseconds drain_patience{2000};

response text(std::string body, int status = 200) {
  response answer;
  answer.status = status;
  answer.content_type = "text/plain";
  answer.body = std::move(body);
  return answer;
}

std::mutex held_mutex;
std::map<std::string, reply> held;

void release(const std::string& name) {
  const std::lock_guard<std::mutex> lock(held_mutex);
  const auto found = held.find(name);
  if (found == held.end())
    return;
  found->second.send(text(name));
  held.erase(found);
}

void release_all() {
  const std::lock_guard<std::mutex> lock(held_mutex);
  for (auto& [name, each] : held)
    each.send(text(name));
  held.clear();
}

/// Answers with a regular file below `directory`, at the size it has now.
void send_file(const std::string& directory, const std::string& name,
               reply to) {
  const auto fd
    = ::open((directory + '/' + name).c_str(), O_RDONLY | O_CLOEXEC);
  const std::shared_ptr<const int> file{new int(fd), [](const int* owned) {
                                          if (*owned >= 0)
                                            ::close(*owned);
                                          delete owned;
                                        }};
  struct stat what {};
  if (fd < 0 || ::fstat(fd, &what) != 0 || !S_ISREG(what.st_mode))
    return to.send(text("no such file", 404));
  to.send_file(text(""), {file, 0, static_cast<std::uint64_t>(what.st_size)});
}

void answer_elsewhere(reply to, std::string body) {
  auto kept = std::make_shared<reply>(std::move(to));
  std::thread([kept, body = std::move(body)] {
    kept->send(text(body));
  }).detach();
}

std::vector<route> routes(const std::string& directory) {
  return {
    {method::get, "/small",
     [](const request&, reply to) { to.send(text("small")); }},
    {method::post, "/echo",
     [](const request& asked, reply to) { to.send(text(asked.body)); }},
    {method::get, "/big",
     [](const request&, reply to) {
       to.send(text(std::string(big_bytes, 'b')));
     }},
    {method::get, "/file/:name",
     [directory](const request& asked, reply to) {
       send_file(directory, asked.params.at("name"), std::move(to));
     }},
    {method::get, "/stream",
     [](const request&, reply to) {
       answer_elsewhere(std::move(to),
                        std::string(stream_pieces * piece_bytes, 'x'));
     }},
    {method::get, "/held/:name",
     [](const request& asked, reply to) {
       const std::lock_guard<std::mutex> lock(held_mutex);
       held.emplace(asked.params.at("name"), std::move(to));
     }},
    {method::get, "/holding",
     [](const request&, reply to) {
       const std::lock_guard<std::mutex> lock(held_mutex);
       to.send(text(std::to_string(held.size())));
     }},
    {method::get, "/release/:name",
     [](const request& asked, reply to) {
       release(asked.params.at("name"));
       to.send(text("released"));
     }},
    {method::get, "/late",
     [](const request&, reply to) { answer_elsewhere(std::move(to), "late"); }},
    {method::get, "/throw",
     [](const request&, const reply&) { throw std::runtime_error("secret"); }},
    {method::get, "/throw-int", [](const request&, const reply&) { throw 42; }},
    {method::post, "/location",
     [](const request& asked, reply to) {
       auto answer = text("located");
       answer.headers.emplace_back("Location", asked.body);
       to.send(std::move(answer));
     }},
    {method::get, "/item/:id",
     [](const request& asked, reply to) {
       to.send(text(asked.params.at("id")));
     }},
  };
}

void serve(const server_arguments& arguments) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  front_options options;
  options.threads = arguments.threads;
  options.max_target_bytes = max_request_bytes;
  options.max_header_bytes = max_request_bytes;
  options.header_timeout = arguments.timeout;
  options.body_timeout = arguments.timeout;
  options.keep_alive_timeout = arguments.timeout;
  options.stall_timeout = arguments.timeout;
  front server(options, routes(arguments.directory), nullptr);
  std::cout << "port " << server.port() << std::endl;
  auto signal = 0;
  sigwait(&ends, &signal);
  release_all();
  server.drain(drain_patience);
}

} // namespace

int main(int argc, char** argv) {
  try {
    serve(parse_arguments(argc, argv));
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
