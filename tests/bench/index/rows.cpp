#include "tests/bench/index/rows.hpp"

#include "actors/job_index.hpp"
#include "actors/savefile_store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <system_error>

namespace edgecap::bench {

namespace {

namespace fs = std::filesystem;

constexpr std::chrono::hours age{6 * 24};

void make_file(const fs::path& file, std::uint64_t size_bytes) {
  const auto fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(size_bytes)) != 0
      || ::close(fd) != 0)
    throw std::system_error(errno, std::generic_category(), file);
}

void make_files(const fs::path& directory, std::uint64_t jobs) {
  const auto savefiles = directory / "savefiles";
  for (std::uint64_t n = 0; n < jobs; ++n) {
    if (n % 10 == 0)
      continue; // It has failed.
    make_file(savefiles / (id_of(n) + ".pcap"), savefile_bytes);
    make_file(savefiles / (id_of(n) + ".pcapng"), pcapng_bytes);
  }
}

void insert_job(SQLite::Statement& row, std::uint64_t n, unix_ns submitted) {
  const auto failed = n % 10 == 0;
  row.reset();
  auto i = 0;
  row.bind(++i, id_of(n));
  row.bind(++i, account);
  row.bind(++i, n % 10 == 1 ? "full" : "simple");
  row.bind(++i, submitted);
  row.bind(++i, failed ? "failed" : "succeeded");
  row.bind(++i, failed ? "interface_lost" : "packet_limit");
  row.bind(++i, failed ? "eth0: read eth0: Network is down" : "");
  row.bind(++i, submitted + 10'000'000);
  row.bind(++i, submitted + 60'000'000'000);
  row.bind(++i, std::int64_t{failed ? 0 : 1});
  row.bind(++i, static_cast<std::int64_t>(failed ? 0 : savefile_bytes));
  row.bind(++i, static_cast<std::int64_t>(failed ? 0 : pcapng_bytes));
  row.exec();
}

void insert_rows(SQLite::Database& db, std::uint64_t jobs) {
  SQLite::Statement job{
    db,
    "INSERT INTO jobs VALUES (?, ?, ?, 'magic-transit', 60, 10000, NULL, "
    "'198.51.100.1', NULL, 5000, 17, ?, ?, ?, ?, 0, ?, ?, ?, 60, ?, ?, '')"};
  SQLite::Statement interface {
    db, "INSERT INTO interfaces VALUES (?, 0, 'bench-node', 'eth0', 'ended', "
        "1, 1, 1, 1, 0, 0, NULL, 0, '', 0)"
  };
  SQLite::Statement key{db, "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)"};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto begin
    = std::chrono::nanoseconds{now - std::chrono::nanoseconds{age}}.count();
  const auto gap
    = std::chrono::nanoseconds{age}.count() / static_cast<std::int64_t>(jobs);
  for (std::uint64_t n = 0; n < jobs; ++n) {
    const auto submitted = begin + static_cast<std::int64_t>(n) * gap;
    insert_job(job, n, submitted);
    interface.reset();
    interface.bind(1, id_of(n));
    interface.exec();
    if (n % 10 != 2)
      continue;
    key.reset();
    key.bind(1, account);
    key.bind(2, "key " + std::to_string(n));
    key.bind(3, id_of(n));
    key.bind(4, submitted);
    key.exec();
  }
}

} // namespace

std::string id_of(std::uint64_t n) {
  std::mt19937_64 draws{n};
  const auto first = draws();
  const auto second = draws();
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx",
                static_cast<unsigned long long>(first),
                static_cast<unsigned long long>(second));
  return text;
}

void write_jobs(const fs::path& directory, std::uint64_t jobs) {
  const auto file = directory / "index.sqlite";
  // They make the directories and the schema.
  if (const auto store = savefile_store::open({directory}); !store)
    throw std::runtime_error(store.error().message);
  if (const auto index = job_index::open(file); !index)
    throw std::runtime_error(index.error().message);
  make_files(directory, jobs);
  SQLite::Database db{file.string(), SQLite::OPEN_READWRITE};
  db.exec("PRAGMA synchronous = OFF");
  db.exec("PRAGMA cache_size = -500000");
  SQLite::Transaction all{db};
  insert_rows(db, jobs);
  all.commit();
}

} // namespace edgecap::bench
