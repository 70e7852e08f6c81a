#include "tests/support/simulated_disk_core.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace edgecap::test {

namespace {

using capture::open_mode;
using change = disk_node::change;

/// What disks write as one.
constexpr std::size_t sector_bytes = 512;

/// Directory of a path; the root is empty.
std::string directory_of(const std::string& path) {
  return path.substr(0, path.find_last_of('/'));
}

std::string last_name_of(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

/// Writes over what is there, and behind it.
void put(std::string& into, const char* bytes, std::size_t size,
         std::uint64_t offset) {
  if (size == 0)
    return;
  if (into.size() < offset + size)
    into.resize(offset + size);
  std::memcpy(into.data() + offset, bytes, size);
}

void enact(std::string& to, const change& x) {
  if (x.cuts)
    to.resize(x.offset);
  else
    put(to, x.bytes.data(), x.bytes.size(), x.offset);
}

void enact(disk_node::names& to, const disk_node::naming& x) {
  for (const auto& [name, node] : x)
    if (node)
      to[name] = node;
    else
      to.erase(name);
}

void add_to(std::uint64_t& hash, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < size; ++i)
    hash = (hash ^ bytes[i]) * 1099511628211u;
}

} // namespace

simulated_disk::core::core(std::uint64_t seed)
  : root(std::make_shared<disk_node>()), chance(seed * 2), fate(seed * 2 + 1) {
  root->is_directory = true;
  root->links = 1;
}

simulated_disk::core::~core() = default;

// -- whether a call may go on -------------------------------------------------

io_result<void> simulated_disk::core::admit(std::uint64_t of, disk_call call,
                                            const std::string& path) {
  if (!alive(of))
    return io_failure(EIO);
  ++calls;
  add_to(past, &call, sizeof call);
  add_to(past, path.data(), path.size());
  if (test::changes(call)) {
    if (crash_change && changes == *crash_change) {
      crash(crash_change_kind);
      return io_failure(EIO);
    }
    ++changes;
  }
  if (script)
    if (const auto error = script(call, path); error != 0) {
      hit(disk_fault::scripted);
      return io_failure(error);
    }
  if (chance.one_in(rates.slow)) {
    hit(disk_fault::slow);
    was_slow = true;
  }
  const auto strikes = [&](disk_call where, std::uint32_t rate, disk_fault x) {
    if (call != where || !chance.one_in(rate))
      return false;
    hit(x);
    return true;
  };
  if (strikes(disk_call::open, rates.no_descriptor, disk_fault::no_descriptor))
    return io_failure(EMFILE);
  if (strikes(disk_call::read, rates.read_error, disk_fault::read_error))
    return io_failure(EIO);
  return {};
}

node_ptr simulated_disk::core::find(const std::string& path) const {
  auto at = root;
  for (std::size_t begin = 0; begin < path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      const auto next = at->entries.find(path.substr(begin, end - begin));
      if (next == at->entries.end())
        return nullptr;
      at = next->second;
    }
    begin = end + 1;
  }
  return at;
}

io_result<disk_node*>
simulated_disk::core::parent_of(const std::string& path) const {
  const auto parent = find(directory_of(path));
  if (!parent)
    return io_failure(ENOENT);
  if (!parent->is_directory)
    return io_failure(ENOTDIR);
  return parent.get();
}

// -- files --------------------------------------------------------------------

io_result<node_ptr> simulated_disk::core::open(std::uint64_t of,
                                               const std::string& path,
                                               open_mode mode) {
  if (auto may = admit(of, disk_call::open, path); !may)
    return io_failure(may.error());
  const auto parent = parent_of(path);
  if (!parent)
    return io_failure(parent.error());
  auto node = find(path);
  if (node && node->is_directory && mode != open_mode::read)
    return io_failure(EISDIR);
  if (!node) {
    if (mode == open_mode::read || mode == open_mode::change)
      return io_failure(ENOENT);
    if (auto may = admit(of, disk_call::create, path); !may)
      return io_failure(may.error());
    node = std::make_shared<disk_node>();
    node->modified = static_cast<std::int64_t>(calls);
    name(**parent, {{last_name_of(path), node}});
  }
  if (mode == open_mode::replace && !node->data.empty())
    if (auto cut = truncate(of, *node, path, 0); !cut)
      return io_failure(cut.error());
  return node;
}

