#include "http/listener.hpp"

#include "actors/log_event.hpp"
#include "http/client_address.hpp"
#include "http/epoll_inspection.hpp"

#include <pistache/http.h>
#include <pistache/listener.h>
#include <pistache/peer.h>
#include <pistache/transport.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

namespace edgecap::http {

namespace {

/// Runs code that Pistache calls: an exception would end the process.
template <class Function>
void guarded(const char* doing, Function function) noexcept {
  try {
    function();
  } catch (const std::exception& error) {
    log_event{"http-io-error"}
      .with("doing", doing)
      .with("error", error.what())
      .error();
  } catch (...) {
    log_event{"http-io-error"}
      .with("doing", doing)
      .with("error", "not a std::exception")
      .error();
  }
}

/// What the I/O threads share.
struct shared_state {
  std::shared_ptr<connection_owner> owner;
  std::mutex mutex;
  /// Sockets that Pistache has open; guarded by mutex.
  std::set<int> sockets;
  /// Eventfds that Pistache has opened; written before the threads start.
  std::vector<eventfd_identity> eventfds;
};

void set_close_on_exec(int fd) {
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
    throw std::system_error(errno, std::system_category(),
                            "set close-on-exec on a descriptor of Pistache");
}

/// Makes Pistache's descriptors around `fd` close-on-exec and notes them.
/// Returns the epoll descriptor that watches it, or -1.
int adopt_descriptors_around(int fd, shared_state& state) {
  const auto found = find_epoll_watching(fd);
  if (found.epoll_fd >= 0)
    set_close_on_exec(found.epoll_fd);
  for (const auto& each : found.eventfds) {
    set_close_on_exec(each.fd);
    state.eventfds.push_back(each);
  }
  return found.epoll_fd;
}

/// Connections that an I/O thread is to look at again, and its wake-up call.
class resume_queue final : public io_thread {
public:
  resume_queue() {
    const auto fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
      throw std::system_error(errno, std::system_category(),
                              "create an eventfd");
    wake_up_ = capture::unique_descriptor{fd};
  }

  void resume_later(std::shared_ptr<connection> which) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_)
      return;
    waiting_.push_back(std::move(which));
    // Fails only if the counter is full, and then the thread wakes anyway.
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(fd(), &one, sizeof one);
  }

  void resume_all() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto drained = ::read(fd(), &count, sizeof count);
    std::vector<std::shared_ptr<connection>> ready;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ready.swap(waiting_);
    }
    for (const auto& each : ready)
      each->resume();
  }

  /// Drops what waits: the thread has ended.
  void close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    waiting_.clear();
  }

  int fd() const {
    return wake_up_.get();
  }

private:
  capture::unique_descriptor wake_up_;
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::shared_ptr<connection>> waiting_;
};

/// Pistache's transport, that is, one of its I/O threads, with a wake-up call.
class transport final : public Pistache::Tcp::Transport {
public:
  transport(const std::shared_ptr<Pistache::Tcp::Handler>& handler,
            std::shared_ptr<shared_state> state)
    : Transport(handler), prototype_(handler), state_(std::move(state)),
      queue_(std::make_shared<resume_queue>()) {}

  ~transport() override {
    queue_->close();
  }

  /// Pistache clones a prototype for each thread.
  std::shared_ptr<Pistache::Aio::Handler> clone() const override {
    return std::make_shared<transport>(prototype_->clone(), state_);
  }

  void registerPoller(Pistache::Polling::Epoll& poller) override {
    using namespace Pistache::Polling;
    Transport::registerPoller(poller);
    poller.addFd(queue_->fd(), Pistache::Flags<NotifyOn>(NotifyOn::Read),
                 Tag(static_cast<std::uint64_t>(queue_->fd())));
    adopt_descriptors_around(queue_->fd(), *state_);
  }

  void onReady(const Pistache::Aio::FdSet& ready) override {
    const auto wake_up
      = Pistache::Polling::Tag(static_cast<std::uint64_t>(queue_->fd()));
    for (const auto& entry : ready)
      if (entry.getTag() == wake_up)
        guarded("resume connections", [this] { queue_->resume_all(); });
    guarded("serve sockets", [&] { Transport::onReady(ready); });
  }

