#include "tests/support/simulated_disk_core.hpp"

#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

// A simulated disk as SQLite sees one. It does what SQLite's own VFS for unix
// does, call for call, where that decides what survives: the first sync of a
// new journal syncs its directory, too. One connection at a time, so that a
// lock is always free and shared memory is memory.
namespace edgecap::test {

namespace {

using capture::open_mode;

constexpr int max_path_bytes = 512;

/// What SQLite allocates for a file that is open.
struct vfs_file {
  sqlite3_file base;
  simulated_disk::core* disk;
  std::uint64_t epoch;
  node_ptr node;
  std::string path;
  bool vanishes;    ///< Is removed when it is closed.
  bool syncs_names; ///< The next sync makes its name durable first.
  /// SQLite uses it to the end of its call, also when the disk crashes in that.
  std::map<int, std::shared_ptr<char[]>> mapped;
};

vfs_file& of(sqlite3_file* x) {
  return *reinterpret_cast<vfs_file*>(x);
}

simulated_disk::core& disk_of(sqlite3_vfs* x);
std::uint64_t epoch_of(sqlite3_vfs* x);

int outcome(const io_result<void>& x, int otherwise) {
  return x ? SQLITE_OK : otherwise;
}

std::string directory_of(const std::string& path) {
  return path.substr(0, path.find_last_of('/'));
}

// -- files --------------------------------------------------------------------

int close_file(sqlite3_file* file) {
  auto& x = of(file);
  if (x.vanishes && !x.path.empty())
    static_cast<void>(x.disk->remove(x.epoch, x.path));
  x.~vfs_file();
  return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* into, int size, sqlite3_int64 offset) {
  auto& x = of(file);
  const auto wanted = static_cast<std::size_t>(size);
  const auto got = x.disk->read(x.epoch, *x.node, x.path, into, wanted,
                                static_cast<std::uint64_t>(offset));
  if (!got)
    return SQLITE_IOERR_READ;
  if (*got == wanted)
    return SQLITE_OK;
  std::memset(static_cast<char*>(into) + *got, 0, wanted - *got);
  return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* data, int size,
               sqlite3_int64 offset) {
  auto& x = of(file);
  std::string rest{static_cast<const char*>(data),
                   static_cast<std::size_t>(size)};
  auto at = static_cast<std::uint64_t>(offset);
  while (!rest.empty()) {
    const auto taken = x.disk->write(x.epoch, *x.node, x.path, rest, at);
    if (!taken)
      return taken.error() == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    rest.erase(0, *taken);
    at += *taken;
  }
  return SQLITE_OK;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  auto& x = of(file);
  return outcome(x.disk->truncate(x.epoch, *x.node, x.path,
                                  static_cast<std::uint64_t>(size)),
                 SQLITE_IOERR_TRUNCATE);
}

int sync_file(sqlite3_file* file, int) {
  auto& x = of(file);
  if (!x.disk->sync(x.epoch, *x.node, x.path))
    return SQLITE_IOERR_FSYNC;
  if (!std::exchange(x.syncs_names, false))
    return SQLITE_OK;
  // As SQLite does, a directory that cannot be synced is passed over.
  static_cast<void>(x.disk->sync_directory(x.epoch, directory_of(x.path)));
  return SQLITE_OK;
}

int size_of_file(sqlite3_file* file, sqlite3_int64* size) {
  auto& x = of(file);
  if (!x.disk->admit(x.epoch, disk_call::look, x.path))
    return SQLITE_IOERR_FSTAT;
  *size = static_cast<sqlite3_int64>(x.node->data.size());
  return SQLITE_OK;
}

int lock_file(sqlite3_file* file, int) {
  const auto& x = of(file);
  return x.disk->alive(x.epoch) ? SQLITE_OK : SQLITE_IOERR_LOCK;
}

int unlock_file(sqlite3_file*, int) {
  return SQLITE_OK;
}

int check_reserved_lock(sqlite3_file*, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}

int file_control(sqlite3_file*, int, void*) {
  return SQLITE_NOTFOUND;
}

int sector_size(sqlite3_file*) {
  return 4096;
}

int characteristics(sqlite3_file*) {
  return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

// -- shared memory ------------------------------------------------------------

int map_shared(sqlite3_file* file, int region, int size, int extend,
               void volatile** into) {
  auto& x = of(file);
  *into = nullptr;
  if (!x.disk->alive(x.epoch))
    return SQLITE_IOERR_SHMMAP;
  auto& memory = x.node->shared_memory;
  if (memory.count(region) == 0) {
    if (extend == 0)
      return SQLITE_OK;
    memory[region]
      = std::shared_ptr<char[]>{new char[static_cast<std::size_t>(size)]()};
  }
  x.mapped[region] = memory[region];
  *into = memory[region].get();
  return SQLITE_OK;
}

int lock_shared(sqlite3_file* file, int, int, int flags) {
  const auto& x = of(file);
  if ((flags & SQLITE_SHM_UNLOCK) != 0 || x.disk->alive(x.epoch))
    return SQLITE_OK;
  return SQLITE_IOERR_SHMLOCK;
}

void shared_barrier(sqlite3_file*) {}

int unmap_shared(sqlite3_file* file, int) {
  auto& x = of(file);
  // After a crash it is that of another process already.
  if (x.disk->alive(x.epoch))
    x.node->shared_memory.clear();
  return SQLITE_OK;
}

const sqlite3_io_methods file_methods{2,
                                      close_file,
                                      read_file,
                                      write_file,
                                      truncate_file,
                                      sync_file,
                                      size_of_file,
                                      lock_file,
                                      unlock_file,
                                      check_reserved_lock,
                                      file_control,
                                      sector_size,
                                      characteristics,
                                      map_shared,
                                      lock_shared,
                                      shared_barrier,
                                      unmap_shared,
                                      nullptr,
                                      nullptr};

// -- the disk -----------------------------------------------------------------

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
              int* out_flags) {
  file->pMethods = nullptr;
  auto& disk = disk_of(vfs);
  const auto epoch = epoch_of(vfs);
  const std::string path = name == nullptr ? "" : name;
  auto node = std::make_shared<disk_node>();
  if (!path.empty()) {
    const auto mode
      = (flags & SQLITE_OPEN_CREATE) != 0 ? open_mode::create : open_mode::read;
    auto opened = disk.open(epoch, path, mode);
    if (!opened)
      return SQLITE_CANTOPEN;
    node = std::move(*opened);
  }
  constexpr auto journals
    = SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
  new (file)
    vfs_file{{&file_methods},
             &disk,
             epoch,
             std::move(node),
             path,
             (flags & SQLITE_OPEN_DELETEONCLOSE) != 0,
             (flags & SQLITE_OPEN_CREATE) != 0 && (flags & journals) != 0,
             {}};
  if (out_flags != nullptr)
    *out_flags = flags;
  return SQLITE_OK;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int sync) {
  auto& disk = disk_of(vfs);
  const auto epoch = epoch_of(vfs);
  if (auto gone = disk.remove(epoch, name); !gone)
    return gone.error() == ENOENT ? SQLITE_IOERR_DELETE_NOENT
                                  : SQLITE_IOERR_DELETE;
  if (sync == 0)
    return SQLITE_OK;
  return outcome(disk.sync_directory(epoch, directory_of(name)),
                 SQLITE_IOERR_DIR_FSYNC);
}

int access_file(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
  const auto node = disk_of(vfs).look(epoch_of(vfs), name);
  // An empty journal is none.
  *result
    = node && (flags != SQLITE_ACCESS_EXISTS || !(*node)->data.empty()) ? 1 : 0;
  return node || node.error() == ENOENT ? SQLITE_OK : SQLITE_IOERR_ACCESS;
}

int full_path(sqlite3_vfs*, const char* name, int size, char* into) {
  if (std::strlen(name) >= static_cast<std::size_t>(size))
    return SQLITE_CANTOPEN;
  std::strcpy(into, name);
  return SQLITE_OK;
}

int draw_bytes(sqlite3_vfs*, int size, char* into) {
  std::memset(into, 1, static_cast<std::size_t>(size));
  return size;
}

int sleep_not(sqlite3_vfs*, int microseconds) {
  return microseconds;
}

int current_time(sqlite3_vfs*, sqlite3_int64* now) {
  *now = sqlite3_int64{2440588} * 86'400'000; // 1970, for ever.
  return SQLITE_OK;
}

int last_error(sqlite3_vfs*, int, char*) {
  return 0;
}

class registered_vfs : public simulated_vfs {
public:
  registered_vfs(simulated_disk::core& disk, std::uint64_t epoch)
    : disk_(disk), epoch_(epoch) {
    static std::uint64_t registered = 0;
    name_ = "simulated-" + std::to_string(++registered);
    vfs_.iVersion = 2;
    vfs_.szOsFile = sizeof(vfs_file);
    vfs_.mxPathname = max_path_bytes;
    vfs_.zName = name_.c_str();
    vfs_.pAppData = this;
    vfs_.xOpen = open_file;
    vfs_.xDelete = delete_file;
    vfs_.xAccess = access_file;
    vfs_.xFullPathname = full_path;
    vfs_.xRandomness = draw_bytes;
    vfs_.xSleep = sleep_not;
    vfs_.xGetLastError = last_error;
    vfs_.xCurrentTimeInt64 = current_time;
    if (sqlite3_vfs_register(&vfs_, 0) != SQLITE_OK)
      throw std::runtime_error{"SQLite refuses a VFS"};
    // SQLite draws the salts of a WAL from numbers of its own.
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, 1, nullptr);
  }

  ~registered_vfs() override {
    sqlite3_vfs_unregister(&vfs_);
  }

  const std::string& name() const override {
    return name_;
  }

  simulated_disk::core& disk() {
    return disk_;
  }

  std::uint64_t epoch() const {
    return epoch_;
  }

private:
  simulated_disk::core& disk_;
  const std::uint64_t epoch_;
  std::string name_;
  sqlite3_vfs vfs_{};
};

simulated_disk::core& disk_of(sqlite3_vfs* x) {
  return static_cast<registered_vfs*>(x->pAppData)->disk();
}

std::uint64_t epoch_of(sqlite3_vfs* x) {
  return static_cast<registered_vfs*>(x->pAppData)->epoch();
}

} // namespace

std::unique_ptr<simulated_vfs> make_vfs(simulated_disk::core& disk,
                                        std::uint64_t epoch) {
  return std::make_unique<registered_vfs>(disk, epoch);
}

} // namespace edgecap::test
