// A server as Pistache's documentation has one written, with the routes that
// tests/e2e/test_hazards.py asks for: to show that its tests fail on it.
#include "tests/hazards/arguments.hpp"

#include <pistache/endpoint.h>
#include <pistache/peer.h>
#include <pistache/router.h>

#include <csignal>
#include <exception>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

namespace {

using namespace edgecap::test;
using Pistache::Http::Code;
using Pistache::Http::ResponseWriter;
using Pistache::Rest::Request;
using result = Pistache::Rest::Route::Result;

/// A request that is answered later, with its client, as for a log.
struct held_request {
  ResponseWriter writer;
  std::shared_ptr<Pistache::Tcp::Peer> client;
};

std::mutex held_mutex;
std::map<std::string, held_request> held;

void release(const std::string& name) {
  const std::lock_guard<std::mutex> lock(held_mutex);
  const auto found = held.find(name);
  if (found == held.end())
    return;
  found->second.writer.send(Code::Ok, name);
  held.erase(found);
}

void release_all() {
  const std::lock_guard<std::mutex> lock(held_mutex);
  for (auto& [name, each] : held)
    each.writer.send(Code::Ok, name);
  held.clear();
}

void stream(ResponseWriter writer) {
  std::thread([w = std::move(writer)]() mutable {
    try {
      auto out = w.stream(Code::Ok);
      const std::string piece(piece_bytes, 'x');
      for (std::size_t i = 0; i < stream_pieces; ++i) {
        out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
        out.flush();
      }
      out.ends();
    } catch (const std::exception& error) {
      std::cerr << "stream: " << error.what() << '\n';
    }
  }).detach();
}

void late(ResponseWriter writer) {
  writer.timeoutAfter(std::chrono::seconds(60));
  std::thread([w = std::move(writer)]() mutable {
    w.send(Code::Ok, "late");
  }).detach();
}

void add_routes(Pistache::Rest::Router& router, const std::string& directory) {
  router.get("/small", [](const Request&, ResponseWriter w) {
    w.send(Code::Ok, "small");
    return result::Ok;
  });
  router.post("/echo", [](const Request& asked, ResponseWriter w) {
    w.send(Code::Ok, asked.body());
    return result::Ok;
  });
  router.get("/big", [](const Request&, ResponseWriter w) {
    w.send(Code::Ok, std::string(big_bytes, 'b'));
    return result::Ok;
  });
  router.get("/file/:name",
             [directory](const Request& asked, ResponseWriter w) {
               const auto name = asked.param(":name").as<std::string>();
               Pistache::Http::serveFile(w, directory + '/' + name);
               return result::Ok;
             });
  router.get("/stream", [](const Request&, ResponseWriter w) {
    stream(std::move(w));
    return result::Ok;
  });
  router.get("/held/:name", [](const Request& asked, ResponseWriter w) {
    const std::lock_guard<std::mutex> lock(held_mutex);
    auto client = w.peer();
    held.emplace(asked.param(":name").as<std::string>(),
                 held_request{std::move(w), std::move(client)});
    return result::Ok;
  });
  router.get("/holding", [](const Request&, ResponseWriter w) {
    const std::lock_guard<std::mutex> lock(held_mutex);
    w.send(Code::Ok, std::to_string(held.size()));
    return result::Ok;
  });
  router.get("/release/:name", [](const Request& asked, ResponseWriter w) {
    release(asked.param(":name").as<std::string>());
    w.send(Code::Ok, "released");
    return result::Ok;
  });
  router.get("/late", [](const Request&, ResponseWriter w) {
    late(std::move(w));
    return result::Ok;
  });
  router.get("/throw", [](const Request&, const ResponseWriter&) -> result {
    throw std::runtime_error("secret");
  });
  router.get("/throw-int",
             [](const Request&, const ResponseWriter&) -> result { throw 42; });
  router.post("/location", [](const Request& asked, ResponseWriter w) {
    w.headers().add<Pistache::Http::Header::Location>(asked.body());
    w.send(Code::Ok, "located");
    return result::Ok;
  });
  router.get("/item/:id", [](const Request& asked, ResponseWriter w) {
    w.send(Code::Ok, asked.param(":id").as<std::string>());
    return result::Ok;
  });
}

void serve(const server_arguments& arguments) {
  if (arguments.ignore_sigpipe)
    std::signal(SIGPIPE, SIG_IGN);
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  Pistache::Rest::Router router;
  add_routes(router, arguments.directory);
  Pistache::Http::Endpoint endpoint(
    Pistache::Address("127.0.0.1", Pistache::Port(0)));
  endpoint.init(Pistache::Http::Endpoint::options()
                  .threads(static_cast<int>(arguments.threads))
                  .flags(Pistache::Tcp::Options::ReuseAddr)
                  .maxRequestSize(max_request_bytes)
                  .headerTimeout(arguments.timeout)
                  .bodyTimeout(arguments.timeout)
                  .keepaliveTimeout(arguments.timeout));
  if (!arguments.certificate.empty())
    endpoint.useSSL(arguments.certificate, arguments.key);
  endpoint.setHandler(router.handler());
  endpoint.serveThreaded();
  std::cout << "port " << endpoint.getPort() << std::endl;
  auto signal = 0;
  sigwait(&ends, &signal);
  release_all();
  endpoint.shutdown();
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