io_result<std::size_t>
simulated_disk::core::read(std::uint64_t of, disk_node& node,
                           const std::string& path, void* into,
                           std::size_t size_bytes, std::uint64_t offset) {
  if (auto may = admit(of, disk_call::read, path); !may)
    return io_failure(may.error());
  if (node.is_directory)
    return io_failure(EISDIR);
  if (offset >= node.data.size())
    return 0;
  const auto size
    = std::min<std::uint64_t>(size_bytes, node.data.size() - offset);
  std::memcpy(into, node.data.data() + offset, size);
  return size;
}

std::size_t simulated_disk::core::torn_part(std::uint64_t offset,
                                            std::size_t size) {
  const auto part = static_cast<std::size_t>(fate.below(size));
  if (fate.one_in(2))
    return part;
  // Down to where a sector of the disk ends.
  const auto behind = static_cast<std::size_t>((offset + part) % sector_bytes);
  return part - std::min(part, behind);
}

void simulated_disk::core::apply_write(disk_node& node,
                                       const std::string& bytes,
                                       std::uint64_t offset) {
  if (bytes.empty())
    return;
  const auto before = node.data.size();
  put(node.data, bytes.data(), bytes.size(), offset);
  if (node.links > 0)
    used += node.data.size() - before;
  node.changes.push_back({false, node.data.size() > before, offset, bytes});
  node.modified = static_cast<std::int64_t>(calls);
}

/// Lets the faults of writes strike.
/// @param size What is to be written; less after a short write.
io_result<void> simulated_disk::core::check_write(disk_node& node,
                                                  std::size_t& size,
                                                  std::uint64_t offset) {
  const auto end = offset + size;
  const auto growth = end - std::min<std::uint64_t>(end, node.data.size());
  const auto room = capacity - std::min(capacity, used);
  if (growth > room) {
    const auto fits = size - std::min<std::uint64_t>(size, growth - room);
    hit(fits == 0 ? disk_fault::no_space : disk_fault::short_write);
    if (fits == 0)
      return io_failure(ENOSPC);
    size = fits;
  }
  if (std::exchange(node.fails_next_write, false)
      || chance.one_in(rates.no_space)) {
    hit(disk_fault::no_space);
    return io_failure(ENOSPC);
  }
  if (size > 1 && chance.one_in(rates.short_write)) {
    hit(disk_fault::short_write);
    size = 1 + chance.below(size - 1);
    node.fails_next_write = chance.one_in(2);
  }
  return {};
}

io_result<std::size_t> simulated_disk::core::write(std::uint64_t of,
                                                   disk_node& node,
                                                   const std::string& path,
                                                   const std::string& bytes,
                                                   std::uint64_t offset) {
  if (alive(of) && crash_change && changes == *crash_change && !bytes.empty()) {
    hit(disk_fault::torn_write);
    apply_write(node, bytes.substr(0, torn_part(offset, bytes.size())), offset);
  }
  if (auto may = admit(of, disk_call::write, path); !may)
    return io_failure(may.error());
  add_to(past, bytes.data(), bytes.size());
  auto size = bytes.size();
  if (chance.one_in(rates.write_error)) {
    hit(disk_fault::write_error);
    apply_write(node, bytes.substr(0, chance.below(size + 1)), offset);
    return io_failure(EIO);
  }
  if (auto may = check_write(node, size, offset); !may)
    return io_failure(may.error());
  apply_write(node, bytes.substr(0, size), offset);
  return size;
}

io_result<void> simulated_disk::core::truncate(std::uint64_t of,
                                               disk_node& node,
                                               const std::string& path,
                                               std::uint64_t size_bytes) {
  if (auto may = admit(of, disk_call::truncate, path); !may)
    return may;
  const auto before = node.data.size();
  node.data.resize(size_bytes);
  if (node.links > 0)
    used = used + size_bytes - before;
  node.changes.push_back({true, false, size_bytes, {}});
  node.modified = static_cast<std::int64_t>(calls);
  return {};
}

/// All or nothing, as zeros behind what is there.
io_result<void> simulated_disk::core::allocate(std::uint64_t of,
                                               disk_node& node,
                                               const std::string& path,
                                               std::uint64_t size_bytes) {
  if (auto may = admit(of, disk_call::write, path); !may)
    return may;
  const auto before = node.data.size();
  if (size_bytes <= before)
    return {};
  if (size_bytes - before > capacity - std::min(capacity, used)
      || chance.one_in(rates.no_space)) {
    hit(disk_fault::no_space);
    return io_failure(ENOSPC);
  }
  apply_write(node, std::string(size_bytes - before, '\0'), before);
  return {};
}

