#include "actors/savefile_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

namespace edgecap {

namespace {

namespace fs = std::filesystem;

using capture::unique_descriptor;

/// Nobody but the service and its group sees packets.
constexpr mode_t directory_mode = 0750;
constexpr mode_t file_mode = 0640;

/// A run says nothing of its snaplen, for a batch does not: it declares the
/// largest one there is.
constexpr std::uint32_t run_snaplen_bytes = 262144;

constexpr std::size_t id_length = 32;
constexpr std::string_view run_prefix = "run-";
constexpr std::string_view run_suffix = ".pcap";

std::string words(int error) {
  return std::generic_category().message(error);
}

/// The error of a system call that has just failed.
tl::unexpected<store_error> system_failure(const std::string& what,
                                           int error = errno) {
  const auto full = error == ENOSPC || error == EDQUOT;
  return store_failure(full ? store_errc::full : store_errc::unavailable,
                       what + ": " + words(error));
}

stored<void> sync_directory(const fs::path& directory) {
  const unique_descriptor fd{
    ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (fd.get() < 0 || ::fsync(fd.get()) != 0)
    return system_failure("sync directory " + directory.string());
  return {};
}

stored<void> make_directory(const fs::path& directory) {
  if (::mkdir(directory.c_str(), directory_mode) == 0)
    return {};
  const auto error = errno;
  std::error_code ignored; // mkdir's words are the better ones
  if (error == EEXIST && fs::is_directory(directory, ignored))
    return {};
  return system_failure("create directory " + directory.string(), error);
}

/// Removes a file that need not be there.
stored<void> remove_file(const fs::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT)
    return system_failure("remove " + file.string());
  return {};
}

/// Writes all of `parts` at `offset`, in one call unless the system takes less.
/// Returns 0 or the error number.
int write_all(int fd, std::array<iovec, 2> parts, std::uint64_t offset) {
  auto* part = parts.data();
  auto* const end = part + parts.size();
  while (part != end) {
    if (part->iov_len == 0) {
      ++part;
      continue;
    }
    const auto n = ::pwritev(fd, part, static_cast<int>(end - part),
                             static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return n == 0 ? EIO : errno;
    offset += static_cast<std::uint64_t>(n);
    auto left = static_cast<std::size_t>(n);
    while (part != end && left >= part->iov_len)
      left -= (part++)->iov_len;
    if (part != end) {
      part->iov_base = static_cast<char*>(part->iov_base) + left;
      part->iov_len -= left;
    }
  }
  return 0;
}

iovec as_iovec(const std::byte* data, std::size_t size) {
  // iovec serves reads as well, hence its pointer to non-const.
  return {const_cast<std::byte*>(data), size};
}

/// Number of the run in a file's name, if it is one of ours.
std::optional<std::uint32_t> run_of(const std::string& name) {
  const auto digits
    = name.size()
      - std::min(name.size(), run_prefix.size() + run_suffix.size());
  if (digits == 0 || name.compare(0, run_prefix.size(), run_prefix) != 0
      || name.compare(run_prefix.size() + digits, run_suffix.size(), run_suffix)
           != 0)
    return std::nullopt;
  std::uint32_t result = 0;
  const auto* first = name.data() + run_prefix.size();
  const auto [last, error] = std::from_chars(first, first + digits, result);
  if (error != std::errc{} || last != first + digits
      || result >= savefile_store::max_runs_per_job)
    return std::nullopt;
  return result;
}

/// Id of the job that a file below `savefiles/` belongs to, as a part of its
/// name; empty if the name is none of ours.
std::string_view owner_of(std::string_view name) {
  static constexpr std::array<std::string_view, 4> endings{
    ".pcap", ".pcapng", ".pcap.part", ".pcapng.part"};
  const auto id = name.substr(0, id_length);
  const auto rest = name.substr(id.size());
  if (!is_job_id(id)
      || std::find(endings.begin(), endings.end(), rest) == endings.end())
    return {};
  return id;
}

/// Names of the entries of a directory.
stored<std::vector<std::string>> names_in(const fs::path& directory) {
  std::error_code error;
  std::vector<std::string> result;
  auto i = fs::directory_iterator{directory, error};
  for (; !error && i != fs::directory_iterator{}; i.increment(error))
    result.push_back(i->path().filename().string());
  if (error)
    return system_failure("list directory " + directory.string(),
                          error.value());
  return result;
}

stored<unique_descriptor> lock(const fs::path& file) {
  unique_descriptor fd{
    ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, file_mode)};
  if (fd.get() < 0)
    return system_failure("open lock file " + file.string());
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0)
    return fd;
  const auto error = errno;
  if (error == EWOULDBLOCK)
    return store_failure(store_errc::unavailable,
                         "lock " + file.string()
                           + ": another edgecapd uses this directory");
  return system_failure("lock " + file.string(), error);
}

} // namespace

