// A node of CAF 0.17 that speaks BASP and does nothing else: `serve` listens on
// loopback, `ask` counts round trips, `push` sends batches with a window of
// acknowledgements. With --tls all of them use caf_openssl.

#include <CLI/CLI.hpp>
#include <caf/all.hpp>
#include <caf/io/all.hpp>
#include <caf/openssl/all.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

CAF_BEGIN_TYPE_ID_BLOCK(basp_peer, caf::first_custom_type_id)
  CAF_ADD_TYPE_ID(basp_peer, (std::vector<char>))
CAF_END_TYPE_ID_BLOCK(basp_peer)

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// The SERVER actor interface.
using server_actor = caf::typed_actor<
  // Returns the text.
  caf::replies_to<caf::get_atom, std::string>::with<std::string>,
  // Takes a batch and returns its size.
  caf::replies_to<caf::put_atom, std::vector<char>>::with<std::uint64_t>>;

server_actor::behavior_type server(server_actor::pointer) {
  return {
    [](caf::get_atom, std::string& text) { return std::move(text); },
    [](caf::put_atom, const std::vector<char>& batch) {
      return static_cast<std::uint64_t>(batch.size());
    },
  };
}

// What a request may take before the link counts as dead.
constexpr auto patience = 10s;
// How often `ask` says where it stands.
constexpr auto report_interval = 200ms;

struct options {
  std::string command;
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string tls;
  std::string text = "ping";
  unsigned pause_us = 0;
  std::size_t bytes = 1 << 20;
  unsigned window = 4;
  double seconds = 5;
};

struct config : caf::actor_system_config {
  explicit config(const options& opts) {
    add_message_types<caf::id_block::basp_peer>();
    set("scheduler.max-threads", std::size_t{2});
    set("scheduler.policy", caf::atom("sharing"));
    set("middleman.heartbeat-interval", caf::timespan{5s});
    set("middleman.connection-timeout", caf::timespan{20s});
    load<caf::io::middleman>();
    if (!opts.tls.empty()) {
      openssl_certificate = opts.tls + "/node.crt";
      openssl_key = opts.tls + "/node.key";
      openssl_cafile = opts.tls + "/ca.crt";
      load<caf::openssl::manager>();
    }
  }
};

int fail(const caf::actor_system& sys, const char* what,
         const caf::error& why) {
  std::cout << "{\"error\": \"" << what << ": " << sys.render(why) << "\"}"
            << std::endl;
  return 1;
}

int serve(caf::actor_system& sys, const options& opts) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  auto aut = sys.spawn(server);
  const auto port
    = opts.tls.empty()
        ? sys.middleman().publish(aut, opts.port, opts.host.c_str(), true)
        : caf::openssl::publish(aut, opts.port, opts.host.c_str(), true);
  if (!port)
    return fail(sys, "cannot listen", port.error());
  std::cout << "{\"listening\": " << *port << "}" << std::endl;
  int number = 0;
  sigwait(&set, &number);
  caf::anon_send_exit(aut, caf::exit_reason::user_shutdown);
  return 0;
}

int ask(caf::actor_system& sys, const server_actor& peer, const options& opts) {
  caf::scoped_actor self{sys};
  auto reported = clock_type::now();
  std::uint64_t trips = 0;
  clock_type::duration worst{0};
  clock_type::duration total{0};
  const auto end = reported + std::chrono::duration<double>(opts.seconds);
  while (clock_type::now() < end) {
    const auto begin = clock_type::now();
    caf::error failure;
    self->request(peer, patience, caf::get_atom_v, opts.text)
      .receive([](const std::string&) {},
               [&](caf::error& why) { failure = std::move(why); });
    if (failure)
      return fail(sys, "no answer", failure);
    const auto now = clock_type::now();
    ++trips;
    total += now - begin;
    worst = std::max(worst, now - begin);
    if (now - reported >= report_interval) {
      std::cout << "{\"trips\": " << trips
                << ", \"mean_us\": " << total / 1us / trips
                << ", \"worst_us\": " << worst / 1us << "}" << std::endl;
      reported = now;
      trips = 0;
      total = worst = clock_type::duration{0};
    }
    std::this_thread::sleep_for(std::chrono::microseconds(opts.pause_us));
  }
  return 0;
}

int push(caf::actor_system& sys, const server_actor& peer,
         const options& opts) {
  caf::scoped_actor self{sys};
  // Not all alike, as packets are not.
  std::vector<char> batch(opts.bytes);
  std::uint32_t noise = 1;
  for (auto& byte : batch) {
    noise = noise * 1664525u + 1013904223u;
    byte = static_cast<char>(noise >> 24);
  }
  const auto send
    = [&] { return self->request(peer, patience, caf::put_atom_v, batch); };
  std::deque<decltype(send())> under_way;
  std::uint64_t bytes = 0;
  caf::error failure;
  const auto begin = clock_type::now();
  const auto end = begin + std::chrono::duration<double>(opts.seconds);
  while (!failure && (clock_type::now() < end || !under_way.empty())) {
    while (clock_type::now() < end && under_way.size() < opts.window)
      under_way.push_back(send());
    under_way.front().receive([&](std::uint64_t n) { bytes += n; },
                              [&](caf::error& why) { failure = why; });
    under_way.pop_front();
  }
  if (failure)
    return fail(sys, "no acknowledgement", failure);
  const std::chrono::duration<double> took = clock_type::now() - begin;
  std::cout << "{\"bytes\": " << bytes << ", \"seconds\": " << took.count()
            << "}" << std::endl;
  return 0;
}

int dial(caf::actor_system& sys, const options& opts) {
  auto peer
    = opts.tls.empty()
        ? sys.middleman().remote_actor<server_actor>(opts.host, opts.port)
        : caf::openssl::remote_actor<server_actor>(sys, opts.host, opts.port);
  if (!peer)
    return fail(sys, "cannot connect", peer.error());
  return opts.command == "ask" ? ask(sys, *peer, opts) : push(sys, *peer, opts);
}

} // namespace

int main(int argc, char** argv) {
  options opts;
  CLI::App app{"A node of CAF 0.17 with nothing of edgecap in it"};
  app.add_option("command", opts.command)
    ->required()
    ->check(CLI::IsMember({"serve", "ask", "push"}));
  app.add_option("port", opts.port)->required();
  app.add_option("--host", opts.host, "to listen on, or to connect to");
  app.add_option("--tls", opts.tls, "directory of node.crt, node.key, ca.crt");
  app.add_option("--text", opts.text, "what `ask` sends");
  app.add_option("--pause-us", opts.pause_us, "between two round trips");
  app.add_option("--bytes", opts.bytes, "size of a batch");
  app.add_option("--window", opts.window, "batches under way");
  app.add_option("--seconds", opts.seconds, "how long `ask` and `push` run");
  CLI11_PARSE(app, argc, argv);
  // Before there is a thread: `serve` waits for it.
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  if (opts.command == "serve")
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
  config cfg{opts};
  caf::actor_system sys{cfg};
  return opts.command == "serve" ? serve(sys, opts) : dial(sys, opts);
}
