#include "actors/savefile_store.hpp"

#include "capture/output_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>

namespace edgecap {

namespace {

namespace fs = std::filesystem;

using capture::file_kind;
using capture::file_status;
using capture::file_system;
using capture::io_result;
using capture::open_mode;

/// A run says nothing of its snaplen, for a batch does not: it declares the
/// largest one there is.
constexpr std::uint32_t run_snaplen_bytes = 262144;

constexpr std::size_t id_length = 32;
constexpr std::string_view run_prefix = "run-";
constexpr std::string_view run_suffix = ".pcap";

std::string words(int error) {
  return std::generic_category().message(error);
}

/// The error of a call that was refused.
tl::unexpected<store_error> system_failure(const std::string& what, int error) {
  const auto full = error == ENOSPC || error == EDQUOT;
  return store_failure(full ? store_errc::full : store_errc::unavailable,
                       what + ": " + words(error));
}

stored<void> sync_directory(file_system& files, const fs::path& directory) {
  if (const auto synced = files.sync_directory(directory); !synced)
    return system_failure("sync directory " + directory.string(),
                          synced.error());
  return {};
}

stored<void> make_directory(file_system& files, const fs::path& directory) {
  if (const auto made = files.make_directory(directory); !made)
    return system_failure("create directory " + directory.string(),
                          made.error());
  return {};
}

/// Makes a directory and those above it that are missing. What is synced in a
/// directory is lost with the directory's own name, so that is synced as well.
stored<void> make_durable_directory(file_system& files,
                                    const fs::path& directory) {
  const auto above = [](const fs::path& x) {
    return x.has_parent_path() ? x.parent_path() : fs::path{"."};
  };
  std::vector<fs::path> missing;
  for (auto x = directory; x.has_relative_path() && !files.status(x);
       x = x.parent_path())
    missing.push_back(x);
  if (directory.has_parent_path())
    if (const auto made = files.make_directories(directory.parent_path());
        !made)
      return system_failure(
        "create directory " + directory.parent_path().string(), made.error());
  if (auto made = make_directory(files, directory); !made)
    return made;
  for (const auto& x : missing)
    if (auto synced = sync_directory(files, above(x)); !synced)
      return synced;
  // An earlier process may have ended before it came to this; but we need not
  // be allowed to read what others have put our directory into.
  if (missing.empty())
    static_cast<void>(files.sync_directory(above(directory)));
  return {};
}

/// Removes a file that need not be there.
stored<void> remove_file(file_system& files, const fs::path& file) {
  if (const auto gone = files.remove(file); !gone && gone.error() != ENOENT)
    return system_failure("remove " + file.string(), gone.error());
  return {};
}

/// Cuts off what stands behind the last whole record of a run.
stored<void> cut_off_torn_tail(file_system& files, const fs::path& file,
                               std::uint64_t size_bytes) {
  const auto cut = files.open(file, open_mode::change)
                     .and_then([&](const auto& out) -> io_result<void> {
                       return out->truncate(size_bytes);
                     });
  if (!cut)
    return system_failure("cut off torn tail of " + file.string(), cut.error());
  return {};
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
      || result >= max_runs_per_job)
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
stored<std::vector<std::string>> names_in(file_system& files,
                                          const fs::path& directory) {
  auto names = files.list(directory);
  if (!names)
    return system_failure("list directory " + directory.string(),
                          names.error());
  return std::move(*names);
}

stored<std::unique_ptr<capture::file>> lock(file_system& files,
                                            const fs::path& file) {
  auto opened = files.open(file, open_mode::create);
  if (!opened)
    return system_failure("open lock file " + file.string(), opened.error());
  const auto locked = (*opened)->lock();
  if (locked)
    return std::move(*opened);
  if (locked.error() == EWOULDBLOCK)
    return store_failure(store_errc::unavailable,
                         "lock " + file.string()
                           + ": another edgecapd uses this directory");
  return system_failure("lock " + file.string(), locked.error());
}

} // namespace

bool is_job_id(std::string_view x) {
  return x.size() == id_length && std::all_of(x.begin(), x.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// -- opening ------------------------------------------------------------------

savefile_store::savefile_store(options opts,
                               std::unique_ptr<capture::file> lock)
  : options_(std::move(opts)), files_(*options_.files), lock_(std::move(lock)) {
  // nop
}

savefile_store::~savefile_store() = default;

stored<std::unique_ptr<savefile_store>> savefile_store::open(options opts) {
  auto& files = *opts.files;
  const auto& root = opts.directory;
  if (auto made = make_durable_directory(files, root); !made)
    return tl::unexpected<store_error>{made.error()};
  // Before anything else is touched.
  auto held = lock(files, root / "lock");
  if (!held)
    return tl::unexpected<store_error>{held.error()};
  std::unique_ptr<savefile_store> result{
    new savefile_store{std::move(opts), std::move(*held)}};
  if (auto made = result->make_directories(); !made)
    return tl::unexpected<store_error>{made.error()};
  return result;
}

stored<void> savefile_store::make_directories() {
  for (const auto* name : {"jobs", "savefiles"})
    if (auto made = make_directory(files_, directory() / name); !made)
      return made;
  return sync_directory(files_, directory());
}

bool savefile_store::holds_lock() const {
  const auto held = lock_->status();
  const auto there = files_.status(directory() / "lock");
  return held && there && held->device == there->device
         && held->number == there->number;
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
  if (!x.out)
    if (auto opened = open_for_writing(id, run, x); !opened)
      return opened;
  open_.splice(open_.end(), open_, x.use);
  const auto header = capture::savefile_header(
    batch.link(), run_snaplen_bytes, capture::time_precision::nanoseconds);
  const auto header_bytes = x.info.packets == 0 ? header.size() : 0;
  std::array<iovec, 2> parts{as_iovec(header.data(), header_bytes),
                             as_iovec(batch.data(), batch.size_bytes())};
  if (const auto written = capture::write_all(
        *x.out, parts.data(), static_cast<int>(parts.size()), x.size_bytes);
      !written) {
    // Should this fail too, the next batch overwrites the torn tail or the
    // seal cuts it off: `size_bytes` knows where the last whole record ends.
    if (!x.out->truncate(x.size_bytes))
      close_run(x);
    return system_failure("write " + run_path(id, run).string(),
                          written.error());
  }
  x.info.link = batch.link();
  if (!batch.ordered() || batch.first_time() < x.info.last_time)
    x.info.ordered = false;
  x.info.last_time = std::max(x.info.last_time, batch.last_time());
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

stored<adopted_runs> savefile_store::adopt_runs(const std::string& id) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "read runs of job " + id + ": invalid job id");
  const auto directory = runs_path(id);
  if (const auto there = files_.status(directory);
      !there && there.error() == ENOENT)
    return adopted_runs{};
  const auto names = names_in(files_, directory);
  if (!names)
    return tl::unexpected<store_error>{names.error()};
  adopted_runs result;
  for (const auto& name : *names)
    if (const auto run = run_of(name)) {
      const auto rest = adopt_run(id, *run);
      if (!rest)
        return tl::unexpected<store_error>{rest.error()};
      if (rest->bytes > 0)
        result.cut.emplace(*run, *rest);
    }
  result.runs = runs(id);
  return result;
}

stored<cut_rest> savefile_store::adopt_run(const std::string& id,
                                           std::uint32_t run) {
  const auto file = run_path(id, run);
  const auto found = capture::scan_run(files_, file);
  if (!found && found.error().code != capture::capture_errc::bad_savefile)
    return store_failure(store_errc::unavailable, found.error().message);
  cut_rest result;
  if (found) {
    result = {found->whole_bytes, found->rest_bytes, found->damaged};
  } else {
    const auto status = files_.status(file);
    if (!status)
      return system_failure("look at " + file.string(), status.error());
    // A crash at the first batch leaves less than a header.
    result.bytes = status->size_bytes;
    result.damaged = result.bytes >= capture::savefile_header_bytes;
  }
  if (!found || found->packets == 0) {
    if (auto removed = remove_file(files_, file); !removed)
      return tl::unexpected<store_error>{removed.error()};
    return result;
  }
  if (found->torn)
    if (auto cut = cut_off_torn_tail(files_, file, found->whole_bytes); !cut)
      return tl::unexpected<store_error>{cut.error()};
  auto& x = runs_[id][run];
  x.info = {found->link, found->packets, found->captured_bytes, found->ordered,
            found->last_time};
  x.size_bytes = found->whole_bytes;
  return result;
}

stored<void> savefile_store::drop_runs(const std::string& id) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "remove runs of job " + id + ": invalid job id");
  if (const auto i = runs_.find(id); i != runs_.end()) {
    for (auto& [run, x] : i->second)
      close_run(x);
    runs_.erase(i);
  }
  const auto directory = runs_path(id);
  if (const auto gone = files_.remove_tree(directory); !gone)
    return system_failure("remove " + directory.string(), gone.error());
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
  auto opened
    = capture::merge::open(files_, std::move(in_order), std::move(opts));
  if (!opened)
    return store_failure(code_of(opened.error()), opened.error().message);
  return std::move(*opened);
}