bool is_job_id(std::string_view x) {
  return x.size() == id_length && std::all_of(x.begin(), x.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// -- opening ------------------------------------------------------------------

savefile_store::savefile_store(options opts, unique_descriptor lock)
  : options_(std::move(opts)), lock_(std::move(lock)) {}

savefile_store::~savefile_store() = default;

stored<std::unique_ptr<savefile_store>> savefile_store::open(options opts) {
  const auto& root = opts.directory;
  std::error_code error;
  if (root.has_parent_path())
    fs::create_directories(root.parent_path(), error);
  if (error)
    return system_failure("create directory " + root.parent_path().string(),
                          error.value());
  if (auto made = make_directory(root); !made)
    return tl::unexpected<store_error>{made.error()};
  // Before anything else is touched.
  auto fd = lock(root / "lock");
  if (!fd)
    return tl::unexpected<store_error>{fd.error()};
  std::unique_ptr<savefile_store> result{
    new savefile_store{std::move(opts), std::move(*fd)}};
  for (const auto* name : {"jobs", "savefiles"})
    if (auto made = make_directory(result->directory() / name); !made)
      return tl::unexpected<store_error>{made.error()};
  if (auto synced = sync_directory(result->directory()); !synced)
    return tl::unexpected<store_error>{synced.error()};
  return result;
}

// -- runs ---------------------------------------------------------------------

stored<void> savefile_store::append(const std::string& id, std::uint32_t run,
                                    const capture::packet_batch& batch) {
  const auto what = "append to run " + std::to_string(run) + " of job " + id;
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable, what + ": invalid job id");
  if (run >= max_runs_per_job)
    return store_failure(store_errc::unavailable,
                         what + ": a job has at most "
                           + std::to_string(max_runs_per_job) + " runs");
  if (batch.empty())
    return {};
  auto& x = runs_[id][run];
  if (x.info.packets > 0 && x.info.link != batch.link())
    return store_failure(store_errc::unavailable,
                         what + ": its link type changed");
  if (!x.fd)
    if (auto opened = open_descriptor(id, run, x); !opened)
      return opened;
  open_.splice(open_.end(), open_, x.use);
  const auto header = capture::savefile_header(
    batch.link(), run_snaplen_bytes, capture::time_precision::nanoseconds);
  const auto header_bytes = x.info.packets == 0 ? header.size() : 0;
  const auto error = write_all(x.fd.get(),
                               {as_iovec(header.data(), header_bytes),
                                as_iovec(batch.data(), batch.size_bytes())},
                               x.size_bytes);
  if (error != 0) {
    // Should this fail too, the next batch overwrites the torn tail or the
    // seal cuts it off: `size_bytes` knows where the last whole record ends.
    if (::ftruncate(x.fd.get(), static_cast<off_t>(x.size_bytes)) != 0)
      close_descriptor(x);
    return system_failure("write " + run_path(id, run).string(), error);
  }
  x.info.link = batch.link();
  if (!batch.ordered() || batch.first_time() < x.last_time)
    x.info.ordered = false;
  x.last_time = std::max(x.last_time, batch.last_time());
  x.info.packets += batch.packets();
  x.info.captured_bytes += batch.captured_bytes();
  x.size_bytes += header_bytes + batch.size_bytes();
  return {};
}

run_infos savefile_store::runs(const std::string& id) const {
  run_infos result;
  const auto i = runs_.find(id);
  if (i == runs_.end())
    return result;
  for (const auto& [run, x] : i->second)
    if (x.info.packets > 0)
      result.emplace(run, x.info);
  return result;
}

stored<run_infos> savefile_store::adopt_runs(const std::string& id) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "read runs of job " + id + ": invalid job id");
  const auto directory = runs_path(id);
  std::error_code ignored; // What cannot be looked at cannot be listed either.
  if (!fs::exists(fs::symlink_status(directory, ignored)))
    return run_infos{};
  const auto names = names_in(directory);
  if (!names)
    return tl::unexpected<store_error>{names.error()};
  for (const auto& name : *names)
    if (const auto run = run_of(name))
      if (auto adopted = adopt_run(id, *run); !adopted)
        return tl::unexpected<store_error>{adopted.error()};
  return runs(id);
}

