#include "tests/fuzz/campaign/supply.hpp"

#include "tests/fuzz/campaign/grammar.hpp"
#include "tests/support/http_client.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <exception>
#include <stdexcept>

namespace edgecap::fuzz {

namespace {

using nlohmann::json;

/// How often the jobs are looked at.
constexpr std::chrono::milliseconds interval{200};

/// Looks at the first two jobs, before there is none for certain.
constexpr int first_looks = 100;

/// The result of a call of the API; null if it failed.
json ask(std::uint16_t port, const std::string& method,
         const std::string& below, const std::string& body = {}) {
  test::http_client client{port};
  const auto got = client.ask(
    method, "/client/v4/accounts/" + std::string{account} + "/pcaps" + below,
    "Authorization: Bearer " + std::string{full_token} + "\r\n", body);
  const auto parsed = json::parse(got.body, nullptr, false);
  return got.status == 200 && parsed.is_object() ? parsed["result"] : json{};
}

/// Creates a job; returns its id, empty if there may be none now.
std::string create(std::uint16_t port, int time_limit, int packet_limit,
                   const json& filter) {
  const json body{{"type", "simple"},
                  {"system", "magic-transit"},
                  {"time_limit", time_limit},
                  {"packet_limit", packet_limit},
                  {"filter_v1", filter}};
  const auto job = ask(port, "POST", "", body.dump());
  return job.is_null() ? std::string{} : job["id"].get<std::string>();
}

/// The job's status, empty if there is no such job.
std::string status_of(std::uint16_t port, const std::string& id) {
  if (id.empty())
    return {};
  const auto job = ask(port, "GET", '/' + id);
  return job.is_null() ? std::string{} : job["status"].get<std::string>();
}

} // namespace

supply::supply(std::uint16_t port) : port_(port) {
  for (auto left = first_looks; ended_job().empty() || running_job().empty();
       --left) {
    if (left == 0)
      throw std::runtime_error{"the daemon gives no jobs"};
    renew();
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, interval);
  }
  thread_ = std::thread{[this] { run(); }};
}

supply::~supply() {
  {
    const std::lock_guard lock{mutex_};
    stopped_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string supply::ended_job() const {
  const std::lock_guard lock{mutex_};
  return ended_;
}

std::string supply::running_job() const {
  const std::lock_guard lock{mutex_};
  return running_;
}

void supply::run() {
  std::unique_lock lock{mutex_};
  while (!changed_.wait_for(lock, interval, [this] { return stopped_; })) {
    lock.unlock();
    try {
      renew();
    } catch (const std::exception&) {
      // A busy daemon refuses or closes; whether it lives is asked elsewhere.
    }
    lock.lock();
  }
}

void supply::renew() {
  renew_ended();
  renew_running();
}

/// What is downloaded has the campaign's own packets.
void supply::renew_ended() {
  const auto usable = [this](const std::string& id) {
    return status_of(port_, id) == "success";
  };
  if (usable(ended_job()))
    return;
  std::string next = ending_;
  if (status_of(port_, next).empty())
    next = create(port_, 2, 100, json::object());
  const auto ready = usable(next);
  const std::lock_guard lock{mutex_};
  ending_ = ready ? std::string{} : next;
  if (ready)
    ended_ = next;
}

/// Port 9 is where nobody sends to.
void supply::renew_running() {
  if (status_of(port_, running_job()) == "pending")
    return;
  auto next = create(port_, 300, 1, {{"destination_port", 9}});
  if (next.empty())
    return;
  const std::lock_guard lock{mutex_};
  running_ = std::move(next);
}

} // namespace edgecap::fuzz
