// The rival of bench/http: a stock Pistache server that answers every request
// with a constant. What it does not do, nobody can do in less.
//
//   bench_bare_pistache BYTES THREADS
//
// prints its port on 127.0.0.1 and serves until SIGTERM.

#include <pistache/endpoint.h>
#include <pistache/http.h>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>

namespace {

using namespace Pistache;

/// A JSON object of exactly so many bytes.
std::string body_of(std::size_t bytes) {
  const std::string begin = R"({"constant":")";
  const std::string end = R"("})";
  const auto frame = begin.size() + end.size();
  return begin + std::string(bytes > frame ? bytes - frame : 0, 'x') + end;
}

class constant_handler final : public Http::Handler {
public:
  HTTP_PROTOTYPE(constant_handler)

  explicit constant_handler(std::shared_ptr<const std::string> body)
    : body_(std::move(body)) {}

  void onRequest(const Http::Request&, Http::ResponseWriter answer) override {
    answer.send(Http::Code::Ok, *body_, MIME(Application, Json));
  }

private:
  std::shared_ptr<const std::string> body_;
};

int serve(std::size_t bytes, int threads) {
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const auto body = std::make_shared<const std::string>(body_of(bytes));
  Http::Endpoint server{Address{Ipv4::loopback(), Port{0}}};
  server.init(Http::Endpoint::options()
                .threads(threads)
                .flags(Tcp::Options::ReuseAddr | Tcp::Options::NoDelay)
                .maxResponseSize(2 * bytes + 4096));
  server.setHandler(std::make_shared<constant_handler>(body));
  server.serveThreaded();
  std::cout << server.getPort() << std::endl;
  int signal = 0;
  sigwait(&end, &signal);
  server.shutdown();
  return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "Usage: bench_bare_pistache BYTES THREADS\n";
    return EXIT_FAILURE;
  }
  try {
    return serve(std::stoul(argv[1]), std::stoi(argv[2]));
  } catch (const std::exception& error) {
    std::cerr << "bench_bare_pistache: " << error.what() << '\n';
    return EXIT_FAILURE;
  }
}