stored<void> savefile_store::adopt_run(const std::string& id,
                                       std::uint32_t run) {
  const auto file = run_path(id, run);
  const auto found = capture::scan_run(file);
  if (!found && found.error().code != capture::capture_errc::bad_savefile)
    return store_failure(store_errc::unavailable, found.error().message);
  // Not even a header, or nothing behind it: a crash at the first batch.
  if (!found || found->packets == 0)
    return remove_file(file);
  if (found->torn
      && ::truncate(file.c_str(), static_cast<off_t>(found->whole_bytes)) != 0)
    return system_failure("cut off torn tail of " + file.string());
  auto& x = runs_[id][run];
  x.info = {found->link, found->packets, found->captured_bytes, found->ordered};
  x.size_bytes = found->whole_bytes;
  return {};
}

stored<void> savefile_store::drop_runs(const std::string& id) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "remove runs of job " + id + ": invalid job id");
  if (const auto i = runs_.find(id); i != runs_.end()) {
    for (auto& [run, x] : i->second)
      close_descriptor(x);
    runs_.erase(i);
  }
  std::error_code error;
  const auto directory = runs_path(id);
  fs::remove_all(directory, error);
  if (error)
    return system_failure("remove " + directory.string(), error.value());
  return {};
}

// -- sealing ------------------------------------------------------------------

stored<std::unique_ptr<capture::merge>>
savefile_store::open_merge(const std::string& id,
                           std::map<std::uint32_t, capture::merge_input> inputs,
                           bool pcapng, capture::time_precision precision) {
  if (auto cut = cut_off_torn_tails(id); !cut)
    return tl::unexpected<store_error>{cut.error()};
  // A crash may have left one that is a link to a run: to write to it would be
  // to write to the run.
  if (auto gone = discard_parts(id); !gone)
    return tl::unexpected<store_error>{gone.error()};
  for (const auto& [run, info] : runs(id)) {
    const auto input = inputs.find(run);
    if (input == inputs.end())
      return store_failure(store_errc::damaged, "merge job " + id + ": run "
                                                  + std::to_string(run)
                                                  + " has no interface");
    input->second.run = run_path(id, run);
    input->second.link = info.link;
    input->second.ordered = info.ordered;
  }
  std::vector<capture::merge_input> in_order;
  for (auto& [run, input] : inputs)
    in_order.push_back(std::move(input));
  capture::merge_options opts;
  opts.pcap = part_path(id, savefile_format::pcap);
  if (pcapng)
    opts.pcapng = part_path(id, savefile_format::pcapng);
  opts.snaplen_bytes = run_snaplen_bytes;
  opts.precision = precision;
  auto opened = capture::merge::open(std::move(in_order), std::move(opts));
  if (!opened)
    return store_failure(store_errc::unavailable, opened.error().message);
  return std::move(*opened);
}

stored<std::optional<std::uint64_t>>
savefile_store::link_only_run(const std::string& id) {
  const auto all = runs(id);
  if (all.size() != 1 || !all.begin()->second.ordered)
    return std::nullopt;
  if (auto cut = cut_off_torn_tails(id); !cut)
    return tl::unexpected<store_error>{cut.error()};
  const auto run = all.begin()->first;
  const auto file = run_path(id, run);
  const auto part = part_path(id, savefile_format::pcap);
  if (auto removed = remove_file(part); !removed)
    return tl::unexpected<store_error>{removed.error()};
  const unique_descriptor fd{
    ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  if (!fd || ::fsync(fd.get()) != 0)
    return system_failure("sync " + file.string());
  if (::link(file.c_str(), part.c_str()) == 0)
    return runs_.at(id).at(run).size_bytes;
  if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK)
    return std::nullopt;
  return system_failure("link " + file.string() + " to " + part.string());
}

stored<void> savefile_store::publish(const std::string& id, bool pcapng) {
  std::vector<savefile_format> formats{savefile_format::pcap};
  if (pcapng)
    formats.insert(formats.begin(), savefile_format::pcapng);
  for (const auto format : formats) {
    const auto from = part_path(id, format);
    const auto to = savefile_path(id, format);
    if (::chmod(from.c_str(), file_mode) != 0
        || ::rename(from.c_str(), to.c_str()) != 0)
      return system_failure("rename " + from.string() + " to " + to.string());
  }
  return sync_directory(directory() / "savefiles");
}

stored<void> savefile_store::discard_parts(const std::string& id) {
  for (const auto format : {savefile_format::pcap, savefile_format::pcapng})
    if (auto removed = remove_file(part_path(id, format)); !removed)
      return removed;
  return {};
}

// -- savefiles ----------------------------------------------------------------

fs::path savefile_store::savefile_path(const std::string& id,
                                       savefile_format format) const {
  const auto* ending = format == savefile_format::pcap ? ".pcap" : ".pcapng";
  return directory() / "savefiles" / (id + ending);
}