stored<bool> savefile_store::write_out_only_run(const std::string& id,
                                                std::uint64_t& offset) {
  const auto run = linkable_run(id);
  if (!run)
    return true;
  const auto size_bytes = runs_.at(id).at(*run).size_bytes;
  // What is left goes with the sync.
  if (size_bytes - offset < capture::output_file::write_out_bytes)
    return true;
  const auto file = run_path(id, *run);
  const auto done
    = files_.open(file, open_mode::read).and_then([&](const auto& in) {
        return in->write_out(offset, capture::output_file::write_out_bytes);
      });
  if (!done)
    return system_failure("write " + file.string(), done.error());
  offset += capture::output_file::write_out_bytes;
  return false;
}

/// The only run of a job, if it is in order of time.
std::optional<std::uint32_t>
savefile_store::linkable_run(const std::string& id) const {
  const auto all = runs(id);
  if (all.size() != 1 || !all.begin()->second.ordered)
    return std::nullopt;
  return all.begin()->first;
}

stored<std::optional<std::uint64_t>>
savefile_store::link_only_run(const std::string& id) {
  const auto linkable = linkable_run(id);
  if (!linkable)
    return std::nullopt;
  if (auto cut = cut_off_torn_tails(id); !cut)
    return tl::unexpected<store_error>{cut.error()};
  const auto run = *linkable;
  const auto file = run_path(id, run);
  const auto part = part_path(id, savefile_format::pcap);
  if (auto removed = remove_file(files_, part); !removed)
    return tl::unexpected<store_error>{removed.error()};
  const auto synced
    = files_.open(file, open_mode::read).and_then([](const auto& in) {
        return in->sync();
      });
  if (!synced)
    return system_failure("sync " + file.string(), synced.error());
  const auto linked = files_.link(file, part);
  if (linked)
    return runs_.at(id).at(run).size_bytes;
  const auto error = linked.error();
  if (error == EPERM || error == EOPNOTSUPP || error == EMLINK)
    return std::nullopt;
  return system_failure("link " + file.string() + " to " + part.string(),
                        error);
}

