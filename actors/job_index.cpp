#include "actors/job_index.hpp"

#include "actors/page_memory.hpp"

#include <SQLiteCpp/Backup.h>
#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace edgecap {

namespace {

/// "ECAP": tells an index of ours from any other SQLite database.
constexpr int application_id = 0x45434150;

/// How long a statement waits for somebody else's lock on the index; for an
/// operator who looks into it with the sqlite3 shell.
constexpr int busy_timeout_ms = 250;

/// Pages of lists that are remembered, at most; a page has up to 50 records.
constexpr std::size_t max_remembered_pages = 64;

/// Pages of the file that SQLite keeps in memory, in KiB.
constexpr int page_cache_kib = 16384;

/// The schema's history: entry n brings version n to version n + 1. Entries
/// are never edited, only added.
constexpr std::array<const char*, 6> migrations{{
  R"sql(
    CREATE TABLE jobs (
      id                         TEXT    NOT NULL PRIMARY KEY,
      account_id                 TEXT    NOT NULL,
      type                       TEXT    NOT NULL,
      system                     TEXT    NOT NULL,
      time_limit_s               INTEGER NOT NULL,
      packet_limit               INTEGER NOT NULL,
      filter_source_address      TEXT,
      filter_destination_address TEXT,
      filter_source_port         INTEGER,
      filter_destination_port    INTEGER,
      filter_protocol            INTEGER,
      submitted                  INTEGER NOT NULL,
      phase                      TEXT    NOT NULL,
      reason                     TEXT    NOT NULL,
      error_message              TEXT    NOT NULL,
      stop_requested             INTEGER NOT NULL,
      started                    INTEGER,
      finished                   INTEGER,
      packets_captured           INTEGER NOT NULL,
      bytes_captured             INTEGER NOT NULL,
      savefile_bytes             INTEGER NOT NULL,
      pcapng_bytes               INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX jobs_by_age ON jobs (account_id, submitted DESC, id);
    CREATE INDEX jobs_unfinished ON jobs (submitted)
      WHERE phase NOT IN ('succeeded', 'failed');
    CREATE INDEX jobs_finished
      ON jobs (finished, id, savefile_bytes, pcapng_bytes)
      WHERE phase IN ('succeeded', 'failed');
    CREATE TABLE interfaces (
      job_id               TEXT    NOT NULL
                                   REFERENCES jobs (id) ON DELETE CASCADE,
      run                  INTEGER NOT NULL,
      node                 TEXT    NOT NULL,
      interface            TEXT    NOT NULL,
      phase                TEXT    NOT NULL,
      link_type            INTEGER,
      sampling_one_in      INTEGER NOT NULL,
      packets_matched      INTEGER,
      packets_captured     INTEGER NOT NULL,
      packets_sampled_out  INTEGER,
      dropped_by_kernel    INTEGER,
      dropped_by_interface INTEGER,
      dropped_by_us        INTEGER,
      error                TEXT    NOT NULL,
      PRIMARY KEY (job_id, run)
    ) STRICT, WITHOUT ROWID;
  )sql",
  R"sql(
    CREATE TABLE idempotency_keys (
      account_id TEXT    NOT NULL,
      key        TEXT    NOT NULL,
      job_id     TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      created    INTEGER NOT NULL,
      PRIMARY KEY (account_id, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_keys_of_job ON idempotency_keys (job_id);
    CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created);
    CREATE INDEX idempotency_keys_of_account
      ON idempotency_keys (account_id, created, key);
  )sql",
  // Sums that would take a look at every job; and an index in which a list
  // finds its page without a look at the jobs of others.
  R"sql(
    CREATE TABLE sums (
      account_id TEXT    NOT NULL,
      type       TEXT    NOT NULL,
      phase      TEXT    NOT NULL,
      jobs       INTEGER NOT NULL,
      bytes      INTEGER NOT NULL,
      PRIMARY KEY (account_id, type, phase)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO sums
      SELECT account_id, type, phase, count(*),
             sum(savefile_bytes + pcapng_bytes)
      FROM jobs GROUP BY account_id, type, phase;
    CREATE TRIGGER jobs_added AFTER INSERT ON jobs BEGIN
      INSERT INTO sums VALUES (new.account_id, new.type, new.phase, 1,
                               new.savefile_bytes + new.pcapng_bytes)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1,
                                  bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER jobs_removed AFTER DELETE ON jobs BEGIN
      UPDATE sums SET jobs = jobs - 1,
             bytes = bytes - old.savefile_bytes - old.pcapng_bytes
        WHERE account_id = old.account_id AND type = old.type
              AND phase = old.phase;
    END;
    CREATE TRIGGER jobs_changed
      AFTER UPDATE OF phase, savefile_bytes, pcapng_bytes ON jobs BEGIN
      UPDATE sums SET jobs = jobs - 1,
             bytes = bytes - old.savefile_bytes - old.pcapng_bytes
        WHERE account_id = old.account_id AND type = old.type
              AND phase = old.phase;
      INSERT INTO sums VALUES (new.account_id, new.type, new.phase, 1,
                               new.savefile_bytes + new.pcapng_bytes)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1,
                                  bytes = bytes + excluded.bytes;
    END;
    DROP INDEX jobs_by_age;
    CREATE INDEX jobs_by_age
      ON jobs (account_id, submitted DESC, id, type, phase);
  )sql",
  // What a restart must not forget. A job that is removed still counts against
  // its account's allowance: no reference.
  R"sql(
    CREATE TABLE interruptions (
      job_id TEXT    NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      began  INTEGER NOT NULL,
      ended  INTEGER,
      PRIMARY KEY (job_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE collects (
      job_id     TEXT    NOT NULL PRIMARY KEY,
      account_id TEXT    NOT NULL,
      moment     INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX collects_by_age ON collects (moment, account_id);
  )sql",
  // What a list needs to find a page that is far behind, or the few jobs of a
  // status, without a look at all that are before; and retention the jobs that
  // have files. A slot is 2^39 ns long (`slot_ns`).
  R"sql(
    CREATE TABLE slots (
      account_id TEXT    NOT NULL,
      slot       INTEGER NOT NULL,
      type       TEXT    NOT NULL,
      phase      TEXT    NOT NULL,
      jobs       INTEGER NOT NULL,
      PRIMARY KEY (account_id, slot, type, phase)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO slots
      SELECT account_id, submitted >> 39, type, phase, count(*)
      FROM jobs GROUP BY 1, 2, 3, 4;
    CREATE TRIGGER jobs_added_to_slot AFTER INSERT ON jobs BEGIN
      INSERT INTO slots VALUES (new.account_id, new.submitted >> 39, new.type,
                                new.phase, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    CREATE TRIGGER jobs_removed_from_slot AFTER DELETE ON jobs BEGIN
      UPDATE slots SET jobs = jobs - 1
        WHERE account_id = old.account_id AND slot = old.submitted >> 39
              AND type = old.type AND phase = old.phase;
      DELETE FROM slots
        WHERE account_id = old.account_id AND slot = old.submitted >> 39
              AND type = old.type AND phase = old.phase AND jobs = 0;
    END;
    CREATE TRIGGER jobs_changed_in_slot AFTER UPDATE OF phase ON jobs
      WHEN new.phase <> old.phase BEGIN
      UPDATE slots SET jobs = jobs - 1
        WHERE account_id = old.account_id AND slot = old.submitted >> 39
              AND type = old.type AND phase = old.phase;
      DELETE FROM slots
        WHERE account_id = old.account_id AND slot = old.submitted >> 39
              AND type = old.type AND phase = old.phase AND jobs = 0;
      INSERT INTO slots VALUES (new.account_id, new.submitted >> 39, new.type,
                                new.phase, 1)
        ON CONFLICT DO UPDATE SET jobs = jobs + 1;
    END;
    CREATE INDEX jobs_with_files
      ON jobs (finished, id, savefile_bytes, pcapng_bytes)
      WHERE phase = 'succeeded';
  )sql",
  // Which nodes a client chose, and how far their clocks were wrong.
  R"sql(
    ALTER TABLE jobs ADD COLUMN colo_name TEXT NOT NULL DEFAULT '';
    ALTER TABLE interfaces
      ADD COLUMN clock_correction_ns INTEGER NOT NULL DEFAULT 0;
  )sql",
}};

/// Length of a slot of time in which jobs are counted: some nine minutes. A day
/// has 157, so that a list adds up few, and few jobs are in one.
constexpr unix_ns slot_ns = unix_ns{1} << 39;

constexpr int schema_version = static_cast<int>(migrations.size());

/// Columns in the order in which `read_job` takes them.
constexpr const char* select_job
  = "SELECT id, account_id, type, system, time_limit_s, packet_limit, "
    "filter_source_address, filter_destination_address, filter_source_port, "
    "filter_destination_port, filter_protocol, submitted, phase, reason, "
    "error_message, stop_requested, started, finished, packets_captured, "
    "bytes_captured, savefile_bytes, pcapng_bytes, colo_name FROM jobs ";

// -- values <-> columns -------------------------------------------------------

/// SQLite has signed integers only; no count of ours reaches the sign bit.
std::int64_t signed_of(std::uint64_t x) {
  return static_cast<std::int64_t>(x);
}

/// Binds values to a statement's parameters one after another.
class binder {
public:
  explicit binder(SQLite::Statement& statement) : statement_(statement) {}

  binder& operator<<(const std::string& x) {
    statement_.bind(++index_, x);
    return *this;
  }

  template <class T>
  std::enable_if_t<std::is_integral_v<T>, binder&> operator<<(T x) {
    statement_.bind(++index_, static_cast<std::int64_t>(x));
    return *this;
  }

  template <class T>
  binder& operator<<(const std::optional<T>& x) {
    if (x)
      return *this << *x;
    statement_.bind(++index_);
    return *this;
  }

private:
  SQLite::Statement& statement_;
  int index_ = 0;
};

/// Takes the columns of a row one after another.
class row_reader {
public:
  explicit row_reader(SQLite::Statement& statement) : statement_(statement) {}

  row_reader& operator>>(std::string& x) {
    x = statement_.getColumn(index_++).getString();
    return *this;
  }

  template <class T>
  std::enable_if_t<std::is_integral_v<T>, row_reader&> operator>>(T& x) {
    x = static_cast<T>(statement_.getColumn(index_++).getInt64());
    return *this;
  }

  template <class T>
  row_reader& operator>>(std::optional<T>& x) {
    if (statement_.isColumnNull(index_)) {
      ++index_;
      x.reset();
      return *this;
    }
    return *this >> x.emplace();
  }

  /// Takes the name of an enum's value.
  /// @throws std::runtime_error if there is no such value.
  template <class T>
  void name(T& x, std::optional<T> (*parse)(const std::string&)) {
    std::string text;
    *this >> text;
    const auto value = parse(text);
    if (!value)
      throw std::runtime_error("'" + text + "' is no value of its column");
    x = *value;
  }

private:
  SQLite::Statement& statement_;
  int index_ = 0;
};

job_record read_job(SQLite::Statement& statement) {
  job_record result;
  auto& spec = result.spec;
  auto& filter = spec.filter;
  row_reader row{statement};
  row >> result.id >> spec.account_id >> spec.type >> spec.system
    >> spec.time_limit_s >> spec.packet_limit >> filter.source_address
    >> filter.destination_address >> filter.source_port
    >> filter.destination_port >> filter.protocol >> result.submitted;
  row.name(result.phase, parse_job_phase);
  row.name(result.reason, parse_end_reason);
  row >> result.error_message >> result.stop_requested >> result.started
    >> result.finished >> result.packets_captured >> result.bytes_captured
    >> result.savefile_bytes >> result.pcapng_bytes >> spec.colo_name;
  return result;
}

interface_report read_interface(row_reader& row) {
  interface_report result;
  row >> result.node >> result.interface;
  row.name(result.phase, parse_sampler_phase);
  std::optional<std::uint32_t> link;
  row >> link >> result.sampling_one_in >> result.packets_matched
    >> result.packets_captured >> result.packets_sampled_out
    >> result.dropped_by_kernel >> result.dropped_by_interface
    >> result.dropped_by_us >> result.error >> result.clock_correction_ns;
  if (link)
    result.link = static_cast<capture::link_type>(*link);
  return result;
}

/// A prepared statement in use: clean when it begins, and reset when it ends,
/// for a statement that is left half-way holds its snapshot of the database.
class use {
public:
  explicit use(SQLite::Statement& statement) : statement_(statement) {
    statement_.clearBindings();
  }

  use(const use&) = delete;
  use& operator=(const use&) = delete;

  ~use() {
    statement_.tryReset();
  }

  SQLite::Statement* operator->() {
    return &statement_;
  }

  SQLite::Statement& operator*() {
    return statement_;
  }

private:
  SQLite::Statement& statement_;
};

store_errc code_of(int sqlite_code) {
  switch (sqlite_code) {
  case SQLITE_FULL:
    return store_errc::full;
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return store_errc::damaged;
  default:
    return store_errc::unavailable;
  }
}

/// Runs `f`, and turns what SQLiteCpp throws into an error that says what was
/// attempted.
template <class F>
auto attempt(const std::string& what, F&& f) -> stored<decltype(f())> {
  try {
    if constexpr (std::is_void_v<decltype(f())>) {
      f();
      return {};
    } else {
      return f();
    }
  } catch (const SQLite::Exception& x) {
    return store_failure(code_of(x.getErrorCode()), what + ": " + x.what());
  } catch (const std::exception& x) {
    return store_failure(store_errc::unavailable, what + ": " + x.what());
  }
}

/// The index holds what clients asked for: not for everybody's eyes. SQLite
/// would create it for all to read; its WAL takes over the mode of the file.
stored<void> create_private(capture::file_system& files,
                            const std::filesystem::path& file) {
  if (const auto there = files.status(file); there || there.error() != ENOENT)
    return {}; // What stands, or cannot be looked at, is SQLite's to judge.
  const auto made = files.open(file, capture::open_mode::create);
  if (made)
    return {};
  return store_failure(made.error() == ENOSPC ? store_errc::full
                                              : store_errc::unavailable,
                       "create index " + file.string() + ": "
                         + std::generic_category().message(made.error()));
}

void migrate(SQLite::Database& db, int version) {
  for (; version < schema_version; ++version) {
    SQLite::Transaction transaction{db, SQLite::TransactionBehavior::IMMEDIATE};
    db.exec(migrations.at(static_cast<std::size_t>(version)));
    db.exec("PRAGMA application_id = " + std::to_string(application_id));
    db.exec("PRAGMA user_version = " + std::to_string(version + 1));
    transaction.commit();
  }
}

/// Without its WAL the index would go on with a journal whose end is not
/// synced: a crash of the host could take back what was answered.
/// @throws SQLite::Exception and std::runtime_error
void set_wal(SQLite::Database& db) {
  SQLite::Statement pragma{db, "PRAGMA journal_mode = WAL"};
  if (!pragma.executeStep() || pragma.getColumn(0).getString() != "wal")
    throw std::runtime_error("the file system does not support WAL");
  // The answer comes first and the change, which may fail, with the end.
  while (pragma.executeStep())
    continue;
}

/// @throws SQLite::Exception
void check_whole(SQLite::Database& db) {
  const auto verdict = db.execAndGet("PRAGMA quick_check(1)").getString();
  if (verdict != "ok")
    throw SQLite::Exception(verdict, SQLITE_CORRUPT);
}

/// Checks that the database is ours and, if wanted, whole, then makes it
/// current.
/// @throws SQLite::Exception and std::runtime_error
void prepare(SQLite::Database& db, index_checking check) {
  const auto version = db.execAndGet("PRAGMA user_version").getInt();
  const auto owner = db.execAndGet("PRAGMA application_id").getInt();
  if (version != 0 && owner != application_id)
    throw SQLite::Exception("it belongs to another program", SQLITE_NOTADB);
  if (version > schema_version)
    throw SQLite::Exception("schema version " + std::to_string(version)
                              + " is newer than this program's "
                              + std::to_string(schema_version),
                            SQLITE_NOTADB);
  if (check == index_checking::at_open)
    check_whole(db);
  set_wal(db);
  db.exec("PRAGMA synchronous = FULL");
  db.exec("PRAGMA foreign_keys = ON");
  // Negative: in KiB.
  db.exec("PRAGMA cache_size = " + std::to_string(-page_cache_kib));
  migrate(db, version);
}

/// Writes a WAL over itself. A sync that fails may have lost what no later sync
/// makes up for: not only the commit that it was for, which is taken back, but
/// also those before it that nobody had wanted to be synced; and with them, in
/// a crash of the host, all that comes after them. What is to be read of the
/// file is right.
/// @throws std::runtime_error
void rewrite_wal(capture::file_system& files, const std::string& wal) {
  const auto check = [&](const auto& x) {
    if (!x)
      throw std::runtime_error("rewrite " + wal + ": "
                               + std::generic_category().message(x.error()));
  };
  const auto in = files.open(wal, capture::open_mode::read);
  check(in);
  const auto out = files.open(wal, capture::open_mode::change);
  check(out);
  std::vector<char> piece(256u << 10);
  for (std::uint64_t offset = 0;;) {
    const auto got = (*in)->read(piece.data(), piece.size(), offset);
    check(got);
    if (*got == 0)
      break;
    iovec part{piece.data(), *got};
    check(capture::write_all(**out, &part, 1, offset));
    offset += *got;
  }
  check((*out)->sync());
}

/// Makes one commit skip the sync of the WAL.
class relaxed_sync {
public:
  explicit relaxed_sync(SQLite::Database& db) : db_(db) {
    db_.exec("PRAGMA synchronous = NORMAL");
  }

  relaxed_sync(const relaxed_sync&) = delete;
  relaxed_sync& operator=(const relaxed_sync&) = delete;

  ~relaxed_sync() {
    // Changes a flag in memory; SQLite has no way to refuse it outside of a
    // transaction, and ours has ended.
    db_.tryExec("PRAGMA synchronous = FULL");
  }

private:
  SQLite::Database& db_;
};

/// The SQL condition for one of the API's status words.
std::string condition_of(const std::string& status) {
  if (status.empty())
    return "";
  if (status == "pending")
    return " AND phase NOT IN ('succeeded', 'failed')";
  if (status == "success")
    return " AND phase = 'succeeded'";
  if (status == "failed")
    return " AND phase = 'failed'";
  return " AND 0";
}

} // namespace

// -- implementation -----------------------------------------------------------

class job_index::impl {
public:
  impl(const std::filesystem::path& file, capture::file_system& disk,
       const std::string& vfs, index_checking check)
    : path(file.string()), files(disk),
      db(path, SQLite::OPEN_READWRITE, busy_timeout_ms, vfs) {
    // Nor does anybody know how the syncs of an earlier process went.
    if (files.status(wal))
      rewrite_wal(files, wal);
    prepare(db, check);
    keep_names();
  }

  /// Makes the names of the index and its WAL durable. SQLite syncs the
  /// directory when it has made the WAL, but does not mind if that fails.
  /// @throws SQLite::Exception and std::runtime_error
  void keep_names() {
    // A change of nothing, for there is no WAL before the first change.
    db.exec("PRAGMA user_version = " + std::to_string(schema_version));
    const auto above = std::filesystem::path{path}.parent_path();
    const auto directory = above.empty() ? std::filesystem::path{"."} : above;
    if (const auto synced = files.sync_directory(directory); !synced)
      throw std::runtime_error(
        "sync directory " + directory.string() + ": "
        + std::generic_category().message(synced.error()));
  }

  /// Runs `f`, which changes the index.
  /// @throws SQLite::Exception and std::runtime_error
  template <class F>
  auto change(F&& f) {
    forget_answers();
    if (wal_in_doubt)
      rewrite_wal(files, wal);
    wal_in_doubt = false;
    try {
      return f();
    } catch (const SQLite::Exception& x) {
      wal_in_doubt = x.getErrorCode() == SQLITE_IOERR;
      throw;
    }
  }

  /// Prepares a statement at its first use.
  SQLite::Statement& prepared(std::optional<SQLite::Statement>& slot,
                              const char* sql) {
    if (!slot)
      slot.emplace(db, sql);
    return *slot;
  }

  void insert(const job_record& x, const std::string& key) {
    SQLite::Transaction transaction{db};
    use statement{prepared(
      insert_job, "INSERT INTO jobs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                  "?,?,?,?,?,?)")};
    const auto& filter = x.spec.filter;
    binder{*statement} << x.id << x.spec.account_id << x.spec.type
                       << x.spec.system << x.spec.time_limit_s
                       << x.spec.packet_limit << filter.source_address
                       << filter.destination_address << filter.source_port
                       << filter.destination_port << filter.protocol
                       << x.submitted << to_string(x.phase)
                       << to_string(x.reason) << x.error_message
                       << x.stop_requested << x.started << x.finished
                       << signed_of(x.packets_captured)
                       << signed_of(x.bytes_captured)
                       << signed_of(x.savefile_bytes)
                       << signed_of(x.pcapng_bytes) << x.spec.colo_name;
    statement->exec();
    put_interfaces(x, 0);
    insert_interruptions(x);
    insert_collect(x);
    if (!key.empty())
      insert_key(x, key);
    transaction.commit();
  }

  void update(const job_record& x) {
    SQLite::Transaction transaction{db};
    use statement{prepared(
      update_job, "UPDATE jobs SET phase = ?, reason = ?, error_message = ?, "
                  "stop_requested = max(stop_requested, ?), started = ?, "
                  "finished = ?, packets_captured = ?, "
                  "bytes_captured = ?, savefile_bytes = ?, pcapng_bytes = ? "
                  "WHERE id = ?")};
    binder{*statement} << to_string(x.phase) << to_string(x.reason)
                       << x.error_message << x.stop_requested << x.started
                       << x.finished << signed_of(x.packets_captured)
                       << signed_of(x.bytes_captured)
                       << signed_of(x.savefile_bytes)
                       << signed_of(x.pcapng_bytes) << x.id;
    if (statement->exec() != 1)
      throw std::runtime_error("no such job");
    use removal{
      prepared(delete_interfaces, "DELETE FROM interfaces WHERE job_id = ?")};
    binder{*removal} << x.id;
    removal->exec();
    put_interfaces(x, 0);
    insert_interruptions(x);
    transaction.commit();
  }

  void note(const job_record& x, std::uint32_t first_run) {
    SQLite::Transaction transaction{db};
    use statement{prepared(
      note_job, "UPDATE jobs SET phase = ?, reason = ?, error_message = ?, "
                "stop_requested = max(stop_requested, ?), started = ? "
                "WHERE id = ?")};
    binder{*statement} << to_string(x.phase) << to_string(x.reason)
                       << x.error_message << x.stop_requested << x.started
                       << x.id;
    if (statement->exec() != 1)
      throw std::runtime_error("no such job");
    put_interfaces(x, first_run);
    insert_interruptions(x);
    transaction.commit();
  }

  void request_stop(const std::string& account, const std::string& id) {
    use statement{prepared(mark_stop,
                           "UPDATE jobs SET stop_requested = 1 "
                           "WHERE account_id = ? AND id = ? "
                           "AND phase NOT IN ('succeeded', 'failed')")};
    binder{*statement} << account << id;
    statement->exec();
  }

  void erase(const std::vector<std::string>& ids) {
    SQLite::Transaction transaction{db};
    for (const auto& id : ids) {
      use statement{prepared(delete_job, "DELETE FROM jobs WHERE id = ?")};
      binder{*statement} << id;
      statement->exec();
    }
    transaction.commit();
  }

  std::optional<job_record> find(const std::string& id) {
    const auto sql = std::string{select_job} + "WHERE id = ?";
    use statement{prepared(select_by_id, sql.c_str())};
    binder{*statement} << id;
    if (!statement->executeStep())
      return std::nullopt;
    auto result = read_job(*statement);
    add_details(result);
    return result;
  }

  std::optional<job_phase> phase_of(const std::string& id) {
    use statement{
      prepared(select_phase, "SELECT phase FROM jobs WHERE id = ?")};
    binder{*statement} << id;
    if (!statement->executeStep())
      return std::nullopt;
    job_phase result{};
    row_reader{*statement}.name(result, parse_job_phase);
    return result;
  }

  std::vector<stored_savefile> savefiles_behind(const std::string& id,
                                                std::size_t limit) {
    use statement{prepared(select_behind,
                           "SELECT id, savefile_bytes, pcapng_bytes FROM jobs "
                           "WHERE id > ? ORDER BY id LIMIT ?")};
    binder{*statement} << id << limit;
    return read_savefiles(*statement);
  }

  std::optional<job_record> recall(const std::string& account,
                                   const std::string& key, unix_ns since) {
    std::string id;
    {
      use statement{prepared(select_key, "SELECT job_id FROM idempotency_keys "
                                         "WHERE account_id = ? AND key = ? "
                                         "AND created >= ?")};
      binder{*statement} << account << key << since;
      if (!statement->executeStep())
        return std::nullopt;
      row_reader{*statement} >> id;
    }
    return find(id);
  }

  std::size_t forget_keys(unix_ns instant, std::size_t limit) {
    use statement{prepared(delete_old_keys,
                           "DELETE FROM idempotency_keys "
                           "WHERE (account_id, key) IN "
                           "(SELECT account_id, key FROM idempotency_keys "
                           "WHERE created < ? ORDER BY created LIMIT ?)")};
    binder{*statement} << instant << limit;
    return static_cast<std::size_t>(statement->exec());
  }

  std::vector<stored_collect> collects_since(unix_ns instant) {
    SQLite::Statement rows{db, "SELECT account_id, moment FROM collects "
                               "WHERE moment >= ? ORDER BY moment"};
    binder{rows} << instant;
    std::vector<stored_collect> result;
    while (rows.executeStep()) {
      auto& x = result.emplace_back();
      row_reader{rows} >> x.account_id >> x.moment;
    }
    return result;
  }

  void refund(const std::string& id) {
    use statement{
      prepared(delete_collect, "DELETE FROM collects WHERE job_id = ?")};
    binder{*statement} << id;
    statement->exec();
  }

  std::size_t forget_collects(unix_ns instant, std::size_t limit) {
    use statement{prepared(
      delete_old_collects,
      "DELETE FROM collects WHERE job_id IN (SELECT job_id FROM collects "
      "WHERE moment < ? ORDER BY moment LIMIT ?)")};
    binder{*statement} << instant << limit;
    return static_cast<std::size_t>(statement->exec());
  }

  shared_job_page list(const list_query& query) {
    if (auto known = pages.find(query))
      return known;
    auto result = std::make_shared<const job_page>(read_page(query));
    pages.add(query, result);
    return result;
  }

  job_page read_page(const list_query& query) {
    const auto where = "WHERE account_id = ?1 AND (?2 = '' OR type = ?2)"
                       + condition_of(query.status);
    job_page result;
    SQLite::Statement count{db,
                            "SELECT coalesce(sum(jobs), 0) FROM sums " + where};
    binder{count} << query.account_id << query.type;
    if (count.executeStep())
      row_reader{count} >> result.total_count;
    const auto per_page = std::clamp(query.per_page, 1u, max_per_page);
    const auto page = std::max(query.page, 1u);
    auto before = (std::uint64_t{page} - 1) * per_page;
    if (before >= result.total_count)
      return result;
    // Slots that are passed over cost a row each, and those that have none of
    // these jobs nothing.
    SQLite::Statement slots{db, "SELECT slot, sum(jobs) FROM slots " + where
                                  + " GROUP BY slot ORDER BY slot DESC"};
    binder{slots} << query.account_id << query.type;
    // The inner query reads nothing but the index.
    SQLite::Statement rows{db, select_job
                                 + ("WHERE id IN (SELECT id FROM jobs " + where)
                                 + " AND submitted >= ?3 AND submitted < ?4 "
                                   "ORDER BY submitted DESC, id "
                                   "LIMIT ?5 OFFSET ?6) "
                                   "ORDER BY submitted DESC, id"};
    while (result.jobs.size() < per_page && slots.executeStep()) {
      std::int64_t slot = 0;
      std::uint64_t jobs = 0;
      row_reader{slots} >> slot >> jobs;
      if (before >= jobs) {
        before -= jobs;
        continue;
      }
      use slice{rows};
      binder{*slice} << query.account_id << query.type << slot * slot_ns
                     << (slot + 1) * slot_ns << per_page - result.jobs.size()
                     << before;
      before = 0;
      while (slice->executeStep())
        add_details(result.jobs.emplace_back(read_job(*slice)));
    }
    return result;
  }

  std::vector<stored_savefile> savefiles_where(const std::string& rest,
                                               std::int64_t parameter,
                                               std::size_t limit) {
    SQLite::Statement rows{
      db, "SELECT id, savefile_bytes, pcapng_bytes FROM jobs WHERE " + rest
            + " LIMIT ?2"};
    binder{rows} << parameter << limit;
    return read_savefiles(rows);
  }

  const index_totals& totals() {
    if (!all_totals) {
      use sums{prepared(select_totals, totals_sql)};
      all_totals = read_totals(*sums);
    }
    return *all_totals;
  }

  const index_totals& totals_of(const std::string& account) {
    if (const auto known = account_totals.find(account);
        known != account_totals.end())
      return known->second;
    const auto sql = std::string{totals_sql} + " WHERE account_id = ?";
    use sums{prepared(select_totals_of, sql.c_str())};
    binder{*sums} << account;
    return account_totals[account] = read_totals(*sums);
  }

  const std::string path;
  const std::string wal = path + "-wal";
  capture::file_system& files;
  SQLite::Database db;
  bool wal_in_doubt = false; ///< A change has met an error of the disk.
  page_memory pages{max_remembered_pages};

private:
  static constexpr const char* totals_sql
    = "SELECT coalesce(sum(jobs), 0), "
      "coalesce(sum(jobs) FILTER (WHERE phase IN ('succeeded', 'failed')), 0), "
      "coalesce(sum(bytes) FILTER (WHERE phase IN ('succeeded', 'failed')), 0) "
      "FROM sums";

  static index_totals read_totals(SQLite::Statement& sums) {
    index_totals result;
    if (sums.executeStep())
      row_reader{sums} >> result.jobs >> result.finished_jobs
        >> result.savefile_bytes;
    return result;
  }

  static std::vector<stored_savefile> read_savefiles(SQLite::Statement& rows) {
    std::vector<stored_savefile> result;
    while (rows.executeStep()) {
      auto& x = result.emplace_back();
      row_reader{rows} >> x.id >> x.savefile_bytes >> x.pcapng_bytes;
    }
    return result;
  }

  /// Before each change, whatever becomes of it.
  void forget_answers() {
    pages.forget();
    all_totals.reset();
    account_totals.clear();
  }

  /// A key that is here already is too old to be recalled: it gives way.
  void insert_key(const job_record& x, const std::string& key) {
    use statement{
      prepared(insert_new_key,
               "INSERT OR REPLACE INTO idempotency_keys VALUES (?,?,?,?)")};
    binder{*statement} << x.spec.account_id << key << x.id << x.submitted;
    statement->exec();
    use removal{prepared(
      delete_surplus_keys,
      "DELETE FROM idempotency_keys WHERE account_id = ?1 "
      "AND (created, key) < (SELECT created, key FROM idempotency_keys "
      "WHERE account_id = ?1 ORDER BY created DESC, key DESC "
      "LIMIT 1 OFFSET ?2)")};
    binder{*removal} << x.spec.account_id << (max_keys_per_account - 1);
    removal->exec();
  }

  void insert_collect(const job_record& x) {
    use statement{prepared(insert_new_collect,
                           "INSERT OR REPLACE INTO collects VALUES (?,?,?)")};
    binder{*statement} << x.id << x.spec.account_id << x.submitted;
    statement->exec();
  }

  void insert_interruptions(const job_record& x) {
    for (std::size_t i = 0; i < x.interruptions.size(); ++i) {
      use statement{
        prepared(insert_interruption,
                 "INSERT OR REPLACE INTO interruptions VALUES (?,?,?,?)")};
      binder{*statement} << x.id << i << x.interruptions[i].from
                         << x.interruptions[i].to;
      statement->exec();
    }
  }

  void put_interfaces(const job_record& x, std::uint32_t first_run) {
    for (std::size_t i = 0; i < x.interfaces.size(); ++i) {
      const auto& y = x.interfaces[i];
      std::optional<std::uint32_t> link;
      if (y.link)
        link = static_cast<std::uint32_t>(*y.link);
      use statement{prepared(put_interface,
                             "INSERT OR REPLACE INTO interfaces VALUES "
                             "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")};
      binder{*statement} << x.id << first_run + i << y.node
                         << y.interface << to_string(y.phase) << link
                         << y.sampling_one_in << y.packets_matched
                         << y.packets_captured << y.packets_sampled_out
                         << y.dropped_by_kernel << y.dropped_by_interface
                         << y.dropped_by_us << y.error << y.clock_correction_ns;
      statement->exec();
    }
  }

  void add_details(job_record& x) {
    add_interfaces(x);
    use statement{prepared(select_interruptions,
                           "SELECT began, ended FROM interruptions "
                           "WHERE job_id = ? ORDER BY number")};
    binder{*statement} << x.id;
    while (statement->executeStep()) {
      auto& y = x.interruptions.emplace_back();
      row_reader{*statement} >> y.from >> y.to;
    }
  }

  void add_interfaces(job_record& x) {
    use statement{prepared(
      select_interfaces,
      "SELECT run, node, interface, phase, link_type, sampling_one_in, "
      "packets_matched, packets_captured, packets_sampled_out, "
      "dropped_by_kernel, dropped_by_interface, dropped_by_us, error, "
      "clock_correction_ns "
      "FROM interfaces WHERE job_id = ? ORDER BY run")};
    binder{*statement} << x.id;
    while (statement->executeStep()) {
      row_reader row{*statement};
      std::uint32_t run = 0;
      row >> run;
      if (run >= max_runs_per_job)
        throw std::runtime_error("an interface has the run "
                                 + std::to_string(run));
      // The place of an interface is its run, also where the note of one before
      // it could not be written.
      while (x.interfaces.size() < run)
        x.interfaces.push_back(unknown_interface(x.interfaces.size()));
      x.interfaces.push_back(read_interface(row));
    }
  }

  // Declared after the database, which they must not outlive.
  std::optional<SQLite::Statement> insert_job, update_job, delete_job,
    select_by_id, put_interface, note_job, delete_interfaces, select_interfaces,
    insert_new_key, select_key, delete_old_keys, delete_surplus_keys,
    select_totals, select_totals_of, mark_stop, insert_interruption,
    select_interruptions, insert_new_collect, delete_collect,
    delete_old_collects, select_phase, select_behind;
  // What was read since the last change of any job; accounts are as many as
  // are configured.
  std::optional<index_totals> all_totals;
  std::unordered_map<std::string, index_totals> account_totals;
};

job_index::job_index(std::unique_ptr<impl> x) : impl_(std::move(x)) {}

job_index::~job_index() = default;

stored<std::unique_ptr<job_index>>
job_index::open(const std::filesystem::path& file, capture::file_system& files,
                const std::string& vfs, index_checking check) {
  if (auto made = create_private(files, file); !made)
    return tl::unexpected<store_error>{made.error()};
  return attempt("open index " + file.string(), [&] {
    auto opened = std::make_unique<impl>(file, files, vfs, check);
    return std::unique_ptr<job_index>{new job_index{std::move(opened)}};
  });
}

stored<void> job_index::copy_to(const std::filesystem::path& file,
                                capture::file_system& files,
                                const std::string& vfs) {
  if (auto made = create_private(files, file); !made)
    return made;
  return attempt("copy " + impl_->path + " to " + file.string(), [&] {
    SQLite::Database copy{file.string(), SQLite::OPEN_READWRITE,
                          busy_timeout_ms, vfs};
    // It throws for most of what may go wrong, but not for a lock.
    if (const auto code = SQLite::Backup{copy, impl_->db}.executeStep();
        code != SQLITE_DONE)
      throw SQLite::Exception{"the copy is not whole", code};
  });
}

stored<void> job_index::insert(const job_record& record,
                               const std::string& key) {
  return attempt("insert job " + record.id + " into " + impl_->path,
                 [&] { impl_->change([&] { impl_->insert(record, key); }); });
}

stored<void> job_index::update(const job_record& record, durability wanted) {
  return attempt("update job " + record.id + " in " + impl_->path, [&] {
    std::optional<relaxed_sync> guard;
    if (wanted == durability::process)
      guard.emplace(impl_->db);
    impl_->change([&] { impl_->update(record); });
  });
}

stored<void> job_index::note(const job_record& record,
                             std::uint32_t first_run) {
  return attempt("note job " + record.id + " in " + impl_->path, [&] {
    relaxed_sync guard{impl_->db};
    impl_->change([&] { impl_->note(record, first_run); });
  });
}

stored<void> job_index::request_stop(const std::string& account,
                                     const std::string& id) {
  return attempt("note the stop of job " + id + " in " + impl_->path, [&] {
    impl_->change([&] { impl_->request_stop(account, id); });
  });
}

stored<void> job_index::erase(const std::vector<std::string>& ids) {
  const auto what = ids.size() == 1 ? "job " + ids.front()
                                    : std::to_string(ids.size()) + " jobs";
  return attempt("remove " + what + " from " + impl_->path,
                 [&] { impl_->change([&] { impl_->erase(ids); }); });
}

stored<std::optional<job_record>> job_index::find(const std::string& id) {
  return attempt("read job " + id + " from " + impl_->path,
                 [&] { return impl_->find(id); });
}

stored<std::optional<job_phase>> job_index::phase_of(const std::string& id) {
  return attempt("read job " + id + " from " + impl_->path,
                 [&] { return impl_->phase_of(id); });
}

stored<std::optional<job_record>> job_index::recall(const std::string& account,
                                                    const std::string& key,
                                                    unix_ns since) {
  return attempt("look up a key of account " + account + " in " + impl_->path,
                 [&] { return impl_->recall(account, key, since); });
}

stored<std::size_t> job_index::forget_keys(unix_ns instant, std::size_t limit) {
  return attempt("forget old keys in " + impl_->path, [&] {
    return impl_->change([&] { return impl_->forget_keys(instant, limit); });
  });
}

stored<std::vector<stored_collect>> job_index::collects_since(unix_ns instant) {
  return attempt("read what accounts spent from " + impl_->path,
                 [&] { return impl_->collects_since(instant); });
}

stored<void> job_index::refund(const std::string& id) {
  return attempt("refund job " + id + " in " + impl_->path,
                 [&] { impl_->change([&] { impl_->refund(id); }); });
}

stored<std::size_t> job_index::forget_collects(unix_ns instant,
                                               std::size_t limit) {
  return attempt("forget what accounts spent in " + impl_->path, [&] {
    return impl_->change(
      [&] { return impl_->forget_collects(instant, limit); });
  });
}

stored<shared_job_page> job_index::list(const list_query& query) {
  return attempt("list jobs of account " + query.account_id + " in "
                   + impl_->path,
                 [&] { return impl_->list(query); });
}

stored<std::vector<std::string>> job_index::unfinished() {
  return attempt("list unfinished jobs in " + impl_->path, [&] {
    SQLite::Statement rows{impl_->db,
                           "SELECT id FROM jobs "
                           "WHERE phase NOT IN ('succeeded', 'failed') "
                           "ORDER BY submitted"};
    std::vector<std::string> result;
    while (rows.executeStep())
      row_reader{rows} >> result.emplace_back();
    return result;
  });
}

stored<std::vector<stored_savefile>>
job_index::savefiles_behind(const std::string& id, std::size_t limit) {
  return attempt("list savefiles in " + impl_->path,
                 [&] { return impl_->savefiles_behind(id, limit); });
}

stored<std::vector<stored_savefile>>
job_index::finished_before(unix_ns instant, std::size_t limit) {
  return attempt("list old jobs in " + impl_->path, [&] {
    return impl_->savefiles_where("phase IN ('succeeded', 'failed') "
                                  "AND finished < ?1 ORDER BY finished, id",
                                  instant, limit);
  });
}

stored<std::vector<stored_savefile>>
job_index::oldest_savefiles(std::size_t limit) {
  return attempt("list old savefiles in " + impl_->path, [&] {
    return impl_->savefiles_where("phase = 'succeeded' AND finished >= ?1 "
                                  "ORDER BY finished, id",
                                  std::numeric_limits<unix_ns>::min(), limit);
  });
}

stored<index_totals> job_index::totals() {
  return attempt("sum up " + impl_->path, [&] { return impl_->totals(); });
}

stored<index_totals> job_index::totals_of(const std::string& account) {
  return attempt("sum up account " + account + " in " + impl_->path,
                 [&] { return impl_->totals_of(account); });
}

} // namespace edgecap