stored<std::uint64_t> savefile_store::size_of(const std::string& id,
                                              savefile_format format) const {
  const auto file = savefile_path(id, format);
  struct stat status {};
  if (::lstat(file.c_str(), &status) == 0)
    return S_ISREG(status.st_mode) ? static_cast<std::uint64_t>(status.st_size)
                                   : std::uint64_t{0};
  if (errno == ENOENT)
    return std::uint64_t{0};
  return system_failure("look at " + file.string());
}

stored<savefile> savefile_store::open_savefile(const std::string& id,
                                               savefile_format format) const {
  const auto file = savefile_path(id, format);
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "open savefile of job " + id + ": invalid job id");
  unique_descriptor fd{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  struct stat status {};
  if (fd.get() < 0 || ::fstat(fd.get(), &status) != 0)
    return system_failure("open savefile " + file.string());
  savefile result;
  result.size_bytes = static_cast<std::uint64_t>(status.st_size);
  const auto modified_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000
                           + status.st_mtim.tv_nsec;
  result.etag = id + (format == savefile_format::pcap ? "-pcap-" : "-pcapng-")
                + std::to_string(result.size_bytes) + "-"
                + std::to_string(modified_ns);
  result.descriptor = share(std::move(fd));
  return result;
}

stored<void> savefile_store::remove_savefile(const std::string& id,
                                             savefile_format format) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "remove savefile of job " + id + ": invalid job id");
  return remove_file(savefile_path(id, format));
}

// -- upkeep -------------------------------------------------------------------

stored<std::vector<std::string>> savefile_store::jobs_with_runs() const {
  auto names = names_in(directory() / "jobs");
  if (names)
    names->erase(std::remove_if(names->begin(), names->end(),
                                [](const auto& x) { return !is_job_id(x); }),
                 names->end());
  return names;
}

stored<std::vector<std::string>> savefile_store::jobs_with_files() const {
  auto names = names_in(directory() / "savefiles");
  if (!names)
    return names;
  std::set<std::string> result;
  for (const auto& name : *names)
    if (const auto id = owner_of(name); !id.empty())
      result.emplace(id);
  return std::vector<std::string>{result.begin(), result.end()};
}

stored<std::uint64_t> savefile_store::free_bytes() const {
  struct statvfs status {};
  if (::statvfs(directory().c_str(), &status) != 0)
    return system_failure("ask for free space of " + directory().string());
  return std::uint64_t{status.f_bavail} * status.f_frsize;
}

const fs::path& savefile_store::directory() const {
  return options_.directory;
}

// -- helpers ------------------------------------------------------------------

fs::path savefile_store::runs_path(const std::string& id) const {
  return directory() / "jobs" / id;
}

fs::path savefile_store::run_path(const std::string& id,
                                  std::uint32_t run) const {
  return runs_path(id)
         / (std::string{run_prefix} + std::to_string(run)
            + std::string{run_suffix});
}

fs::path savefile_store::part_path(const std::string& id,
                                   savefile_format format) const {
  return savefile_path(id, format) += ".part";
}

stored<void> savefile_store::open_descriptor(const std::string& id,
                                             std::uint32_t run, open_run& x) {
  if (open_.size() >= options_.max_open_runs)
    close_descriptor(*open_.front());
  if (x.info.packets == 0)
    if (auto made = make_directory(runs_path(id)); !made)
      return made;
  const auto file = run_path(id, run);
  x.fd = unique_descriptor{::open(
    file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, file_mode)};
  if (!x.fd)
    return system_failure("open " + file.string());
  x.use = open_.insert(open_.end(), &x);
  return {};
}

void savefile_store::close_descriptor(open_run& x) {
  if (!x.fd)
    return;
  x.fd = {};
  open_.erase(x.use);
}

stored<void> savefile_store::cut_off_torn_tails(const std::string& id) {
  const auto i = runs_.find(id);
  if (i == runs_.end())
    return {};
  for (auto& [run, x] : i->second) {
    // The job takes no more packets: its descriptors are free for others.
    close_descriptor(x);
    const auto file = run_path(id, run);
    if (x.info.packets == 0) {
      if (auto removed = remove_file(file); !removed)
        return removed;
      continue;
    }
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0)
      return system_failure("look at " + file.string());
    const auto size = static_cast<off_t>(x.size_bytes);
    if (status.st_size < size)
      return store_failure(store_errc::damaged,
                           "merge " + file.string() + ": it has lost "
                             + std::to_string(size - status.st_size)
                             + " bytes");
    if (status.st_size > size && ::truncate(file.c_str(), size) != 0)
      return system_failure("cut off torn tail of " + file.string());
  }
  return {};
}

} // namespace edgecap