  std::shared_ptr<io_thread> thread() const {
    return queue_;
  }

private:
  std::shared_ptr<Pistache::Tcp::Handler> prototype_;
  std::shared_ptr<shared_state> state_;
  std::shared_ptr<resume_queue> queue_;
};

/// Takes the place of Pistache's parser: hands bytes to our connections. Each
/// I/O thread has its own.
class input_handler final : public Pistache::Http::Handler {
public:
  HTTP_PROTOTYPE(input_handler)

  using peer_ptr = std::shared_ptr<Pistache::Tcp::Peer>;

  explicit input_handler(std::shared_ptr<shared_state> state)
    : state_(std::move(state)) {}

  void onRequest(const Pistache::Http::Request&,
                 Pistache::Http::ResponseWriter) override {
    // Never called: Pistache's parser gets no bytes of a connection.
  }

  void onConnection(const peer_ptr& peer) override {
    guarded("accept a connection", [&] { accept(*peer); });
  }

  void onInput(const char* data, std::size_t size,
               const peer_ptr& peer) override {
    guarded("take input", [&] {
      const auto found = connections_.find(peer->fd());
      if (found != connections_.end())
        found->second->receive({data, size});
    });
  }

  void onDisconnection(const peer_ptr& peer) override {
    guarded("end a connection", [&] {
      {
        const std::lock_guard<std::mutex> lock(state_->mutex);
        state_->sockets.erase(peer->fd());
      }
      const auto found = connections_.find(peer->fd());
      if (found == connections_.end())
        return;
      const auto which = std::move(found->second);
      connections_.erase(found);
      which->disconnected();
      state_->owner->disconnected(which);
    });
  }

private:
  void accept(const Pistache::Tcp::Peer& peer) {
    {
      const std::lock_guard<std::mutex> lock(state_->mutex);
      state_->sockets.insert(peer.fd());
    }
    std::shared_ptr<connection> accepted;
    const auto fd = ::fcntl(peer.fd(), F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
      accepted = state_->owner->connected(
        share(capture::unique_descriptor{fd}), client_address(peer),
        static_cast<http::transport*>(transport())->thread());
    else
      log_event{"http-no-descriptor"}
        .with("error", std::system_category().message(errno))
        .error();
    if (accepted)
      connections_.emplace(peer.fd(), std::move(accepted));
    else
      ::shutdown(peer.fd(), SHUT_RDWR);
  }

  /// An IPv4 client of an IPv6 socket is shown as what it is.
  static std::string client_address(const Pistache::Tcp::Peer& peer) {
    auto address = peer.address().host();
    return canonical_address(address).value_or(address);
  }

  std::shared_ptr<shared_state> state_;
  /// By the socket of Pistache, whose number is the peer's until it is
  /// disconnected. Not kept in the peer itself: Pistache may drop that on its
  /// accepting thread.
  std::unordered_map<int, std::shared_ptr<connection>> connections_;
};

/// @throws std::runtime_error unless `address` is a literal.
Pistache::Address to_pistache(const std::string& address, std::uint16_t port) {
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, address.c_str(), &v4) == 1)
    return {address, Pistache::Port(port)};
  if (::inet_pton(AF_INET6, address.c_str(), &v6) == 1)
    return {'[' + address + ']', Pistache::Port(port)};
  throw std::runtime_error("not an IPv4 or IPv6 address");
}

std::string display(const std::string& address, std::uint16_t port) {
  const auto is_v6 = address.find(':') != std::string::npos;
  return (is_v6 ? '[' + address + ']' : address) + ':' + std::to_string(port);
}