io_result<void> simulated_disk::core::sync(std::uint64_t of, disk_node& node,
                                           const std::string& path) {
  auto may = admit(of, disk_call::sync, path);
  if (may && chance.one_in(rates.sync_error)) {
    hit(disk_fault::sync_error);
    may = io_failure(EIO);
  }
  if (!may && alive(of)) {
    // What the system could not write it does not try again.
    node.durable = survivor(node);
    node.changes.clear();
  }
  if (!may)
    return may;
  for (const auto& x : std::exchange(node.changes, {}))
    enact(node.durable, x);
  return {};
}

io_result<void> simulated_disk::core::lock(std::uint64_t of, disk_node& node,
                                           const std::string& path) {
  if (auto may = admit(of, disk_call::lock, path); !may)
    return may;
  if (std::exchange(node.is_locked, true))
    return io_failure(EWOULDBLOCK);
  return {};
}

io_result<node_ptr> simulated_disk::core::look(std::uint64_t of,
                                               const std::string& path) {
  if (auto may = admit(of, disk_call::look, path); !may)
    return io_failure(may.error());
  auto node = find(path);
  if (!node)
    return io_failure(ENOENT);
  return node;
}

io_result<std::uint64_t>
simulated_disk::core::free_bytes(std::uint64_t of, const std::string& path) {
  if (auto found = look(of, path); !found)
    return io_failure(found.error());
  return capacity - std::min(capacity, used);
}

// -- names --------------------------------------------------------------------

void simulated_disk::core::name(disk_node& directory,
                                disk_node::naming naming) {
  for (const auto& [name, node] : naming) {
    if (const auto old = directory.entries.find(name);
        old != directory.entries.end() && --old->second->links == 0)
      used -= old->second->data.size();
    if (node && node->links++ == 0)
      used += node->data.size();
  }
  enact(directory.entries, naming);
  directory.namings.push_back(std::move(naming));
}

io_result<void> simulated_disk::core::rename(std::uint64_t of,
                                             const std::string& from,
                                             const std::string& to) {
  if (auto may = admit(of, disk_call::rename, to); !may)
    return may;
  // Between directories nobody of ours renames.
  if (directory_of(from) != directory_of(to))
    return io_failure(EXDEV);
  const auto node = find(from);
  if (!node)
    return io_failure(ENOENT);
  name(*find(directory_of(from)),
       {{last_name_of(to), node}, {last_name_of(from), nullptr}});
  return {};
}

io_result<void> simulated_disk::core::link(std::uint64_t of,
                                           const std::string& from,
                                           const std::string& to) {
  if (auto may = admit(of, disk_call::link, to); !may)
    return may;
  const auto node = find(from);
  const auto parent = parent_of(to);
  if (!node || !parent)
    return io_failure(ENOENT);
  if (find(to))
    return io_failure(EEXIST);
  name(**parent, {{last_name_of(to), node}});
  return {};
}

io_result<void> simulated_disk::core::remove(std::uint64_t of,
                                             const std::string& path) {
  if (auto may = admit(of, disk_call::remove, path); !may)
    return may;
  const auto node = find(path);
  if (!node)
    return io_failure(ENOENT);
  if (node->is_directory && !node->entries.empty())
    return io_failure(ENOTEMPTY);
  name(*find(directory_of(path)), {{last_name_of(path), nullptr}});
  return {};
}

io_result<void> simulated_disk::core::make_directory(std::uint64_t of,
                                                     const std::string& path) {
  if (auto may = admit(of, disk_call::look, path); !may)
    return may;
  if (const auto node = find(path)) {
    if (!node->is_directory)
      return io_failure(EEXIST);
    return {};
  }
  const auto parent = parent_of(path);
  if (!parent)
    return io_failure(parent.error());
  if (auto may = admit(of, disk_call::create, path); !may)
    return may;
  auto node = std::make_shared<disk_node>();
  node->is_directory = true;
  name(**parent, {{last_name_of(path), std::move(node)}});
  return {};
}

io_result<void> simulated_disk::core::remove_tree(std::uint64_t of,
                                                  const std::string& path) {
  if (auto found = look(of, path); !found) {
    if (found.error() == ENOENT)
      return {};
    return io_failure(found.error());
  }
  return remove_below(of, path);
}

io_result<void> simulated_disk::core::remove_below(std::uint64_t of,
                                                   const std::string& path) {
  const auto names = find(path)->entries;
  for (const auto& [name, node] : names)
    if (auto gone = remove_below(of, path + '/' + name); !gone)
      return gone;
  return remove(of, path);
}