stored<void> savefile_store::publish(const std::string& id, bool pcapng) {
  std::vector<savefile_format> formats{savefile_format::pcap};
  if (pcapng)
    formats.insert(formats.begin(), savefile_format::pcapng);
  for (const auto format : formats) {
    const auto from = part_path(id, format);
    const auto to = savefile_path(id, format);
    auto renamed = files_.protect(from);
    if (renamed)
      renamed = files_.rename(from, to);
    if (!renamed)
      return system_failure("rename " + from.string() + " to " + to.string(),
                            renamed.error());
  }
  return sync_names();
}

stored<void> savefile_store::sync_names() {
  return sync_directory(files_, directory() / "savefiles");
}

stored<void> savefile_store::discard_parts(const std::string& id) {
  for (const auto format : {savefile_format::pcap, savefile_format::pcapng})
    if (auto removed = remove_file(files_, part_path(id, format)); !removed)
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
  const auto found = files_.status(file);
  if (!found && found.error() != ENOENT)
    return system_failure("look at " + file.string(), found.error());
  return found && found->kind == file_kind::regular ? found->size_bytes : 0;
}

stored<savefile> savefile_store::open_savefile(const std::string& id,
                                               savefile_format format) const {
  const auto file = savefile_path(id, format);
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "open savefile of job " + id + ": invalid job id");
  const auto failed = [&](int error) {
    return system_failure("open savefile " + file.string(), error);
  };
  const auto in = files_.open(file, open_mode::read);
  if (!in)
    return failed(in.error());
  const auto status = (*in)->status();
  if (!status)
    return failed(status.error());
  auto descriptor = (*in)->release();
  if (!descriptor)
    return failed(descriptor.error());
  savefile result;
  result.size_bytes = status->size_bytes;
  result.etag = id + (format == savefile_format::pcap ? "-pcap-" : "-pcapng-")
                + std::to_string(result.size_bytes) + "-"
                + std::to_string(status->modified_ns);
  result.descriptor = share(std::move(*descriptor));
  return result;
}

