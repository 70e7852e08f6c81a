#include "tests/support/simulated_disk_core.hpp"

#include <algorithm>
#include <utility>

namespace edgecap::test {

namespace {

/// Paths of the files below a directory, in order.
void collect(const std::string& path, const disk_node& node,
             std::vector<std::string>& result) {
  if (!node.is_directory) {
    result.push_back(path);
    return;
  }
  for (const auto& [name, child] : node.entries)
    collect(path + '/' + name, *child, result);
}

} // namespace

const char* name_of(disk_fault x) {
  static constexpr std::array<const char*, disk_fault_kinds> names{
    "no_space",   "short_write",   "write_error", "sync_error",
    "read_error", "no_descriptor", "slow",        "scripted",
    "cut",        "damaged",       "lost_file",   "process_crash",
    "host_crash", "torn_write",    "lost_write",  "lost_name"};
  return names.at(static_cast<std::size_t>(x));
}

simulated_disk::simulated_disk(std::uint64_t seed)
  : core_(std::make_unique<core>(seed)) {
  core_->start();
}

simulated_disk::~simulated_disk() = default;

capture::file_system& simulated_disk::files() {
  return *core_->processes.back()->files;
}

const std::string& simulated_disk::vfs() const {
  return core_->processes.back()->vfs->name();
}

void simulated_disk::crash(crash_kind kind) {
  if (!core_->down)
    core_->crash(kind);
}

void simulated_disk::crash_at_change(std::uint64_t n, crash_kind kind) {
  core_->crash_change = core_->changes + n;
  core_->crash_change_kind = kind;
}

bool simulated_disk::down() const {
  return core_->down;
}

void simulated_disk::start() {
  crash(crash_kind::process);
  core_->start();
}

void simulated_disk::write_back() {
  core_->write_back(*core_->root);
}

void simulated_disk::set_rates(const disk_rates& rates) {
  core_->rates = rates;
}

void simulated_disk::set_script(script_function script) {
  core_->script = std::move(script);
}

void simulated_disk::set_capacity(std::uint64_t bytes) {
  core_->capacity = bytes;
}

bool simulated_disk::cut(const std::string& path, std::uint64_t size_bytes) {
  const auto node = core_->find(path);
  if (!node || node->is_directory || node->data.size() <= size_bytes)
    return false;
  core_->hit(disk_fault::cut);
  core_->used -= node->data.size() - size_bytes;
  node->changes.clear();
  node->data.resize(size_bytes);
  node->durable = node->data;
  return true;
}

bool simulated_disk::damage(const std::string& path, std::uint64_t offset) {
  const auto node = core_->find(path);
  if (!node || node->is_directory || node->data.size() <= offset)
    return false;
  core_->hit(disk_fault::damaged);
  node->changes.clear();
  auto& byte = node->data[offset];
  byte = static_cast<char>(byte ^ 0x55);
  node->durable = node->data;
  return true;
}

bool simulated_disk::lose(const std::string& path) {
  const auto node = core_->find(path);
  if (!node || node->is_directory)
    return false;
  core_->hit(disk_fault::lost_file);
  if (--node->links == 0)
    core_->used -= node->data.size();
  const auto slash = path.find_last_of('/');
  auto& directory = *core_->find(path.substr(0, slash));
  // What was done to names before is done for good, too.
  for (const auto& naming : std::exchange(directory.namings, {}))
    for (const auto& [name, named] : naming)
      if (named)
        directory.durable_entries[name] = named;
      else
        directory.durable_entries.erase(name);
  directory.entries.erase(path.substr(slash + 1));
  directory.durable_entries.erase(path.substr(slash + 1));
  return true;
}

std::string simulated_disk::harm(const std::string& directory) {
  const auto top = core_->find(directory);
  std::vector<std::string> files;
  if (top)
    collect(directory, *top, files);
  if (files.empty())
    return {};
  auto& draw = core_->chance;
  const auto& path = files[draw.below(files.size())];
  const auto size = core_->find(path)->data.size();
  const auto way = draw.below(3);
  if (way == 0 || size == 0)
    return lose(path) ? "lose " + path : "";
  const auto offset = draw.below(size);
  const auto at = path + " at " + std::to_string(offset);
  if (way == 1)
    return cut(path, offset) ? "cut " + at : "";
  return damage(path, offset) ? "damage " + at : "";
}

bool simulated_disk::take_slow() {
  return std::exchange(core_->was_slow, false);
}

std::uint64_t simulated_disk::calls() const {
  return core_->calls;
}

std::uint64_t simulated_disk::changes() const {
  return core_->changes;
}

std::uint64_t simulated_disk::hits(disk_fault x) const {
  return core_->hits[static_cast<std::size_t>(x)];
}

std::string simulated_disk::report() const {
  std::string result;
  for (std::size_t i = 0; i < disk_fault_kinds; ++i)
    if (core_->hits[i] > 0)
      result += (result.empty() ? "" : ", ")
                + (name_of(static_cast<disk_fault>(i))
                   + (" " + std::to_string(core_->hits[i])));
  return result;
}

std::vector<std::string> simulated_disk::paths() const {
  std::vector<std::string> result;
  collect("", *core_->root, result);
  return result;
}

std::optional<std::string>
simulated_disk::contents(const std::string& path) const {
  const auto node = core_->find(path);
  if (!node || node->is_directory)
    return std::nullopt;
  return node->data;
}

std::uint64_t simulated_disk::used_bytes() const {
  return core_->used;
}

std::size_t simulated_disk::open_files() const {
  return core_->open_files;
}

std::uint64_t simulated_disk::digest() const {
  return core_->past;
}

} // namespace edgecap::test