io_result<void> simulated_disk::core::sync_directory(std::uint64_t of,
                                                     const std::string& path) {
  if (auto may = admit(of, disk_call::sync_directory, path); !may)
    return may;
  const auto node = find(path);
  if (!node)
    return io_failure(ENOENT);
  if (chance.one_in(rates.sync_error)) {
    hit(disk_fault::sync_error);
    return io_failure(EIO);
  }
  for (const auto& x : std::exchange(node->namings, {}))
    enact(node->durable_entries, x);
  return {};
}

// -- the end of a process -----------------------------------------------------

/// What is left of a file when the host ends. Changes of its size survive up to
/// one of them, for the file system writes them in order: the next is torn, the
/// others are lost. A write within what there was survives by itself.
std::string simulated_disk::core::survivor(const disk_node& node) {
  enum { whole, torn, lost };
  const auto sizes = static_cast<std::uint64_t>(
    std::count_if(node.changes.begin(), node.changes.end(),
                  [](const auto& x) { return x.cuts || x.grows; }));
  // That all or nothing survives is as likely as all the rest.
  const auto lot = fate.below(4);
  const auto survive = lot == 0 ? 0 : lot == 1 ? sizes : fate.below(sizes + 1);
  auto result = node.durable;
  std::uint64_t number = 0;
  for (const auto& x : node.changes) {
    auto outcome = lot == 0 ? lost : whole;
    if (x.cuts || x.grows) {
      const auto rank = number++;
      if (rank >= survive)
        outcome = rank == survive && lot > 1 && !x.cuts ? torn : lost;
    } else if (lot > 1) {
      outcome = static_cast<decltype(outcome)>(fate.below(3));
    }
    if (outcome == whole && x.cuts) {
      result.resize(x.offset);
      continue;
    }
    auto size = outcome == whole  ? x.bytes.size()
                : outcome == torn ? torn_part(x.offset, x.bytes.size())
                                  : 0;
    if (!x.grows) // What is behind the end is gone.
      size = std::min<std::uint64_t>(
        size, result.size() - std::min<std::uint64_t>(result.size(), x.offset));
    put(result, x.bytes.data(), size, x.offset);
    if (outcome != whole)
      hit(outcome == torn ? disk_fault::torn_write : disk_fault::lost_write);
  }
  return result;
}

/// Of what was done to a directory's names, a part from the beginning on
/// survives.
void simulated_disk::core::survive(disk_node& node) {
  const auto lot = fate.below(4);
  const auto count = node.namings.size();
  const auto kept = lot == 0 ? 0 : lot == 1 ? count : fate.below(count + 1);
  for (std::size_t i = 0; i < count; ++i)
    if (i < kept)
      enact(node.durable_entries, node.namings[i]);
    else
      hit(disk_fault::lost_name);
  node.namings.clear();
  node.entries = node.durable_entries;
  for (const auto& [name, child] : node.entries) {
    if (child->is_directory) {
      survive(*child);
      continue;
    }
    child->durable = survivor(*child);
    child->changes.clear(); // Its second name finds nothing to decide.
    child->data = child->durable;
  }
}

/// Forgets what only a process knows.
void simulated_disk::core::forget_process(disk_node& node) {
  for (const auto& [name, child] : node.entries) {
    child->links = 0;
    child->is_locked = false;
    child->fails_next_write = false;
    child->shared_memory.clear();
    forget_process(*child);
  }
}

/// Counts the names and bytes below a directory.
void simulated_disk::core::count_links(disk_node& node) {
  for (const auto& [name, child] : node.entries) {
    if (child->links++ == 0)
      used += child->data.size();
    count_links(*child);
  }
}

void simulated_disk::core::crash(crash_kind kind) {
  down = true;
  crash_change.reset();
  hit(kind == crash_kind::host ? disk_fault::host_crash
                               : disk_fault::process_crash);
  if (kind == crash_kind::host)
    survive(*root);
  forget_process(*root);
  used = 0;
  count_links(*root);
}

void simulated_disk::core::start() {
  ++epoch;
  down = false;
  auto next = std::make_unique<process>();
  next->files = make_files(*this, epoch);
  next->vfs = make_vfs(*this, epoch);
  processes.push_back(std::move(next));
}

void simulated_disk::core::write_back(disk_node& node) {
  for (const auto& x : std::exchange(node.changes, {}))
    enact(node.durable, x);
  for (const auto& x : std::exchange(node.namings, {}))
    enact(node.durable_entries, x);
  for (const auto& [name, child] : node.entries)
    write_back(*child);
}

} // namespace edgecap::test