stored<void> savefile_store::remove_savefile(const std::string& id,
                                             savefile_format format) {
  if (!is_job_id(id))
    return store_failure(store_errc::unavailable,
                         "remove savefile of job " + id + ": invalid job id");
  return remove_file(files_, savefile_path(id, format));
}

// -- upkeep -------------------------------------------------------------------

stored<bool> savefile_store::has_files() const {
  auto all = walk();
  while (!all.done()) {
    const auto found = all.next(1);
    if (!found)
      return tl::unexpected<store_error>{found.error()};
    if (!found->empty())
      return found->front().what != stored_entry::kind::runs;
  }
  return false;
}

stored_walk savefile_store::walk() const {
  return {files_, directory()};
}

stored<void> savefile_store::remove(const stored_entry& x) {
  return remove_file(files_, x.path);
}

stored<std::uint64_t> savefile_store::free_bytes() const {
  const auto left = files_.free_bytes(directory());
  if (!left)
    return system_failure("ask for free space of " + directory().string(),
                          left.error());
  return *left;
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

stored<void> savefile_store::open_for_writing(const std::string& id,
                                              std::uint32_t run, open_run& x) {
  if (open_.size() >= options_.max_open_runs)
    close_run(*open_.front());
  if (x.info.packets == 0)
    if (auto made = make_directory(files_, runs_path(id)); !made)
      return made;
  const auto path = run_path(id, run);
  auto opened = files_.open(path, open_mode::create);
  if (!opened)
    return system_failure("open " + path.string(), opened.error());
  x.out = std::move(*opened);
  x.use = open_.insert(open_.end(), &x);
  return {};
}

void savefile_store::close_run(open_run& x) {
  if (!x.out)
    return;
  x.out = nullptr;
  open_.erase(x.use);
}

stored<void> savefile_store::cut_off_torn_tails(const std::string& id) {
  const auto i = runs_.find(id);
  if (i == runs_.end())
    return {};
  for (auto& [run, x] : i->second) {
    // The job takes no more packets: its descriptors are free for others.
    close_run(x);
    const auto file = run_path(id, run);
    if (x.info.packets == 0) {
      if (auto removed = remove_file(files_, file); !removed)
        return removed;
      continue;
    }
    const auto found = files_.status(file);
    if (!found)
      return system_failure("look at " + file.string(), found.error());
    if (found->size_bytes < x.size_bytes)
      return store_failure(store_errc::damaged,
                           "merge " + file.string() + ": it has lost "
                             + std::to_string(x.size_bytes - found->size_bytes)
                             + " bytes");
    if (found->size_bytes > x.size_bytes)
      if (auto cut = cut_off_torn_tail(files_, file, x.size_bytes); !cut)
        return cut;
  }
  return {};
}

// -- a walk -------------------------------------------------------------------

stored_walk::stored_walk(file_system& files, fs::path directory)
  : files_(&files), directory_(std::move(directory)) {}

stored<std::vector<stored_entry>> stored_walk::next(std::size_t names) {
  std::vector<stored_entry> result;
  for (std::size_t looked_at = 0; looked_at < names && !done(); ++looked_at) {
    const auto place = directory_ / places.at(place_);
    const auto failed = [&](int error) {
      return system_failure("list directory " + place.string(), error);
    };
    if (!reader_) {
      auto opened = files_->read_directory(place);
      if (!opened)
        return failed(opened.error());
      reader_ = std::move(*opened);
    }
    const auto name = reader_->next();
    if (!name)
      return failed(name.error());
    if (!*name) {
      reader_.reset();
      ++place_;
    } else if (auto entry = entry_of(**name)) {
      result.push_back(std::move(*entry));
    }
  }
  return result;
}

/// What a name in the present place stands for, if it is one of ours.
std::optional<stored_entry>
stored_walk::entry_of(const std::string& name) const {
  using kind = stored_entry::kind;
  const auto path = directory_ / places.at(place_) / name;
  if (place_ > 0)
    return is_job_id(name) ? std::optional{stored_entry{name, kind::runs, path}}
                           : std::nullopt;
  const auto id = owner_of(name);
  if (id.empty())
    return std::nullopt;
  const auto what = path.extension() == ".part" ? kind::part : kind::savefile;
  return stored_entry{std::string{id}, what, path};
}

} // namespace edgecap