/// Whether `fd` is a socket that listens on exactly this address.
bool listens_on(int fd, const std::string& address, std::uint16_t port) {
  auto listens = 0;
  socklen_t size = sizeof listens;
  sockaddr_storage name{};
  socklen_t name_size = sizeof name;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0
      || listens == 0
      || ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &name_size) != 0)
    return false;
  in6_addr wanted{};
  if (name.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&name);
    return ::inet_pton(AF_INET, address.c_str(), &wanted) == 1
           && ntohs(v4->sin_port) == port
           && std::memcmp(&v4->sin_addr, &wanted, sizeof v4->sin_addr) == 0;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&name);
  return ::inet_pton(AF_INET6, address.c_str(), &wanted) == 1
         && ntohs(v6->sin6_port) == port
         && std::memcmp(&v6->sin6_addr, &wanted, sizeof wanted) == 0;
}

/// Pistache keeps its listening descriptor to itself. No other socket can
/// listen on the same address.
int find_listening_descriptor(const std::string& address, std::uint16_t port) {
  constexpr auto max_scanned = 65536;
  for (auto fd = 0; fd < max_scanned; ++fd)
    if (listens_on(fd, address, port))
      return fd;
  return -1;
}

} // namespace

class listener::impl {
public:
  impl(const std::string& address, std::uint16_t port, std::uint32_t threads,
       std::shared_ptr<connection_owner> owner)
    : state_(std::make_shared<shared_state>()) {
    using Pistache::Tcp::Options;
    state_->owner = std::move(owner);
    try {
      const auto where = to_pistache(address, port);
      const auto handler = std::make_shared<input_handler>(state_);
      pistache_ = std::make_unique<Pistache::Tcp::Listener>(where);
      pistache_->init(threads,
                      Pistache::Flags<Options>(Options::ReuseAddr)
                        | Options::NoDelay | Options::CloseOnExec,
                      "http", backlog);
      pistache_->setHandler(handler);
      pistache_->setTransportFactory([handler, state = state_] {
        return std::make_shared<transport>(handler, state);
      });
      pistache_->bind();
    } catch (const std::exception& error) {
      throw std::runtime_error("listen on " + display(address, port) + ": "
                               + error.what());
    }
    port_ = pistache_->getPort();
    pistache_->runThreaded();
    listening_fd_ = find_listening_descriptor(address, port_);
    epoll_fd_ = adopt_descriptors_around(listening_fd_, *state_);
  }

  ~impl() {
    // Joins all threads; nobody uses Pistache's descriptors from here on.
    pistache_.reset();
    for (const auto fd : state_->sockets)
      ::close(fd);
    for (const auto& each : state_->eventfds)
      if (is_still_open(each))
        ::close(each.fd);
  }

  std::uint16_t port() const {
    return port_;
  }

  void watch_descriptors() {
    const auto spare = ::fcntl(listening_fd_, F_DUPFD_CLOEXEC, 0);
    const auto none_left = spare < 0 && (errno == EMFILE || errno == ENFILE);
    if (spare >= 0)
      ::close(spare);
    if (none_left != paused_)
      pause(none_left);
  }

private:
  void pause(bool wanted) {
    // As Pistache has added it, but for the events.
    epoll_event watched{};
    watched.events = wanted ? 0u : std::uint32_t{EPOLLIN};
    watched.data.u64 = static_cast<std::uint64_t>(listening_fd_);
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, listening_fd_, &watched) != 0)
      return;
    paused_ = wanted;
    if (wanted)
      log_event{"http-accepting-paused"}
        .with("error", "no descriptor is left")
        .error();
    else
      log_event{"http-accepting-resumed"}.info();
  }

  std::shared_ptr<shared_state> state_;
  std::unique_ptr<Pistache::Tcp::Listener> pistache_;
  std::uint16_t port_ = 0;
  int listening_fd_ = -1; ///< Pistache's, like the next.
  int epoll_fd_ = -1;     ///< Where it waits for connections.
  bool paused_ = false;   ///< It waits for none.
};

listener::listener(const std::string& address, std::uint16_t port,
                   std::uint32_t threads,
                   std::shared_ptr<connection_owner> owner)
  : impl_(std::make_unique<impl>(address, port, threads, std::move(owner))) {}

listener::~listener() = default;

std::uint16_t listener::port() const {
  return impl_->port();
}

void listener::watch_descriptors() {
  impl_->watch_descriptors();
}

} // namespace edgecap::http
