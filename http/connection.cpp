#include "http/connection.hpp"

#include "http/response_head.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <utility>

namespace edgecap::http {

namespace {

constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

} // namespace

connection::connection(std::shared_ptr<connection_host> host,
                       connection_options options,
                       capture::shared_descriptor socket,
                       std::string client_address,
                       std::shared_ptr<io_thread> thread)
  : host_(std::move(host)), options_(options), socket_(std::move(socket)),
    client_address_(std::move(client_address)), thread_(std::move(thread)),
    framer_(options.limits), deadline_(clock::now() + options.header_timeout),
    began_(clock::now()) {}

// -- input --------------------------------------------------------------------

void connection::receive(std::string_view bytes) {
  lock_type lock(mutex_);
  if (phase_ == phase::closed)
    return;
  if (phase_ == phase::closing || overflowed_)
    return swallow(bytes.size());
  if (!framer_.append(bytes)) {
    // What fits is a request at least. The answer to it closes, which tells
    // the client that the rest was not looked at (RFC 9112, 9.3.2).
    overflowed_ = true;
    return swallow(bytes.size());
  }
  if (reading() && !pumping_)
    pump(lock);
}

void connection::resume() {
  lock_type lock(mutex_);
  if (reading() && !pumping_)
    pump(lock);
}

/// Serves requests as long as there are complete ones and each is answered at
/// once. An answer that comes later has `resume` called.
void connection::pump(lock_type& lock) {
  pumping_ = true;
  while (reading()) {
    framed_request request;
    const auto status = framer_.next(request);
    if (status == request_framer::status::failed) {
      refuse(lock, framer_.error());
      break;
    }
    if (phase_ == phase::fresh || phase_ == phase::idle)
      began_ = clock::now();
    if (status == request_framer::status::need_more) {
      wait_for_more();
      break;
    }
    phase_ = phase::answering;
    is_head_ = request.method == method::head;
    is_http_1_0_ = request.is_http_1_0;
    keep_alive_ = request.keep_alive && !sends_without_pause();
    const auto began = began_;
    lock.unlock();
    host_->serve(shared_from_this(), std::move(request), began);
    lock.lock();
  }
  pumping_ = false;
}

void connection::wait_for_more() {
  if (gone_ || overflowed_)
    return close();
  if (!framer_.begun())
    return;
  if (phase_ != phase::body && framer_.in_body()) {
    phase_ = phase::body;
    deadline_ = clock::now() + options_.body_timeout;
    // Lost if the socket is full, and then the client is not waiting for it.
    if (framer_.take_continue())
      ::send(*socket_, continue_line.data(), continue_line.size(),
             MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (phase_ == phase::fresh || phase_ == phase::idle) {
    phase_ = phase::head;
    deadline_ = began_ + options_.header_timeout;
  }
}

/// Whether the client has kept the I/O thread busy for `max_burst` requests.
bool connection::sends_without_pause() {
  if (++burst_ < max_burst)
    return false;
  burst_ = 0;
  return framer_.size() > 0 || input_waits();
}

/// Whether the kernel has input that the I/O thread did not read yet.
bool connection::input_waits() const {
  auto bytes = 0;
  return ::ioctl(*socket_, FIONREAD, &bytes) == 0 && bytes > 0;
}

void connection::disconnected() {
  const lock_type lock(mutex_);
  gone_ = true;
  // A client may close its side and still wait for its answers: to the request
  // that is being served, and to those for which `resume` is on its way.
  const auto resumes = phase_ == phase::idle && framer_.size() > 0;
  if (phase_ != phase::answering && !resumes)
    close();
}

// -- answers ------------------------------------------------------------------

void connection::send(response answer, file_slice file) {
  auto keep_alive = false;
  transfer job;
  {
    const lock_type lock(mutex_);
    if (phase_ != phase::answering)
      return; // It was aborted meanwhile.
    keep_alive = keep_alive_ && !overflowed_ && !host_->draining();
    const auto length
      = file.descriptor ? file.length : std::uint64_t{answer.body.size()};
    job.head = response_head(answer, length, keep_alive);
    if (!is_head_ && has_body(answer.status)) {
      if (file.descriptor)
        job.file = std::move(file);
      else
        job.body = std::move(answer.body);
    }
  }
  start(std::move(job), keep_alive);
}

void connection::send_live(const response& head,
                           const std::shared_ptr<live_body>& body) {
  transfer job;
  {
    const lock_type lock(mutex_);
    if (phase_ != phase::answering) {
      body->finished(false);
      return; // It was aborted meanwhile.
    }
    job.chunked = !is_http_1_0_;
    if (!is_head_)
      job.live = body;
  }
  job.head = live_response_head(head, job.chunked);
  const auto sends_body = job.live != nullptr;
  start(std::move(job), false);
  if (!sends_body)
    body->finished(true); // HEAD: there is no more to it.
}

/// Sends what the socket takes at once and leaves the rest to the streamer.
/// Nobody else writes while a request is being served, so that no lock is held
/// during system calls.
void connection::start(transfer job, bool keep_alive) {
  job.socket = socket_;
  const auto progress = job.live ? send_progress::blocked : send_text(job);
  if (progress == send_progress::broken)
    return abort();
  if (progress == send_progress::complete && job.file.length == 0)
    return answered(keep_alive);
  job.done = [self = shared_from_this(), keep_alive](bool complete) {
    if (complete)
      self->answered(keep_alive);
    else
      self->abort();
  };
  host_->send_later(std::move(job));
}

void connection::answered(bool keep_alive) {
  const lock_type lock(mutex_);
  if (phase_ != phase::answering)
    return;
  if (!keep_alive)
    return begin_closing();
  phase_ = phase::idle;
  deadline_ = clock::now() + options_.keep_alive_timeout;
  if (pumping_)
    return; // `pump` looks for itself.
  if (framer_.size() > 0)
    thread_->resume_later(shared_from_this());
  else if (gone_)
    close();
}

void connection::refuse(const api_error& error) {
  lock_type lock(mutex_);
  if (reading())
    refuse(lock, error);
}

/// Writes an error. Unlocks meanwhile: in `closing` nobody else writes.
void connection::refuse(lock_type& lock, const api_error& error) {
  phase_ = phase::closing;
  deadline_ = clock::now() + linger_timeout;
  const auto method_name = std::string(framer_.method_name());
  const auto began = began_;
  lock.unlock();
  host_->refused(method_name, error.status, began);
  auto answer = failure_response(error);
  if (error.status == 503)
    answer.headers.emplace_back("Retry-After", "1");
  transfer job;
  job.socket = socket_;
  job.head = response_head(answer, answer.body.size(), false);
  if (method_name != to_string(method::head))
    job.body = std::move(answer.body);
  // A client whose socket is full has not read its earlier answers; it will
  // not miss this one.
  send_text(job);
  lock.lock();
  if (phase_ == phase::closing)
    begin_closing();
}

// -- the end ------------------------------------------------------------------

void connection::sweep(clock::time_point now) {
  lock_type lock(mutex_);
  if (phase_ == phase::idle && host_->draining() && !input_waits())
    return close();
  if (phase_ == phase::answering || phase_ == phase::closed || now < deadline_)
    return;
  if (phase_ == phase::closing)
    return reset();
  // Then the I/O thread is late, not the client.
  if (input_waits())
    return;
  host_->timed_out();
  if (phase_ != phase::head && phase_ != phase::body)
    return close();
  refuse(lock, {408,
                code::request_timeout,
                phase_ == phase::head ? "The header did not come in time"
                                      : "The body did not come in time",
                {}});
}

void connection::close_if_idle() {
  const lock_type lock(mutex_);
  // What waits to be read is a request that is still to be refused politely.
  if ((phase_ == phase::fresh || phase_ == phase::idle) && !input_waits())
    close();
}

void connection::abort() {
  const lock_type lock(mutex_);
  if (phase_ == phase::answering)
    reset();
  else
    close();
}

void connection::swallow(std::size_t bytes) {
  swallowed_bytes_ += bytes;
  if (swallowed_bytes_ > max_swallowed_bytes)
    reset();
}

void connection::begin_closing() {
  phase_ = phase::closing;
  deadline_ = clock::now() + linger_timeout;
  ::shutdown(*socket_, SHUT_WR);
}

/// Ends a connection that has bytes on their way. An orderly end would leave
/// unsent ones to the kernel, and a client that still sends with a closed
/// window, until it gives up after a minute.
void connection::reset() {
  const linger at_once{1, 0};
  ::setsockopt(*socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close();
}

/// Pistache's I/O thread sees the end of the input and closes its descriptor.
void connection::close() {
  if (phase_ == phase::closed)
    return;
  phase_ = phase::closed;
  ::shutdown(*socket_, SHUT_RDWR);
}

} // namespace edgecap::http
