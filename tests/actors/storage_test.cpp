#include "actors/storage.hpp"
#include "capture/output_file.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/savefile_reader.hpp"
#include "tests/support/scripted_source.hpp"
#include "tests/support/temp_directory.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>

#include <unistd.h>

#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <vector>

// The storage actor on real files and simulated time. A crash is played by
// making every step fail from a chosen one on, killing the actor and starting
// another in the same directory; what no step can leave behind is put there by
// hand.
namespace edgecap::test {

namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

namespace fs = std::filesystem;

constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";
constexpr const char* other_account = "ffffffffffffffffffffffffffffffff";

std::string id_of(int n) {
  const auto digits = std::to_string(n);
  return std::string(32 - digits.size(), '0') + digits;
}

interface_report make_interface(const std::string& name,
                                capture::link_type link
                                = capture::link_type::ethernet) {
  interface_report result;
  result.node = "here";
  result.interface = name;
  result.phase = sampler_phase::capturing;
  result.link = link;
  result.packets_matched = 3;
  return result;
}

struct fault_script {
  /// These steps fail.
  std::set<storage_step> broken;
  /// This step fails, and all that come after it in a job's life.
  std::optional<storage_step> dead_from;
  store_errc code = store_errc::unavailable;
};

class StorageTest : public actor_fixture {
protected:
  StorageTest() {
    options.directory = directory.path() / "captures";
    options.min_free_bytes = 0;
    options.wall_clock = [this] { return now(); };
    options.faults
      = [script = faults](storage_step step,
                          const std::string& id) -> std::optional<store_error> {
      if (script->broken.count(step) == 0
          && (!script->dead_from || step < *script->dead_from))
        return std::nullopt;
      return store_error{script->code,
                         "touch job " + id + ": Input/output error"};
    };
  }

  void TearDown() override {
    stop();
    actor_fixture::TearDown();
  }

  // -- the actor --------------------------------------------------------------

  void start() {
    aut = spawn(storage, options);
    run();
  }

  /// Ends the actor without warning.
  void stop() {
    if (!aut)
      return;
    self->send_exit(aut, caf::exit_reason::kill);
    run();
    aut = nullptr;
  }

  void restart() {
    stop();
    *faults = {};
    start();
  }

  /// The next process, when the time of all jobs has passed.
  void restart_too_late() {
    stop();
    advance_only(std::chrono::seconds{60});
    restart();
  }

  resumption resume() {
    auto answer = ask<resumption>(aut, atom::resume_v);
    EXPECT_TRUE(answer) << failure_of(answer).text;
    return answer ? *answer : resumption{};
  }

  /// Why the actor refuses to start.
  std::string refusal() {
    auto handle = spawn(storage, options);
    std::string text;
    self->monitor(handle);
    run();
    self->receive(
      [&](caf::down_msg& down) { text = describe(down.reason).text; });
    return text;
  }

  // -- what a registry and a job do -------------------------------------------

  job_record make_record(int n) {
    job_record result;
    result.id = id_of(n);
    result.spec.account_id = account;
    result.spec.system = "magic-transit";
    result.spec.time_limit_s = 60;
    result.spec.packet_limit = 1000;
    result.submitted = now();
    return result;
  }

  caf::expected<caf::ok_atom> try_insert(const job_record& record,
                                         const std::string& key = {}) {
    return ask<caf::ok_atom>(aut, atom::insert_v, record, key);
  }

  void insert(const job_record& record, const std::string& key = {}) {
    const auto answer = try_insert(record, key);
    ASSERT_TRUE(answer) << failure_of(answer).text;
  }

  caf::expected<caf::ok_atom> append(const job_record& record,
                                     std::uint32_t run_number,
                                     const capture::packet_batch& batch) {
    return ask<caf::ok_atom>(aut, atom::append_v, record.id, run_number, batch);
  }

  /// A job with packets at 10, 20, 30 (run 0) and 15, 25 (run 1), that wants to
  /// be sealed.
  job_record captured(int n, end_reason reason = end_reason::packet_limit) {
    auto record = make_record(n);
    insert(record);
    record.phase = job_phase::capturing;
    record.started = now();
    record.interfaces = {make_interface("eth0"), make_interface("eth1")};
    self->send(aut, atom::progress_v, record, std::uint32_t{0});
    for (const unix_ns time : {10, 20, 30})
      EXPECT_TRUE(append(record, 0, make_batch(1, time)));
    for (const unix_ns time : {15, 25})
      EXPECT_TRUE(append(record, 1, make_batch(1, time)));
    record.phase = job_phase::sealing;
    record.reason = reason;
    record.packets_captured = 5;
    record.bytes_captured = 300;
    record.interfaces[0].packets_captured = 3;
    record.interfaces[1].packets_captured = 2;
    for (auto& x : record.interfaces)
      x.phase = sampler_phase::ended;
    return record;
  }

  /// A job that captured nothing on two open interfaces.
  job_record silent(int n, end_reason reason) {
    auto record = make_record(n);
    insert(record);
    record.interfaces = {make_interface("tun0", capture::link_type::raw),
                         make_interface("eth0")};
    record.reason = reason;
    return record;
  }

  caf::expected<job_record> seal(const job_record& record) {
    return ask<job_record>(aut, atom::seal_v, record);
  }

  /// Captures and seals; returns the terminal record.
  job_record finished(int n) {
    auto answer = seal(captured(n));
    EXPECT_TRUE(answer) << failure_of(answer).text;
    return answer ? *answer : job_record{};
  }

  job_record get(int n) {
    auto answer
      = ask<job_record>(aut, atom::get_v, std::string{account}, id_of(n));
    EXPECT_TRUE(answer) << failure_of(answer).text;
    return answer ? *answer : job_record{};
  }

  /// Id of the job that a key leads to, or why there is none.
  std::string recall(const std::string& key) {
    auto answer
      = ask<job_record>(aut, atom::recall_v, std::string{account}, key);
    return answer ? answer->id : to_string(failure_of(answer).code);
  }

  /// Whether storage knows the job at all.
  bool known(int n) {
    return static_cast<bool>(
      ask<job_record>(aut, atom::get_v, std::string{account}, id_of(n)));
  }

  caf::expected<savefile> download(int n, savefile_format format
                                          = savefile_format::pcap) {
    return ask<savefile>(aut, atom::download_v, std::string{account}, id_of(n),
                         format);
  }

  /// Has storage tell of jobs that it removes or changes after their end.
  void tell_of_changes(std::vector<std::string>& told) {
    const auto sink
      = track(sys.spawn([&told]() -> expiry_sink_actor::behavior_type {
          return {[&told](atom::expired, const std::string& id) {
            told.push_back(id);
          }};
        }));
    caf::anon_send(aut, atom::expired_v, sink);
  }

  storage_stats stats() {
    auto answer = ask<storage_stats>(aut, atom::stats_v);
    EXPECT_TRUE(answer) << failure_of(answer).text;
    return answer ? *answer : storage_stats{};
  }

  /// Jobs that were refused for that cause.
  std::uint64_t refusals(const std::string& cause) {
    for (const auto& x : stats().refused)
      if (x.cause == cause)
        return x.jobs;
    ADD_FAILURE() << "there is no cause " << cause;
    return 0;
  }

  // -- what is on disk --------------------------------------------------------

  fs::path run_file(int n, int run_number) const {
    return options.directory / "jobs" / id_of(n)
           / ("run-" + std::to_string(run_number) + ".pcap");
  }

  fs::path savefile_file(int n, const std::string& ending = ".pcap") const {
    return options.directory / "savefiles" / (id_of(n) + ending);
  }

  /// Names below `savefiles/` and `jobs/`, sorted.
  std::vector<std::string> left_on_disk() const {
    std::set<std::string> names;
    for (const auto* place : {"savefiles", "jobs"})
      for (const auto& x : fs::directory_iterator{options.directory / place})
        names.insert(x.path().filename().string());
    return {names.begin(), names.end()};
  }

  std::vector<std::int64_t> times_in(const fs::path& file) const {
    const auto read = read_pcap(file);
    EXPECT_EQ(read.error, "");
    std::vector<std::int64_t> result;
    for (const auto& x : read.records)
      result.push_back(x.time_ns);
    return result;
  }

  /// Expects the five packets of `captured` in a whole savefile, whose counts
  /// and sizes the record tells.
  void expect_whole(int n) {
    const auto record = get(n);
    EXPECT_EQ(record.phase, job_phase::succeeded) << record.error_message;
    EXPECT_EQ(record.packets_captured, 5u);
    EXPECT_EQ(record.bytes_captured, 300u);
    ASSERT_THAT(record.interfaces, SizeIs(2));
    EXPECT_EQ(record.interfaces[0].interface, "eth0");
    EXPECT_EQ(record.interfaces[0].packets_captured, 3u);
    EXPECT_EQ(record.interfaces[1].packets_captured, 2u);
    EXPECT_TRUE(record.finished);
    EXPECT_THAT(times_in(savefile_file(n)), ElementsAre(10, 15, 20, 25, 30));
    EXPECT_EQ(record.savefile_bytes, fs::file_size(savefile_file(n)));
    EXPECT_EQ(record.pcapng_bytes, fs::file_size(savefile_file(n, ".pcapng")));
    EXPECT_TRUE(download(n));
  }

  temp_directory directory;
  storage_options options;
  std::shared_ptr<fault_script> faults = std::make_shared<fault_script>();
  storage_actor aut;
};

} // namespace

// -- options ------------------------------------------------------------------

TEST_F(StorageTest, RefusesImpossibleOptions) {
  using setter = void (*)(storage_options&);
  const std::vector<std::pair<const char*, setter>> cases{
    {"storage: no directory", [](auto& x) { x.directory.clear(); }},
    {"storage: max_age is not positive",
     [](auto& x) { x.max_age = std::chrono::seconds{0}; }},
    {"storage: max_bytes is 0", [](auto& x) { x.max_bytes = 0; }},
    {"storage: max_jobs is 0", [](auto& x) { x.max_jobs = 0; }},
    {"storage: download_hold is negative",
     [](auto& x) { x.download_hold = std::chrono::seconds{-1}; }},
    {"storage: sweep_interval is not positive",
     [](auto& x) { x.sweep_interval = std::chrono::seconds{0}; }},
    {"storage: seal_slice_bytes is 0", [](auto& x) { x.seal_slice_bytes = 0; }},
    {"storage: inspection_slice is 0", [](auto& x) { x.inspection_slice = 0; }},
    {"storage: max_open_runs is 0", [](auto& x) { x.max_open_runs = 0; }},
    {"storage: no clock", [](auto& x) { x.wall_clock = nullptr; }},
  };
  EXPECT_FALSE(validate(options));
  const auto good = options;
  for (const auto& [text, spoil] : cases) {
    options = good;
    spoil(options);
    EXPECT_EQ(describe(validate(options)).code, errc::invalid_options);
    EXPECT_EQ(refusal(), text);
  }
}

// -- insert -------------------------------------------------------------------

TEST_F(StorageTest, RemembersAnInsertedJob) {
  start();
  insert(make_record(1));
  const auto record = get(1);
  EXPECT_EQ(record.phase, job_phase::pending);
  EXPECT_EQ(record.spec.system, "magic-transit");
  EXPECT_EQ(stats().jobs, 1u);
}

TEST_F(StorageTest, RefusesAnIdThatIsNone) {
  start();
  auto record = make_record(1);
  record.id = "../../../../../../../etc/passwd.";
  const auto answer = try_insert(record);
  EXPECT_EQ(failure_of(answer).code, errc::storage_unavailable);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("32 lower-case hex"));
}

TEST_F(StorageTest, SaysWhyAnInsertFails) {
  start();
  faults->broken = {storage_step::insert};
  auto answer = try_insert(make_record(1));
  EXPECT_EQ(failure_of(answer).code, errc::storage_unavailable);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("Input/output error"));
  EXPECT_FALSE(known(1));
  EXPECT_FALSE(append(make_record(1), 0, make_batch(1)));
  faults->code = store_errc::full;
  answer = try_insert(make_record(1));
  EXPECT_EQ(failure_of(answer).code, errc::storage_full);
  faults->broken.clear();
  insert(make_record(1));
  answer = try_insert(make_record(1));
  EXPECT_THAT(failure_of(answer).text, HasSubstr("UNIQUE constraint failed"));
}

TEST_F(StorageTest, TakesNothingNewBelowTheFloorOfFreeSpace) {
  options.min_free_bytes = std::uint64_t{1} << 62;
  start();
  const auto answer = try_insert(make_record(1));
  EXPECT_EQ(failure_of(answer).code, errc::storage_full);
  EXPECT_THAT(failure_of(answer).text,
              AllOf(HasSubstr("insert job " + id_of(1)),
                    HasSubstr("less than the floor of 4611686018427387904")));
  EXPECT_FALSE(known(1));
}

TEST_F(StorageTest, EndsRunningJobsBelowTheFloorOfFreeSpace) {
  tiny_disk disk{1u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  options.min_free_bytes = 128u << 10;
  start();
  const auto record = make_record(1);
  insert(record);
  EXPECT_TRUE(append(record, 0, make_batch(1)));
  disk.fill(64u << 10);
  advance_only(capacity::look_interval);
  const auto answer = append(record, 0, make_batch(1));
  EXPECT_EQ(failure_of(answer).code, errc::storage_full)
    << failure_of(answer).text;
  EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_full);
  stop();
}

// -- append -------------------------------------------------------------------

TEST_F(StorageTest, AppendsToOpenJobsOnly) {
  start();
  const auto record = captured(1);
  EXPECT_EQ(failure_of(append(make_record(9), 0, make_batch(1))).code,
            errc::unknown_job);
  ASSERT_TRUE(seal(record));
  EXPECT_EQ(failure_of(append(record, 0, make_batch(1))).code,
            errc::unknown_job);
  EXPECT_FALSE(fs::exists(run_file(1, 0)));
}

TEST_F(StorageTest, SaysWhyAnAppendFails) {
  start();
  const auto record = captured(1);
  faults->broken = {storage_step::append};
  faults->code = store_errc::full;
  EXPECT_EQ(failure_of(append(record, 0, make_batch(1))).code,
            errc::storage_full);
  faults->broken.clear();
  ASSERT_TRUE(seal(record));
  expect_whole(1);
}

// What came behind it would hide that it is missing: after a crash, the runs
// are all that is known.
TEST_F(StorageTest, TakesNoPacketsBehindALostBatch) {
  start();
  const auto record = captured(1);
  faults->broken = {storage_step::append};
  EXPECT_FALSE(append(record, 0, make_batch(1)));
  faults->broken.clear();
  const auto again = failure_of(append(record, 0, make_batch(1)));
  EXPECT_EQ(again.code, errc::storage_unavailable);
  EXPECT_FALSE(append(record, 1, make_batch(1)));
  ASSERT_TRUE(seal(record));
  expect_whole(1);
}

// -- seal ---------------------------------------------------------------------

TEST_F(StorageTest, SealsTheRunsInTimeOrder) {
  start();
  const auto answer = seal(captured(1));
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::succeeded);
  EXPECT_EQ(answer->reason, end_reason::packet_limit);
  EXPECT_EQ(answer->error_message, "");
  expect_whole(1);
  EXPECT_THAT(read_file(savefile_file(1, ".pcapng")),
              AllOf(HasSubstr("here/eth0"), HasSubstr("here/eth1")));
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(1) + ".pcapng"));
  restart();
  expect_whole(1);
  EXPECT_EQ(get(1).error_message, "");
}

TEST_F(StorageTest, KeepsNoPcapngIfNoneIsWanted) {
  options.pcapng = false;
  start();
  EXPECT_EQ(finished(1).pcapng_bytes, 0u);
  EXPECT_THAT(left_on_disk(), ElementsAre(id_of(1) + ".pcap"));
  const auto answer = download(1, savefile_format::pcapng);
  EXPECT_EQ(failure_of(answer).code, errc::no_savefile);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("has no pcapng file"));
}

TEST_F(StorageTest, SetsTheEndOnlyIfTheJobHasNot) {
  start();
  auto record = captured(1);
  record.finished = 12345;
  ASSERT_TRUE(seal(record));
  EXPECT_EQ(get(1).finished, 12345);
  advance_only(std::chrono::seconds{5});
  const auto sealed_at = now();
  ASSERT_TRUE(seal(captured(2)));
  EXPECT_EQ(get(2).finished, sealed_at);
}

TEST_F(StorageTest, ServesOthersBetweenTheSlicesOfASeal) {
  options.seal_slice_bytes = 1; // a record per slice
  start();
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  deliver_to(aut);
  auto reading = ask_later(aut, atom::stats_v);
  auto listing = ask_later(aut, atom::list_v, [] {
    list_query query;
    query.account_id = account;
    return query;
  }());
  for (int i = 0; i < 4; ++i)
    deliver_to(aut);
  EXPECT_TRUE(receive_answer<storage_stats>(reading));
  const auto page = receive_answer<shared_job_page>(listing);
  ASSERT_TRUE(page);
  ASSERT_THAT((*page)->jobs, SizeIs(1));
  EXPECT_EQ((*page)->jobs[0].phase, job_phase::sealing);
  run();
  EXPECT_TRUE(receive_answer<job_record>(sealing));
  expect_whole(1);
}

TEST_F(StorageTest, SealsJobsInTurn) {
  options.seal_slice_bytes = 1;
  start();
  auto first = ask_later(aut, atom::seal_v, captured(1));
  auto second = ask_later(aut, atom::seal_v, captured(2));
  while (!fs::exists(savefile_file(1)))
    ASSERT_TRUE(deliver_to(aut));
  EXPECT_FALSE(fs::exists(savefile_file(2, ".pcap.part")));
  run();
  EXPECT_TRUE(receive_answer<job_record>(first));
  EXPECT_TRUE(receive_answer<job_record>(second));
  expect_whole(1);
  expect_whole(2);
}

TEST_F(StorageTest, SealsOnceHoweverOftenItIsAsked) {
  start();
  const auto record = captured(1);
  auto first = ask_later(aut, atom::seal_v, record);
  auto second = ask_later(aut, atom::seal_v, record);
  run();
  EXPECT_EQ(receive_answer<job_record>(first)->phase, job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(second)->phase, job_phase::succeeded);
  const auto etag = download(1)->etag;
  const auto third = seal(record);
  ASSERT_TRUE(third);
  EXPECT_EQ(third->phase, job_phase::succeeded);
  EXPECT_EQ(third->savefile_bytes, fs::file_size(savefile_file(1)));
  EXPECT_EQ(download(1)->etag, etag) << "the file was not written again";
}

TEST_F(StorageTest, SealsNoUnknownJob) {
  start();
  EXPECT_EQ(failure_of(seal(make_record(1))).code, errc::unknown_job);
  EXPECT_EQ(failure_of(ask<job_record>(aut, atom::fail_v, make_record(1))).code,
            errc::unknown_job);
}

TEST_F(StorageTest, CorrectsCountsThatTheRunsContradict) {
  start();
  auto record = captured(1, end_reason::stopped);
  record.packets_captured = 7;
  record.interfaces[0].packets_captured = 0;
  record.interfaces[1].packets_captured = 7;
  ASSERT_TRUE(seal(record));
  expect_whole(1);
}

TEST_F(StorageTest, ReportsARunThatNobodyClaims) {
  start();
  auto record = captured(1);
  record.interfaces.clear();
  ASSERT_TRUE(seal(record));
  const auto sealed = get(1);
  ASSERT_THAT(sealed.interfaces, SizeIs(2));
  EXPECT_EQ(sealed.interfaces[1].interface, "unknown-1");
  EXPECT_EQ(sealed.interfaces[1].packets_captured, 2u);
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10, 15, 20, 25, 30));
}

TEST_F(StorageTest, AnswersTheAskersOfASealThatDiesWithIt) {
  options.seal_slice_bytes = 1;
  start();
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  deliver_to(aut);
  stop();
  const auto answer = receive_answer<job_record>(sealing);
  EXPECT_FALSE(answer);
  EXPECT_FALSE(failure_of(answer).timeout) << failure_of(answer).text;
}

// -- the rule of success ------------------------------------------------------

TEST(TerminalPhase, SucceedsAsItsTableSays) {
  const auto succeeds = [](end_reason reason, std::uint64_t packets,
                           std::vector<interruption> interruptions = {}) {
    job_record record;
    record.reason = reason;
    record.packets_captured = packets;
    record.interruptions = std::move(interruptions);
    return terminal_phase(record) == job_phase::succeeded;
  };
  const interruption over{1, 2};
  const interruption lasts{3, {}};
  for (const auto reason : {end_reason::packet_limit, end_reason::byte_limit,
                            end_reason::time_limit, end_reason::stopped}) {
    EXPECT_TRUE(succeeds(reason, 1)) << to_string(reason);
    EXPECT_TRUE(succeeds(reason, 0)) << to_string(reason);
    EXPECT_TRUE(succeeds(reason, 0, {over})) << to_string(reason);
    EXPECT_TRUE(succeeds(reason, 1, {over, lasts})) << to_string(reason);
    EXPECT_FALSE(succeeds(reason, 0, {over, lasts})) << to_string(reason);
  }
  for (const auto reason : {end_reason::interface_lost, end_reason::node_lost,
                            end_reason::storage_full, end_reason::quota,
                            end_reason::shutdown, end_reason::none}) {
    EXPECT_TRUE(succeeds(reason, 1)) << to_string(reason);
    EXPECT_FALSE(succeeds(reason, 0)) << to_string(reason);
  }
  EXPECT_FALSE(succeeds(end_reason::storage_error, 1));
  EXPECT_FALSE(succeeds(end_reason::storage_error, 0));
}

TEST_F(StorageTest, KeepsAnEmptySavefileOfASilentNetwork) {
  start();
  const auto answer = seal(silent(1, end_reason::time_limit));
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::succeeded);
  EXPECT_EQ(answer->savefile_bytes, 24u);
  const auto read = read_pcap(savefile_file(1));
  EXPECT_EQ(read.error, "");
  EXPECT_THAT(read.records, IsEmpty());
  EXPECT_TRUE(download(1, savefile_format::pcapng));
  EXPECT_THAT(read_file(savefile_file(1, ".pcapng")),
              AllOf(HasSubstr("here/tun0"), HasSubstr("here/eth0")));
}

TEST_F(StorageTest, KeepsAnEmptySavefileWhenNoInterfaceOpened) {
  start();
  auto record = silent(1, end_reason::stopped);
  for (auto& x : record.interfaces)
    x.link.reset();
  ASSERT_TRUE(seal(record));
  EXPECT_EQ(read_pcap(savefile_file(1)).link_type, 1);
}

TEST_F(StorageTest, FailsAJobThatWasCutShortWithoutAPacket) {
  start();
  const auto answer = seal(silent(1, end_reason::interface_lost));
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::failed);
  EXPECT_EQ(answer->reason, end_reason::interface_lost);
  EXPECT_THAT(answer->error_message, HasSubstr("no packet was captured"));
  EXPECT_THAT(left_on_disk(), IsEmpty());
  const auto nothing = download(1);
  EXPECT_EQ(failure_of(nothing).code, errc::no_savefile);
  EXPECT_THAT(failure_of(nothing).text, HasSubstr("interface_lost"));
}

TEST_F(StorageTest, FailsAJobWithAStorageError) {
  start();
  auto record = captured(1, end_reason::storage_error);
  record.error_message = "store packets: No space left on device";
  const auto answer = seal(record);
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::failed);
  EXPECT_EQ(answer->error_message, record.error_message);
  EXPECT_THAT(left_on_disk(), IsEmpty());
}

// -- fail ---------------------------------------------------------------------

TEST_F(StorageTest, FailsAJobWithoutASavefile) {
  start();
  auto record = captured(1, end_reason::storage_error);
  record.error_message = "store packets: gone";
  const auto answer = ask<job_record>(aut, atom::fail_v, record);
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::failed);
  EXPECT_EQ(answer->finished, now());
  EXPECT_THAT(left_on_disk(), IsEmpty());
  EXPECT_FALSE(append(record, 0, make_batch(1)));
  restart();
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).error_message, "store packets: gone");
}

TEST_F(StorageTest, FailsNoJobThatHasEnded) {
  start();
  const auto record = finished(1);
  const auto answer = ask<job_record>(aut, atom::fail_v, record);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->phase, job_phase::succeeded);
  expect_whole(1);
}

// Whoever has lost patience with a seal must not lose the packets with it.
TEST_F(StorageTest, FailsNoJobThatIsBeingSealed) {
  options.seal_slice_bytes = 1;
  start();
  const auto record = captured(1);
  const auto other = captured(2);
  auto sealing = ask_later(aut, atom::seal_v, record);
  auto next = ask_later(aut, atom::seal_v, other);
  for (int i = 0; i < 4; ++i)
    deliver_to(aut);
  for (const auto& x : {record, other})
    EXPECT_EQ(ask<job_record>(aut, atom::fail_v, x)->phase,
              job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(next)->phase, job_phase::succeeded);
  expect_whole(1);
  expect_whole(2);
}

TEST_F(StorageTest, TriesAgainToFailAJobThatTheIndexRefused) {
  start();
  const auto record = captured(1);
  faults->broken = {storage_step::commit};
  EXPECT_EQ(failure_of(ask<job_record>(aut, atom::fail_v, record)).code,
            errc::storage_unavailable);
  EXPECT_FALSE(is_terminal(get(1).phase));
  faults->broken.clear();
  EXPECT_TRUE(ask<job_record>(aut, atom::fail_v, record));
  EXPECT_EQ(get(1).phase, job_phase::failed);
}

// -- a seal that fails --------------------------------------------------------

/// Every step that can fail once a job is to be sealed.
class FailingSealTest : public StorageTest,
                        public ::testing::WithParamInterface<storage_step> {};

INSTANTIATE_TEST_SUITE_P(Steps, FailingSealTest,
                         ::testing::Values(storage_step::close,
                                           storage_step::merge,
                                           storage_step::publish));

TEST_P(FailingSealTest, FailsTheJobDurablyAndSaysWhy) {
  start();
  faults->broken = {GetParam()};
  const auto answer = seal(captured(1));
  EXPECT_EQ(failure_of(answer).code, errc::storage_unavailable);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("Input/output error"));
  for (int round = 0; round < 2; ++round) {
    const auto record = get(1);
    EXPECT_EQ(record.phase, job_phase::failed);
    EXPECT_EQ(record.reason, end_reason::storage_error);
    EXPECT_THAT(record.error_message, HasSubstr("Input/output error"));
    EXPECT_EQ(record.savefile_bytes, 0u);
    EXPECT_THAT(left_on_disk(), IsEmpty());
    restart();
  }
  faults->broken.clear();
  finished(2);
  expect_whole(2);
}

TEST_F(StorageTest, SealsAgainWhatCouldNotEvenBeFailed) {
  start();
  const auto record = captured(1);
  faults->dead_from = storage_step::merge;
  EXPECT_FALSE(seal(record));
  EXPECT_FALSE(is_terminal(get(1).phase));
  faults->dead_from.reset();
  const auto again = seal(record);
  ASSERT_TRUE(again) << failure_of(again).text;
  expect_whole(1);
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(1) + ".pcapng"));
}

// One sync of all of it would keep everybody waiting.
TEST_F(StorageTest, LinksALongRunPartByPart) {
  options.pcapng = false;
  start();
  auto record = make_record(1);
  insert(record);
  record.interfaces = {make_interface("eth0")};
  record.reason = end_reason::packet_limit;
  const auto batches = 2 * capture::output_file::write_out_bytes
                         / make_batch(50'000).size_bytes()
                       + 1;
  for (std::uint64_t n = 0; n < batches; ++n)
    ASSERT_TRUE(append(
      record, 0, make_batch(50'000, static_cast<unix_ns>(n) * 50'000'000)));
  auto sealing = ask_later(aut, atom::seal_v, record);
  ASSERT_TRUE(deliver_to(aut));
  std::size_t slices = 0;
  while (!fs::exists(savefile_file(1))) {
    ASSERT_TRUE(deliver_to(aut));
    ++slices;
  }
  EXPECT_EQ(slices, 3u);
  run();
  const auto sealed = receive_answer<job_record>(sealing);
  ASSERT_TRUE(sealed) << failure_of(sealed).text;
  EXPECT_EQ(sealed->packets_captured, batches * 50'000);
  EXPECT_EQ(fs::file_size(savefile_file(1)), sealed->savefile_bytes);
}

// A crash at this point would keep the savefile.
TEST_F(StorageTest, KeepsASavefileWhoseLastRowTheIndexRefuses) {
  start();
  faults->broken = {storage_step::commit};
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  run();
  auto failing = ask_later(aut, atom::fail_v, make_record(1));
  advance(std::chrono::seconds{10}, std::chrono::seconds{1});
  EXPECT_EQ(get(1).phase, job_phase::sealing);
  EXPECT_EQ(failure_of(download(1)).code, errc::not_ready);
  auto next = ask_later(aut, atom::seal_v, captured(2));
  while (!fs::exists(savefile_file(2)))
    advance(std::chrono::seconds{1});
  faults->broken.clear();
  advance(std::chrono::seconds{2}, std::chrono::seconds{1});
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(failing)->phase, job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(next)->phase, job_phase::succeeded);
  for (int round = 0; round < 2; ++round) {
    expect_whole(1);
    expect_whole(2);
    EXPECT_THAT(left_on_disk(), SizeIs(4)) << "no runs";
    restart();
  }
}

TEST_F(StorageTest, KeepsASavefileWhoseLastRowACrashPrevents) {
  start();
  faults->broken = {storage_step::commit};
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  advance(std::chrono::seconds{3}, std::chrono::seconds{1});
  EXPECT_EQ(get(1).phase, job_phase::sealing);
  restart();
  expect_whole(1);
  EXPECT_FALSE(receive_answer<job_record>(sealing));
}

TEST_F(StorageTest, FailsASealForWhichTheDiskIsTooSmall) {
  tiny_disk disk{1u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  start();
  auto record = make_record(1);
  insert(record);
  record.interfaces = {make_interface("eth0")};
  record.reason = end_reason::packet_limit;
  record.interfaces.push_back(make_interface("eth1"));
  ASSERT_TRUE(append(record, 0, make_batch(2500)));
  ASSERT_TRUE(append(record, 1, make_batch(2500)));
  disk.fill(200u << 10);
  const auto answer = seal(record);
  ASSERT_FALSE(answer);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("No space left on device"));
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).reason, end_reason::storage_error);
  EXPECT_THAT(get(1).error_message, HasSubstr("No space left on device"));
  EXPECT_THAT(left_on_disk(), IsEmpty());
  stop();
}

TEST_F(StorageTest, DoesWithoutAPcapngWhereThereIsLittleSpace) {
  tiny_disk disk{2u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  start();
  auto record = make_record(1);
  insert(record);
  record.interfaces = {make_interface("eth0")};
  record.reason = end_reason::packet_limit;
  ASSERT_TRUE(append(record, 0, make_batch(5000)));
  disk.fill(200u << 10);
  const auto answer = seal(record);
  ASSERT_TRUE(answer) << failure_of(answer).text;
  EXPECT_EQ(answer->phase, job_phase::succeeded);
  EXPECT_EQ(answer->packets_captured, 5000u);
  EXPECT_EQ(answer->pcapng_bytes, 0u);
  EXPECT_EQ(answer->error_message,
            "there was too little free space for its pcapng file");
  EXPECT_THAT(left_on_disk(), ElementsAre(id_of(1) + ".pcap"));
  EXPECT_TRUE(download(1));
  restart();
  EXPECT_EQ(get(1).phase, job_phase::succeeded);
  stop();
}

TEST_F(StorageTest, EndsJobsAndRemovesThemOnADiskWithoutAFreeByte) {
  tiny_disk disk{8u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  options.reserve_bytes = 2u << 20;
  start();
  auto record = make_record(1);
  insert(record);
  record.interfaces = {make_interface("eth0"), make_interface("eth1")};
  for (const auto run_number : {0u, 1u})
    ASSERT_TRUE(append(record, run_number, make_batch(2000)));
  EXPECT_EQ(stats().reserve_bytes, 2u << 20);
  EXPECT_FALSE(stats().full);
  disk.fill(0);
  EXPECT_TRUE(
    ask<job_record>(aut, atom::stop_v, std::string{account}, id_of(1)))
    << "with the reserve";
  const auto more = append(record, 0, make_batch(2000));
  EXPECT_EQ(failure_of(more).code, errc::storage_full);
  record.reason = end_reason::storage_full;
  const auto sealed = seal(record);
  ASSERT_TRUE(sealed) << failure_of(sealed).text;
  EXPECT_EQ(sealed->phase, job_phase::succeeded);
  EXPECT_EQ(sealed->packets_captured, 4000u);
  EXPECT_EQ(read_pcap(savefile_file(1)).records.size(), 4000u);
  // Whoever fills the disk takes what the seal did not need.
  disk.empty();
  disk.fill(0);
  advance_only(capacity::look_interval);
  EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_full);
  EXPECT_TRUE(stats().full);
  EXPECT_EQ(refusals("disk_full"), 1u);
  EXPECT_TRUE(download(1));
  EXPECT_EQ(get(1).packets_captured, 4000u);
  ASSERT_TRUE(
    ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, id_of(1)));
  EXPECT_THAT(left_on_disk(), IsEmpty());
  disk.empty();
  advance_only(capacity::look_interval);
  insert(make_record(2));
  EXPECT_FALSE(stats().full);
  EXPECT_EQ(stats().reserve_bytes, 2u << 20);
  stop();
}

TEST_F(StorageTest, ResolvesWhatACrashLeftOnAFullDisk) {
  tiny_disk disk{8u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  options.reserve_bytes = 2u << 20;
  start();
  captured(1);
  disk.fill(0);
  restart_too_late();
  EXPECT_EQ(get(1).phase, job_phase::succeeded) << get(1).error_message;
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10, 15, 20, 25, 30));
  stop();
}

TEST_F(StorageTest, FailsASealWhoseRunWasCutBehindOurBack) {
  start();
  const auto record = captured(1);
  fs::resize_file(run_file(1, 1), 100);
  const auto answer = seal(record);
  EXPECT_EQ(failure_of(answer).code, errc::storage_unavailable);
  EXPECT_THAT(failure_of(answer).text,
              AllOf(HasSubstr(run_file(1, 1).string()),
                    HasSubstr("it has lost 76 bytes")));
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_THAT(left_on_disk(), IsEmpty());
}

// -- what a crash leaves ------------------------------------------------------

/// The steps at which a process can end while a job is being sealed.
class CrashTest : public StorageTest,
                  public ::testing::WithParamInterface<storage_step> {};

INSTANTIATE_TEST_SUITE_P(Steps, CrashTest,
                         ::testing::Values(storage_step::close,
                                           storage_step::merge,
                                           storage_step::publish,
                                           storage_step::commit));

TEST_P(CrashTest, KeepsEveryPacketAndSaysWhatHappened) {
  start();
  const auto record = captured(1);
  faults->dead_from = GetParam();
  EXPECT_FALSE(seal(record));
  EXPECT_FALSE(is_terminal(get(1).phase));
  // Until the row says `sealing`, nobody has stored why the job ended.
  const auto known = GetParam() != storage_step::close;
  restart_too_late();
  expect_whole(1);
  EXPECT_EQ(get(1).reason,
            known ? end_reason::packet_limit : end_reason::time_limit);
  EXPECT_THAT(get(1).error_message,
              AllOf(HasSubstr("the process ended unexpectedly"),
                    HasSubstr("the 5 packets captured until then were kept")));
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(1) + ".pcapng"));
}

TEST_P(CrashTest, KeepsTheOnlyRun) {
  options.pcapng = false;
  start();
  auto record = captured(1);
  ASSERT_TRUE(ask<job_record>(aut, atom::seal_v, record));
  auto single = make_record(2);
  insert(single);
  single.phase = job_phase::capturing;
  single.interfaces = {make_interface("eth0")};
  self->send(aut, atom::progress_v, single, std::uint32_t{0});
  for (const unix_ns time : {10, 20, 30})
    ASSERT_TRUE(append(single, 0, make_batch(1, time)));
  single.reason = end_reason::packet_limit;
  single.packets_captured = 3;
  single.interfaces[0].packets_captured = 3;
  faults->dead_from = GetParam();
  EXPECT_FALSE(seal(single));
  restart_too_late();
  EXPECT_EQ(get(2).phase, job_phase::succeeded);
  EXPECT_EQ(get(2).packets_captured, 3u);
  EXPECT_THAT(times_in(savefile_file(2)), ElementsAre(10, 20, 30));
  EXPECT_EQ(get(2).savefile_bytes, fs::file_size(savefile_file(2)));
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(2) + ".pcap"));
}

TEST_F(StorageTest, RemovesRunsThatACrashLeftBehindASavefile) {
  start();
  faults->broken = {storage_step::clean};
  const auto record = finished(1);
  EXPECT_TRUE(fs::exists(run_file(1, 0)));
  restart();
  expect_whole(1);
  EXPECT_EQ(get(1).error_message, "");
  EXPECT_FALSE(fs::exists(run_file(1, 0)));
}

TEST_F(StorageTest, KeepsASavefileThatStandsWhenTheHostLostTheRuns) {
  start();
  const auto record = captured(1);
  faults->dead_from = storage_step::commit;
  EXPECT_FALSE(seal(record));
  ASSERT_TRUE(fs::exists(savefile_file(1)));
  stop();
  // Runs are never synced.
  fs::resize_file(run_file(1, 0), 50);
  fs::remove(run_file(1, 1));
  restart();
  expect_whole(1);
}

TEST_F(StorageTest, MergesAnewWhatWasKilledInTheMiddle) {
  options.seal_slice_bytes = 1;
  start();
  self->send(aut, atom::seal_v, captured(1));
  while (!fs::exists(savefile_file(1, ".pcap.part")))
    ASSERT_TRUE(deliver_to(aut));
  ASSERT_TRUE(deliver_to(aut));
  stop();
  // The row says `sealing`.
  write_file(savefile_file(1, ".pcap.part"), "torn");
  write_file(savefile_file(1, ".pcapng.part"), "torn");
  restart();
  expect_whole(1);
}

TEST_F(StorageTest, KeepsWhatARunningJobHadCaptured) {
  start();
  captured(1); // never sealed
  restart_too_late();
  expect_whole(1);
  const auto record = get(1);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_EQ(record.error_message,
            "the process ended unexpectedly while the job was capturing; the 5 "
            "packets captured until then were kept");
  EXPECT_EQ(record.finished, now());
  EXPECT_TRUE(record.started);
  // What the samplers had counted by then nobody knows.
  EXPECT_EQ(record.interfaces[0].phase, sampler_phase::failed);
  EXPECT_EQ(record.interfaces[0].error,
            "interrupted: the process ended unexpectedly");
  EXPECT_FALSE(record.interfaces[0].packets_matched);
}

TEST_F(StorageTest, HandsOverWhatMayGoOn) {
  start();
  captured(1);
  insert(make_record(2));
  captured(3);
  advance_only(std::chrono::seconds{3});
  ASSERT_TRUE(
    ask<job_record>(aut, atom::stop_v, std::string{account}, id_of(3)));
  restart();
  const auto left = resume();
  ASSERT_THAT(left.jobs, SizeIs(2));
  EXPECT_EQ(left.jobs[0].id, id_of(1));
  EXPECT_EQ(left.jobs[0].phase, job_phase::pending);
  EXPECT_EQ(left.jobs[0].packets_captured, 5u);
  EXPECT_EQ(left.jobs[0].interfaces[0].packets_captured, 3u);
  EXPECT_EQ(left.jobs[0].interruptions.at(0).from, *left.jobs[0].started);
  EXPECT_EQ(left.jobs[1].id, id_of(2));
  EXPECT_EQ(left.jobs[1].interruptions.at(0).from, left.jobs[1].submitted);
  EXPECT_EQ(get(3).reason, end_reason::stopped);
  EXPECT_THAT(resume().jobs, IsEmpty()) << "only once";
  // They take packets, into runs behind the old ones.
  EXPECT_TRUE(append(left.jobs[0], 2, make_batch(1, 40)));
  auto record = left.jobs[0];
  record.interfaces.push_back(make_interface("eth0"));
  record.interruptions[0].to = now();
  record.reason = end_reason::stopped;
  ASSERT_TRUE(seal(record));
  EXPECT_EQ(get(1).packets_captured, 6u);
  EXPECT_EQ(get(1).interruptions.at(0).to, now());
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10, 15, 20, 25, 30, 40));
}

TEST_F(StorageTest, EndsWhatItCouldNotLetGoOn) {
  start();
  captured(1);
  stop();
  faults->dead_from = storage_step::resume;
  start();
  EXPECT_THAT(resume().jobs, IsEmpty());
  EXPECT_FALSE(is_terminal(get(1).phase));
  faults->dead_from.reset();
  advance(options.sweep_interval, std::chrono::seconds{10});
  expect_whole(1);
  EXPECT_EQ(get(1).reason, end_reason::time_limit);
}

TEST_F(StorageTest, EndsAtTheSweepWhatNobodyLetsGoOn) {
  start();
  auto record = make_record(1);
  record.spec.time_limit_s = 300;
  insert(record);
  stop();
  faults->broken = {storage_step::resume};
  start();
  faults->broken.clear();
  advance(options.sweep_interval, std::chrono::seconds{10});
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).reason, end_reason::shutdown);
}

TEST_F(StorageTest, CutsOffTheRecordThatACrashTore) {
  start();
  captured(1);
  stop();
  const auto bytes = read_file(run_file(1, 0));
  write_file(run_file(1, 0), bytes.substr(0, bytes.size() - 1));
  restart_too_late();
  EXPECT_EQ(get(1).phase, job_phase::succeeded);
  EXPECT_EQ(get(1).packets_captured, 4u);
  EXPECT_EQ(get(1).interfaces[0].packets_captured, 2u);
  EXPECT_THAT(get(1).interfaces[0].error,
              HasSubstr("the last 75 bytes of its run were no whole packet"));
  EXPECT_THAT(get(1).error_message, Not(HasSubstr("eth0")));
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10, 15, 20, 25));
}

TEST_F(StorageTest, KeepsWhatIsBeforeADamagedPlaceAndSaysHowMuchIsLost) {
  start();
  captured(1);
  stop();
  // The header of the second of three records.
  auto bytes = read_file(run_file(1, 0));
  bytes.replace(24 + 76, 16, std::string(16, '\xff'));
  write_file(run_file(1, 0), bytes);
  // And the header of the other run.
  write_file(run_file(1, 1), "X" + read_file(run_file(1, 1)).substr(1));
  start();
  const auto left = resume();
  ASSERT_THAT(left.jobs, SizeIs(1));
  const auto& record = left.jobs[0];
  EXPECT_EQ(record.packets_captured, 1u);
  EXPECT_EQ(record.error_message,
            "eth0: its run is damaged at byte 100: the 152 bytes from there on "
            "are lost; eth1: its run is damaged at byte 0: the 176 bytes from "
            "there on are lost");
  EXPECT_THAT(record.interfaces[0].error,
              HasSubstr("its run is damaged at byte 100"));
  EXPECT_EQ(record.interfaces[0].packets_captured, 1u);
  EXPECT_EQ(record.interfaces[1].packets_captured, 0u);
  EXPECT_EQ(get(1).error_message, record.error_message) << "in the index";
  // It is said in the end, too.
  restart_too_late();
  EXPECT_EQ(get(1).phase, job_phase::succeeded);
  EXPECT_THAT(get(1).error_message,
              AllOf(HasSubstr("eth0: its run is damaged at byte 100"),
                    HasSubstr("the 1 packets captured until then were kept")));
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10));
}

TEST_F(StorageTest, TakesDamagedLengthsForNoRecord) {
  start();
  captured(1);
  stop();
  // A captured length that is larger than the packet was.
  auto bytes = read_file(run_file(1, 0));
  bytes[24 + 8] = 61;
  write_file(run_file(1, 0), bytes);
  restart_too_late();
  EXPECT_EQ(get(1).packets_captured, 2u);
  EXPECT_THAT(get(1).error_message,
              HasSubstr("eth0: its run is damaged at byte 24: the 228 bytes"));
}

TEST_F(StorageTest, SaysHowMuchIsLeftOfWhatWasCounted) {
  start();
  const auto record = captured(1);
  faults->dead_from = storage_step::merge;
  EXPECT_FALSE(seal(record));
  stop();
  fs::remove(run_file(1, 1));
  restart();
  EXPECT_EQ(get(1).phase, job_phase::succeeded);
  EXPECT_EQ(get(1).packets_captured, 3u);
  EXPECT_THAT(get(1).error_message, HasSubstr("3 of 5 packets were kept"));
  EXPECT_THAT(times_in(savefile_file(1)), ElementsAre(10, 20, 30));
}

TEST_F(StorageTest, FailsAPendingJobOfAnEarlierProcess) {
  start();
  insert(make_record(1));
  restart_too_late();
  const auto record = get(1);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::time_limit);
  EXPECT_EQ(record.error_message,
            "the process ended unexpectedly while the job was pending; no "
            "packet had been captured");
}

TEST_F(StorageTest, StartsInSpiteOfABadJob) {
  start();
  captured(1);
  captured(2);
  captured(3);
  stop();
  fs::remove(run_file(1, 0));
  fs::create_directory(run_file(1, 0));
  write_file(run_file(2, 0), "this is no savefile, but longer than its header");
  restart_too_late();
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).reason, end_reason::storage_error);
  EXPECT_THAT(get(1).error_message,
              AllOf(HasSubstr("the process ended unexpectedly"),
                    HasSubstr(run_file(1, 0).string()),
                    Not(HasSubstr("were kept"))));
  EXPECT_EQ(get(2).packets_captured, 2u) << "run 1 was whole";
  EXPECT_THAT(get(2).error_message, HasSubstr("the 47 bytes"));
  expect_whole(3);
  EXPECT_THAT(left_on_disk(), Not(testing::Contains(id_of(1))));
}

TEST_F(StorageTest, TriesAgainWhatItCouldNotResolveAtTheStart) {
  start();
  captured(1);
  stop();
  advance_only(std::chrono::seconds{60});
  faults->dead_from = storage_step::close;
  start();
  EXPECT_FALSE(is_terminal(get(1).phase));
  EXPECT_TRUE(fs::exists(run_file(1, 0)));
  faults->dead_from.reset();
  advance(options.sweep_interval, std::chrono::seconds{10});
  expect_whole(1);
}

TEST_F(StorageTest, RemovesWhatNoRowSpeaksFor) {
  start();
  finished(1);
  stop();
  write_file(savefile_file(8), "left by a delete");
  write_file(savefile_file(8, ".pcapng"), "left by a delete");
  write_file(savefile_file(9, ".pcap.part"), "left by a seal");
  write_file(savefile_file(1, ".pcap.part"), "left by a seal");
  fs::create_directory(options.directory / "jobs" / id_of(8));
  write_file(run_file(8, 0), "left by a job");
  write_file(options.directory / "savefiles" / "README", "an operator's");
  start();
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(1) + ".pcapng", "README"));
  expect_whole(1);
}

TEST_F(StorageTest, FailsAJobWhoseSavefileIsMissing) {
  start();
  finished(1);
  finished(2);
  stop();
  fs::remove(savefile_file(1));
  start();
  const auto record = get(1);
  EXPECT_EQ(record.phase, job_phase::failed);
  EXPECT_EQ(record.reason, end_reason::storage_error);
  EXPECT_EQ(record.error_message,
            "savefile " + savefile_file(1).string() + " is missing");
  EXPECT_EQ(record.savefile_bytes, 0u);
  EXPECT_FALSE(fs::exists(savefile_file(1, ".pcapng")));
  expect_whole(2);
}

TEST_F(StorageTest, FailsAJobWhoseSavefileHasAnotherSize) {
  start();
  const auto size = finished(1).savefile_bytes;
  stop();
  fs::resize_file(savefile_file(1), size - 1);
  start();
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).error_message, "savefile " + savefile_file(1).string()
                                    + " has " + std::to_string(size - 1)
                                    + " bytes instead of "
                                    + std::to_string(size));
  EXPECT_THAT(left_on_disk(), IsEmpty());
}

TEST_F(StorageTest, DoesWithoutAPcapngThatIsNotWhole) {
  start();
  finished(1);
  finished(2);
  stop();
  fs::remove(savefile_file(1, ".pcapng"));
  write_file(savefile_file(2, ".pcapng"), "torn");
  start();
  for (const int n : {1, 2}) {
    EXPECT_EQ(get(n).phase, job_phase::succeeded);
    EXPECT_EQ(get(n).pcapng_bytes, 0u);
    EXPECT_TRUE(download(n));
    EXPECT_EQ(failure_of(download(n, savefile_format::pcapng)).code,
              errc::no_savefile);
  }
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(1) + ".pcap", id_of(2) + ".pcap"));
}

TEST_F(StorageTest, ServesBeforeItHasLookedAtAllFiles) {
  start();
  for (int n = 1; n <= 40; ++n)
    finished(n);
  stop();
  fs::remove(savefile_file(39));
  fs::remove(savefile_file(40));
  write_file(savefile_file(41), "left by a delete");
  aut = spawn(storage, options);
  EXPECT_TRUE(state_of<storage_state>(aut).inspecting);
  std::vector<std::string> told;
  tell_of_changes(told);
  auto reading = ask_later(aut, atom::get_v, std::string{account}, id_of(39));
  auto opening = ask_later(aut, atom::download_v, std::string{account},
                           id_of(40), savefile_format::pcap);
  for (int i = 0; i < 5; ++i)
    deliver_to(aut); // a slice, a sweep, and these three
  EXPECT_TRUE(state_of<storage_state>(aut).inspecting);
  EXPECT_EQ(receive_answer<job_record>(reading)->phase, job_phase::succeeded)
    << "nobody has looked at it";
  EXPECT_EQ(failure_of(receive_answer<savefile>(opening)).code,
            errc::no_savefile)
    << "but no download of what is not whole";
  run();
  EXPECT_FALSE(state_of<storage_state>(aut).inspecting);
  EXPECT_EQ(get(39).phase, job_phase::failed);
  EXPECT_THAT(told, ElementsAre(id_of(40), id_of(39)));
  EXPECT_FALSE(fs::exists(savefile_file(41)));
}

TEST_F(StorageTest, TakesAndRemovesNothingWithADamagedIndex) {
  options.max_age = std::chrono::hours{1};
  start();
  finished(1);
  finished(2);
  const auto running = captured(3);
  stop();
  write_file(savefile_file(8), "left by a delete");
  aut = spawn(storage, options);
  self->send(aut, atom::damaged_v, std::string{"wrong # of entries"});
  for (bool known = false; !known;
       known = bool{state_of<storage_state>(aut).index_damage})
    ASSERT_TRUE(deliver_to(aut));
  run();
  EXPECT_EQ(failure_of(try_insert(make_record(4))).code, errc::index_damaged);
  EXPECT_EQ(failure_of(ask<caf::ok_atom>(aut, atom::erase_v,
                                         std::string{account}, id_of(1)))
              .code,
            errc::index_damaged);
  EXPECT_EQ(failure_of(ask<storage_stats>(aut, atom::stats_v)).code,
            errc::index_damaged);
  advance(std::chrono::hours{3}, std::chrono::minutes{1});
  EXPECT_TRUE(known(1)) << "nor does retention";
  EXPECT_TRUE(download(2)) << "what is there is served";
  EXPECT_EQ(seal(running)->phase, job_phase::succeeded) << "what runs ends";
}

// -- starting -----------------------------------------------------------------

TEST_F(StorageTest, DoesNotStartWithADamagedIndex) {
  start();
  finished(1);
  stop();
  write_file(options.directory / "index.sqlite", std::string(8192, 'x'));
  EXPECT_EQ(refusal(), "open index "
                         + (options.directory / "index.sqlite").string()
                         + ": file is not a database");
  EXPECT_TRUE(fs::exists(savefile_file(1)));
}

TEST_F(StorageTest, DoesNotStartWithSavefilesButNoIndex) {
  start();
  finished(1);
  stop();
  for (const auto* ending : {"", "-wal", "-shm"})
    fs::remove(options.directory / (std::string{"index.sqlite"} + ending));
  // Twice, for the first attempt must not make the second succeed.
  for (int i = 0; i < 2; ++i)
    EXPECT_THAT(refusal(),
                AllOf(HasSubstr("open index"), HasSubstr("missing or empty"),
                      HasSubstr("there are savefiles")));
  EXPECT_TRUE(fs::exists(savefile_file(1)));
}

TEST_F(StorageTest, DoesNotShareItsDirectory) {
  start();
  EXPECT_THAT(refusal(), HasSubstr("another edgecapd uses this directory"));
  insert(make_record(1));
}

// -- what clients ask ---------------------------------------------------------

TEST_F(StorageTest, KeepsAccountsApart) {
  start();
  finished(1);
  const std::string stranger{other_account};
  EXPECT_EQ(
    failure_of(ask<job_record>(aut, atom::get_v, stranger, id_of(1))).code,
    errc::unknown_job);
  EXPECT_EQ(failure_of(ask<savefile>(aut, atom::download_v, stranger, id_of(1),
                                     savefile_format::pcap))
              .code,
            errc::unknown_job);
  EXPECT_EQ(
    failure_of(ask<caf::ok_atom>(aut, atom::erase_v, stranger, id_of(1))).code,
    errc::unknown_job);
  list_query query;
  query.account_id = stranger;
  EXPECT_EQ((*ask<shared_job_page>(aut, atom::list_v, query))->total_count, 0u);
  expect_whole(1);
}

TEST_F(StorageTest, ListsWhatTheIndexHolds) {
  start();
  finished(1);
  advance_only(std::chrono::seconds{1});
  insert(make_record(2));
  list_query query;
  query.account_id = account;
  const auto page = ask<shared_job_page>(aut, atom::list_v, query);
  ASSERT_TRUE(page);
  EXPECT_EQ((*page)->total_count, 2u);
  ASSERT_THAT((*page)->jobs, SizeIs(2));
  EXPECT_EQ((*page)->jobs[0].id, id_of(2));
  EXPECT_EQ((*page)->jobs[1].packets_captured, 5u);
}

TEST_F(StorageTest, DownloadsWhatIsReady) {
  start();
  EXPECT_EQ(failure_of(download(1)).code, errc::unknown_job);
  const auto record = captured(1);
  EXPECT_EQ(failure_of(download(1)).code, errc::not_ready);
  EXPECT_THAT(failure_of(download(1)).text, HasSubstr("is pending"));
  ASSERT_TRUE(seal(record));
  const auto file = download(1);
  ASSERT_TRUE(file) << failure_of(file).text;
  EXPECT_EQ(file->size_bytes, fs::file_size(savefile_file(1)));
  std::string bytes(file->size_bytes, '\0');
  ASSERT_EQ(::pread(*file->descriptor, bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(bytes, read_file(savefile_file(1)));
  EXPECT_NE(download(1, savefile_format::pcapng)->etag, file->etag);
}

TEST_F(StorageTest, FailsAJobWhoseSavefileWasCutWhileItRuns) {
  start();
  std::vector<std::string> told;
  tell_of_changes(told);
  finished(1);
  finished(2);
  fs::resize_file(savefile_file(1), 30);
  fs::remove(savefile_file(2));
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto cut = download(1);
    EXPECT_EQ(failure_of(cut).code, errc::no_savefile);
    EXPECT_THAT(failure_of(cut).text,
                AllOf(HasSubstr("storage_error"),
                      HasSubstr(savefile_file(1).string()),
                      HasSubstr("has 30 bytes instead of")));
    EXPECT_EQ(failure_of(download(2)).code, errc::no_savefile);
    EXPECT_THAT(failure_of(download(2)).text, HasSubstr("is missing"));
  }
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).reason, end_reason::storage_error);
  EXPECT_EQ(get(2).phase, job_phase::failed);
  EXPECT_THAT(left_on_disk(), IsEmpty());
  EXPECT_THAT(told, ElementsAre(id_of(1), id_of(2)));
}

TEST_F(StorageTest, DoesWithoutAPcapngThatWasCutWhileItRuns) {
  start();
  finished(1);
  fs::resize_file(savefile_file(1, ".pcapng"), 30);
  EXPECT_TRUE(download(1)) << "nobody has looked at it";
  const auto answer = download(1, savefile_format::pcapng);
  EXPECT_EQ(failure_of(answer).code, errc::no_savefile);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("has no pcapng file"));
  EXPECT_EQ(get(1).phase, job_phase::succeeded);
  EXPECT_EQ(get(1).pcapng_bytes, 0u);
  EXPECT_TRUE(download(1));
}

// -- allowances ---------------------------------------------------------------

TEST_F(StorageTest, RemembersForHowLongAJobHasCounted) {
  options.collect_window = std::chrono::seconds{60};
  start();
  finished(1);
  advance(std::chrono::seconds{10});
  finished(2);
  ASSERT_TRUE(
    ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, id_of(2)));
  finished(3);
  self->send(aut, atom::refund_v, id_of(3));
  run();
  advance(std::chrono::seconds{20});
  restart();
  const auto left = resume().collects;
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_EQ(left[0].account_id, account);
  EXPECT_EQ(left[0].age_ns, 30'000'000'000u);
  EXPECT_EQ(left[1].age_ns, 20'000'000'000u);
  // What is older is of no interest, and not kept.
  advance(std::chrono::seconds{35});
  restart();
  EXPECT_THAT(resume().collects, SizeIs(1));
  advance(std::chrono::seconds{60}, std::chrono::seconds{10});
  SQLite::Database shell{(options.directory / "index.sqlite").string()};
  EXPECT_EQ(shell.execAndGet("SELECT count(*) FROM collects").getInt(), 0);
}

TEST_F(StorageTest, WantsAWindow) {
  options.collect_window = {};
  EXPECT_THAT(refusal(), HasSubstr("collect_window is not positive"));
}

TEST_F(StorageTest, ErasesFinishedJobsOnly) {
  start();
  const auto record = captured(1);
  const std::string owner{account};
  auto answer = ask<caf::ok_atom>(aut, atom::erase_v, owner, id_of(1));
  EXPECT_EQ(failure_of(answer).code, errc::not_ready);
  ASSERT_TRUE(seal(record));
  const auto open_file = download(1);
  EXPECT_TRUE(ask<caf::ok_atom>(aut, atom::erase_v, owner, id_of(1)));
  EXPECT_THAT(left_on_disk(), IsEmpty());
  EXPECT_FALSE(known(1));
  answer = ask<caf::ok_atom>(aut, atom::erase_v, owner, id_of(1));
  EXPECT_EQ(failure_of(answer).code, errc::unknown_job);
  char byte = 0;
  EXPECT_EQ(::pread(*open_file->descriptor, &byte, 1, 0), 1)
    << "a download that has begun goes on";
  restart();
  EXPECT_FALSE(known(1));
}

TEST_F(StorageTest, EndsAJobOfAnEarlierProcessToEraseIt) {
  start();
  captured(1);
  stop();
  advance_only(std::chrono::seconds{60});
  faults->dead_from = storage_step::close;
  start();
  const auto erase = [this] {
    return ask<caf::ok_atom>(aut, atom::erase_v, std::string{account},
                             id_of(1));
  };
  EXPECT_EQ(failure_of(erase()).code, errc::storage_unavailable);
  EXPECT_TRUE(known(1));
  faults->dead_from.reset();
  EXPECT_TRUE(erase());
  EXPECT_FALSE(known(1));
  EXPECT_THAT(left_on_disk(), IsEmpty());
  EXPECT_THAT(state_of<storage_state>(aut).unresolved, IsEmpty());
}

TEST_F(StorageTest, EndsAJobOfAnEarlierProcessThatIsToStop) {
  start();
  captured(1);
  stop();
  faults->broken
    = {storage_step::resume, storage_step::close, storage_step::commit};
  start();
  EXPECT_THAT(resume().jobs, IsEmpty());
  const auto stop_it = [this] {
    return ask<job_record>(aut, atom::stop_v, std::string{account}, id_of(1));
  };
  const auto later = stop_it();
  ASSERT_TRUE(later) << failure_of(later).text;
  EXPECT_TRUE(later->stop_requested);
  EXPECT_FALSE(is_terminal(later->phase));
  EXPECT_TRUE(get(1).stop_requested) << "a crash does not undo it";
  faults->broken.clear();
  const auto ended = stop_it();
  ASSERT_TRUE(ended) << failure_of(ended).text;
  EXPECT_EQ(ended->phase, job_phase::succeeded);
  EXPECT_EQ(ended->reason, end_reason::stopped);
  expect_whole(1);
}

TEST_F(StorageTest, EndsAllJobsOfAnEarlierProcessWhenTheIndexIsBack) {
  start();
  for (int n = 1; n <= 3; ++n)
    captured(n);
  stop();
  faults->broken
    = {storage_step::resume, storage_step::close, storage_step::commit};
  start();
  EXPECT_THAT(state_of<storage_state>(aut).unresolved, SizeIs(3));
  faults->broken.clear();
  advance(options.sweep_interval);
  EXPECT_THAT(state_of<storage_state>(aut).unresolved, IsEmpty());
  for (int n = 1; n <= 3; ++n)
    expect_whole(n);
}

TEST_F(StorageTest, StopsNoJobOfOthersAndNoneThatHasEnded) {
  start();
  captured(1);
  const auto foreign
    = ask<job_record>(aut, atom::stop_v, std::string{other_account}, id_of(1));
  EXPECT_EQ(failure_of(foreign).code, errc::unknown_job);
  EXPECT_FALSE(get(1).stop_requested);
  finished(2);
  const auto ended
    = ask<job_record>(aut, atom::stop_v, std::string{account}, id_of(2));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->reason, end_reason::packet_limit);
  EXPECT_FALSE(get(2).stop_requested);
}

TEST_F(StorageTest, TellsWhatItHolds) {
  start();
  EXPECT_EQ(stats().savefile_bytes, 0u);
  const auto first = finished(1);
  const auto second = finished(2);
  insert(make_record(3));
  EXPECT_EQ(stats().jobs, 3u);
  EXPECT_EQ(stats().savefile_bytes, first.savefile_bytes + first.pcapng_bytes
                                      + second.savefile_bytes
                                      + second.pcapng_bytes);
  EXPECT_GT(stats().free_bytes, 0u);
  EXPECT_EQ(stats().expired_jobs, 0u);
}

// -- a directory that is lost -------------------------------------------------

TEST_F(StorageTest, MakesADirectoryAnewThatWasRemoved) {
  start();
  std::vector<std::string> told;
  const auto sink
    = track(sys.spawn([&told]() -> expiry_sink_actor::behavior_type {
        return {[&told](atom::expired, const std::string& id) {
          told.push_back(id);
        }};
      }));
  caf::anon_send(aut, atom::expired_v, sink);
  finished(1);
  const auto running = captured(2);
  auto failing = captured(3);
  ASSERT_TRUE(ask<job_record>(aut, atom::fail_v, failing));
  fs::remove_all(options.directory);
  // At once, for what is promised.
  const auto refused = try_insert(make_record(4));
  EXPECT_EQ(failure_of(refused).code, errc::storage_lost);
  EXPECT_EQ(failure_of(append(running, 0, make_batch(1))).code,
            errc::storage_lost);
  auto sealing = ask_later(aut, atom::seal_v, running);
  EXPECT_EQ(failure_of(download(1)).code, errc::storage_lost);
  EXPECT_EQ(failure_of(ask<storage_stats>(aut, atom::stats_v)).code,
            errc::storage_lost);
  EXPECT_EQ(get(1).phase, job_phase::succeeded) << "what is known is told";
  EXPECT_FALSE(fs::exists(options.directory)) << "whoever removes may go on";
  advance(std::chrono::seconds{1});
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::failed);
  EXPECT_EQ(get(1).phase, job_phase::failed);
  EXPECT_EQ(get(1).error_message,
            "savefile " + savefile_file(1).string() + " is missing");
  EXPECT_EQ(get(2).phase, job_phase::failed);
  EXPECT_EQ(get(2).reason, end_reason::storage_error);
  EXPECT_THAT(get(2).error_message, HasSubstr("its packets are lost"));
  EXPECT_EQ(get(3).phase, job_phase::failed);
  EXPECT_THAT(told, ElementsAre(id_of(1)));
  EXPECT_EQ(stats().jobs, 3u);
  EXPECT_EQ(stats().unsealed_bytes, 0u);
  finished(5);
  expect_whole(5);
  restart();
  expect_whole(5);
  EXPECT_EQ(get(1).phase, job_phase::failed);
}

TEST_F(StorageTest, PutsBackAnIndexThatWasRemoved) {
  start();
  finished(1);
  const auto running = captured(2);
  for (const auto* ending : {"", "-wal", "-shm"})
    fs::remove(options.directory / (std::string{"index.sqlite"} + ending));
  EXPECT_EQ(failure_of(try_insert(make_record(3))).code, errc::storage_lost);
  advance(std::chrono::seconds{1});
  expect_whole(1);
  ASSERT_TRUE(append(running, 0, make_batch(1, 40))) << "it goes on";
  ASSERT_TRUE(seal(running));
  EXPECT_EQ(get(2).packets_captured, 6u);
  insert(make_record(3));
  restart();
  expect_whole(1);
  EXPECT_EQ(get(2).packets_captured, 6u);
}

TEST_F(StorageTest, NoticesAWriteAheadLogThatWasRemoved) {
  start();
  finished(1);
  fs::remove(options.directory / "index.sqlite-wal");
  EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_lost);
  advance(std::chrono::seconds{1});
  insert(make_record(2));
  stop();
  start();
  expect_whole(1);
  EXPECT_TRUE(known(2));
}

TEST_F(StorageTest, GoesOnWithADirectoryThatCouldNotBeMadeAnewMeanwhile) {
  start();
  finished(1);
  const auto running = captured(2);
  const auto away = directory.path() / "away";
  fs::rename(options.directory, away);
  std::ofstream{options.directory} << "no directory";
  EXPECT_EQ(failure_of(try_insert(make_record(3))).code, errc::storage_lost);
  advance(std::chrono::seconds{3}, std::chrono::seconds{1});
  fs::remove(options.directory);
  fs::rename(away, options.directory);
  advance(std::chrono::seconds{1});
  expect_whole(1);
  ASSERT_TRUE(append(running, 0, make_batch(1, 40))) << "it goes on";
  ASSERT_TRUE(seal(running));
  EXPECT_EQ(get(2).packets_captured, 6u);
  finished(3);
  expect_whole(3);
}

TEST_F(StorageTest, GoesOnWithADirectoryThatIsBackAfterAnotherWasTakenUp) {
  options.reserve_bytes = 2u << 20;
  start();
  finished(1);
  captured(2);
  const auto away = directory.path() / "away";
  fs::rename(options.directory, away);
  // No copy of the index can be made there.
  fs::create_directories(options.directory / "index.sqlite.new" / "x");
  EXPECT_EQ(failure_of(try_insert(make_record(3))).code, errc::storage_lost);
  advance(std::chrono::seconds{3}, std::chrono::seconds{1});
  EXPECT_TRUE(fs::exists(options.directory / "lock")) << "it was taken up";
  fs::remove_all(options.directory);
  fs::rename(away, options.directory);
  advance(std::chrono::seconds{1});
  expect_whole(1);
  EXPECT_EQ(get(2).phase, job_phase::failed);
  EXPECT_THAT(get(2).error_message, HasSubstr("its packets are lost"));
  EXPECT_EQ(stats().reserve_bytes, 2u << 20);
  finished(3);
  expect_whole(3);
  EXPECT_THAT(refusal(), HasSubstr("another edgecapd uses this directory"));
}

TEST_F(StorageTest, GoesOnWithADirectoryIntoWhichItsFilesWereMoved) {
  start();
  finished(1);
  const auto away = directory.path() / "away";
  fs::rename(options.directory, away);
  EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_lost);
  fs::create_directory(options.directory);
  fs::rename(away / "lock", options.directory / "lock.moved");
  fs::rename(options.directory / "lock.moved", options.directory / "lock");
  for (const auto* name :
       {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "savefiles"})
    fs::rename(away / name, options.directory / name);
  advance(std::chrono::seconds{1});
  expect_whole(1);
  insert(make_record(2));
}

TEST_F(StorageTest, WaitsForADirectoryThatIsUnmounted) {
  tiny_disk disk{8u << 20};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  options.directory = disk.path() / "captures";
  start();
  finished(1);
  {
    // Another file system over it, as if nothing were mounted.
    const over_mount hidden{disk.path()};
    EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_lost);
    advance(std::chrono::seconds{10});
    EXPECT_EQ(failure_of(try_insert(make_record(2))).code, errc::storage_lost);
    EXPECT_FALSE(fs::exists(options.directory)) << "it would fill this one";
    EXPECT_EQ(get(1).phase, job_phase::succeeded);
  }
  advance(std::chrono::seconds{1});
  expect_whole(1);
  insert(make_record(2));
  stop();
}

TEST_F(StorageTest, EndsTheSealsOfADirectoryThatIsLost) {
  options.seal_slice_bytes = 1;
  start();
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  deliver_to(aut);
  fs::remove_all(options.directory);
  advance_only(capacity::look_interval);
  advance(std::chrono::seconds{2});
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::failed);
  EXPECT_EQ(get(1).phase, job_phase::failed);
}

TEST_F(StorageTest, GoesOnWithTheSealsOfADirectoryThatIsBack) {
  options.seal_slice_bytes = 1;
  start();
  const auto first = captured(1);
  const auto second = captured(2);
  auto sealing = ask_later(aut, atom::seal_v, first);
  auto next = ask_later(aut, atom::seal_v, second);
  while (!fs::exists(savefile_file(1, ".pcap.part")))
    ASSERT_TRUE(deliver_to(aut));
  const auto away = directory.path() / "away";
  fs::rename(options.directory, away);
  advance_only(capacity::look_interval);
  run();
  fs::rename(away, options.directory);
  advance(std::chrono::seconds{1});
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::succeeded);
  EXPECT_EQ(receive_answer<job_record>(next)->phase, job_phase::succeeded);
  expect_whole(1);
  expect_whole(2);
}

TEST_F(StorageTest, LosesNoSealThatMissesTheDirectoryFirst) {
  options.seal_slice_bytes = 1;
  start();
  const auto first = captured(1);
  const auto second = captured(2);
  // It has just been looked at, and is not again before the seals need it.
  ASSERT_TRUE(append(first, 0, make_batch(1, 40)));
  const auto away = directory.path() / "away";
  fs::rename(options.directory, away);
  auto sealing = ask_later(aut, atom::seal_v, first);
  auto next = ask_later(aut, atom::seal_v, second);
  run();
  EXPECT_FALSE(is_terminal(get(1).phase));
  fs::rename(away, options.directory);
  advance(std::chrono::seconds{1});
  EXPECT_EQ(receive_answer<job_record>(sealing)->packets_captured, 6u);
  EXPECT_EQ(receive_answer<job_record>(next)->phase, job_phase::succeeded);
  expect_whole(2);
}

TEST_F(StorageTest, SealsAnewWhatItHadWrittenToALostPlace) {
  options.seal_slice_bytes = 1;
  start();
  finished(2);
  auto sealing = ask_later(aut, atom::seal_v, captured(1));
  while (!fs::exists(savefile_file(1, ".pcap.part")))
    ASSERT_TRUE(deliver_to(aut));
  fs::remove_all(options.directory / "savefiles");
  advance_only(capacity::look_interval);
  run();
  advance(std::chrono::seconds{1});
  EXPECT_EQ(receive_answer<job_record>(sealing)->phase, job_phase::succeeded);
  expect_whole(1);
  EXPECT_EQ(get(2).phase, job_phase::failed);
}

// -- idempotency keys ---------------------------------------------------------

TEST_F(StorageTest, RemembersAKeyAfterACrash) {
  start();
  insert(make_record(1), "key");
  EXPECT_EQ(recall("key"), id_of(1));
  restart();
  EXPECT_EQ(recall("key"), id_of(1));
  EXPECT_EQ(get(1).phase, job_phase::pending) << "it goes on";
}

TEST_F(StorageTest, KeepsNoKeyOfAJobThatItRefuses) {
  start();
  faults->broken = {storage_step::insert};
  EXPECT_FALSE(try_insert(make_record(1), "key"));
  EXPECT_EQ(recall("key"), "unknown_job");
}

TEST_F(StorageTest, ForgetsAKeyAtTheEndOfItsLifetime) {
  options.key_lifetime = std::chrono::hours{1};
  start();
  insert(make_record(1), "key");
  advance(std::chrono::minutes{60}, std::chrono::minutes{1});
  EXPECT_EQ(recall("key"), id_of(1));
  advance_only(std::chrono::seconds{1});
  EXPECT_EQ(recall("key"), "unknown_job") << "before any sweep";
  insert(make_record(2), "key");
  EXPECT_EQ(recall("key"), id_of(2));
  EXPECT_TRUE(known(1));
}

TEST_F(StorageTest, ForgetsAKeyWithItsJob) {
  start();
  insert(make_record(1), "key");
  ASSERT_TRUE(ask<job_record>(aut, atom::fail_v, make_record(1)));
  EXPECT_EQ(recall("key"), id_of(1));
  ASSERT_TRUE(
    ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, id_of(1)));
  EXPECT_EQ(recall("key"), "unknown_job");
}

TEST_F(StorageTest, WantsKeysToLiveForAWhile) {
  options.key_lifetime = std::chrono::seconds{0};
  EXPECT_EQ(refusal(), "storage: key_lifetime is not positive");
}

// -- retention ----------------------------------------------------------------

TEST_F(StorageTest, RemovesJobsByAge) {
  options.max_age = std::chrono::hours{1};
  start();
  finished(1);
  auto failed = captured(2);
  ASSERT_TRUE(ask<job_record>(aut, atom::fail_v, failed));
  advance(std::chrono::minutes{30}, std::chrono::minutes{1});
  finished(3);
  insert(make_record(4));
  EXPECT_TRUE(known(1));
  advance(std::chrono::minutes{31}, std::chrono::minutes{1});
  EXPECT_FALSE(known(1));
  EXPECT_FALSE(known(2));
  expect_whole(3);
  EXPECT_THAT(left_on_disk(),
              ElementsAre(id_of(3) + ".pcap", id_of(3) + ".pcapng"));
  EXPECT_EQ(stats().expired_jobs, 2u);
  advance(std::chrono::hours{3}, std::chrono::minutes{1});
  EXPECT_TRUE(known(4)) << "a running job never expires";
  EXPECT_FALSE(known(3));
}

TEST_F(StorageTest, TellsOfTheJobsThatItRemoves) {
  options.max_age = std::chrono::hours{1};
  start();
  std::vector<std::string> told;
  tell_of_changes(told);
  finished(1);
  finished(2);
  EXPECT_TRUE(
    ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, id_of(2)));
  advance(std::chrono::minutes{61}, std::chrono::minutes{1});
  EXPECT_THAT(told, ElementsAre(id_of(2), id_of(1)));
}

TEST_F(StorageTest, RemovesTheOldestWhenThereIsTooMuch) {
  start();
  const auto one = finished(1);
  const auto each = one.savefile_bytes + one.pcapng_bytes;
  stop();
  options.max_bytes = 2 * each;
  start();
  for (const int n : {2, 3, 4}) {
    advance_only(std::chrono::seconds{1});
    finished(n);
  }
  advance(options.sweep_interval, std::chrono::seconds{10});
  EXPECT_FALSE(known(1));
  EXPECT_FALSE(known(2));
  expect_whole(3);
  expect_whole(4);
  EXPECT_EQ(stats().savefile_bytes, 2 * each);
}

TEST_F(StorageTest, RemovesTheOldestWhenThereAreTooMany) {
  options.max_jobs = 2;
  start();
  insert(make_record(9));
  for (const int n : {1, 2, 3}) {
    advance_only(std::chrono::seconds{1});
    const auto record = captured(n);
    // One without a file is a job, too.
    ASSERT_TRUE(n == 2 ? ask<job_record>(aut, atom::fail_v, record)
                       : seal(record));
  }
  advance(options.sweep_interval, std::chrono::seconds{10});
  EXPECT_FALSE(known(1));
  EXPECT_TRUE(known(2));
  expect_whole(3);
  EXPECT_TRUE(known(9)) << "what runs is not counted, and never removed";
  EXPECT_EQ(stats().expired_jobs, 1u);
}

TEST_F(StorageTest, RemovesNothingThatIsBeingDownloaded) {
  options.max_jobs = 1;
  start();
  finished(1);
  auto under_way = download(1);
  for (const int n : {2, 3}) {
    advance_only(std::chrono::seconds{1});
    finished(n);
  }
  advance(std::chrono::minutes{10}, std::chrono::seconds{10});
  expect_whole(1);
  EXPECT_FALSE(known(2));
  expect_whole(3);
  // The downloads that `expect_whole` made are over as well.
  under_way = caf::sec::none;
  advance(download_leases::continuation_time, std::chrono::seconds{10});
  EXPECT_TRUE(known(1)) << "its client may want to go on";
  advance(std::chrono::minutes{3}, std::chrono::seconds{10});
  EXPECT_FALSE(known(1));
  EXPECT_TRUE(known(3));
}

TEST_F(StorageTest, WaitsForDownloadsOnlySoLong) {
  options.max_age = std::chrono::hours{1};
  options.download_hold = std::chrono::minutes{30};
  start();
  finished(1);
  const auto under_way = download(1);
  advance(std::chrono::minutes{89}, std::chrono::seconds{10});
  EXPECT_TRUE(known(1));
  advance(std::chrono::minutes{3}, std::chrono::seconds{10});
  EXPECT_FALSE(known(1));
  char byte = 0;
  EXPECT_EQ(::pread(*under_way->descriptor, &byte, 1, 0), 1)
    << "the bytes stay for as long as it lasts";
}

TEST_F(StorageTest, KeepsToLimitsThatChange) {
  start();
  finished(1);
  finished(2);
  storage_limits limits;
  limits.min_free_bytes = 0;
  limits.max_jobs = 0;
  EXPECT_EQ(failure_of(ask<caf::ok_atom>(aut, atom::limits_v, limits)).text,
            "storage: max_jobs is 0");
  limits.max_jobs = 1;
  limits.sweep_interval = std::chrono::seconds{5};
  limits.each_account.jobs = 2;
  ASSERT_TRUE(ask<caf::ok_atom>(aut, atom::limits_v, limits));
  EXPECT_FALSE(known(1)) << "retention does not wait for its turn";
  EXPECT_TRUE(known(2));
  insert(make_record(3));
  EXPECT_EQ(failure_of(try_insert(make_record(4))).code, errc::quota_reached);
}

TEST_F(StorageTest, AppliesRetentionAsOftenAsTheLimitsSayNow) {
  options.sweep_interval = std::chrono::hours{24};
  start();
  finished(1);
  storage_limits limits = options;
  limits.max_age = std::chrono::minutes{1};
  limits.sweep_interval = std::chrono::seconds{5};
  ASSERT_TRUE(ask<caf::ok_atom>(aut, atom::limits_v, limits));
  EXPECT_TRUE(known(1));
  advance(std::chrono::seconds{66}, std::chrono::seconds{1});
  EXPECT_FALSE(known(1));
}

TEST_F(StorageTest, AppliesRetentionOnceHoweverOftenItsLimitsChanged) {
  // Each application looks at the clock, and so often only.
  const auto looks = std::make_shared<int>(0);
  options.wall_clock = [this, looks] {
    ++*looks;
    return now();
  };
  start();
  const auto looks_in_ten_rounds = [&] {
    advance(options.sweep_interval, std::chrono::seconds{1});
    *looks = 0;
    advance(10 * options.sweep_interval, std::chrono::seconds{1});
    return *looks;
  };
  const auto before = looks_in_ten_rounds();
  EXPECT_GT(before, 0);
  const storage_limits& limits = options;
  for (auto i = 0; i < 20; ++i)
    ASSERT_TRUE(ask<caf::ok_atom>(aut, atom::limits_v, limits));
  EXPECT_EQ(looks_in_ten_rounds(), before);
}

// -- quotas -------------------------------------------------------------------

TEST_F(StorageTest, RefusesAJobBeyondAQuotaOfJobs) {
  options.each_account.jobs = 2;
  options.total.jobs = 3;
  start();
  finished(1);
  insert(make_record(2));
  const auto answer = try_insert(make_record(3));
  EXPECT_EQ(failure_of(answer).code, errc::quota_reached);
  EXPECT_EQ(failure_of(answer).text,
            "the quota of 2 captures for the account is reached: there are 2; "
            "delete captures to make room");
  EXPECT_FALSE(known(3));
  auto other = make_record(4);
  other.spec.account_id = other_account;
  insert(other);
  other.id = id_of(5);
  EXPECT_THAT(failure_of(try_insert(other)).text,
              HasSubstr("the quota of 3 captures for all accounts together"));
  ASSERT_TRUE(
    ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, id_of(1)));
  insert(make_record(3));
  EXPECT_EQ(refusals("account_jobs"), 1u);
  EXPECT_EQ(refusals("total_jobs"), 1u);
  EXPECT_EQ(refusals("account_size"), 0u);
}

TEST_F(StorageTest, RefusesAJobBeyondAQuotaOfBytes) {
  start();
  const auto one = finished(1);
  const auto each = one.savefile_bytes + one.pcapng_bytes;
  stop();
  options.each_account.bytes = 1;
  options.accounts[account].bytes = each + 23;
  start();
  const auto answer = try_insert(make_record(2));
  EXPECT_EQ(failure_of(answer).code, errc::quota_reached);
  EXPECT_EQ(failure_of(answer).text,
            "the quota of " + std::to_string(each + 23)
              + " bytes for the account is reached: " + std::to_string(each)
              + " bytes are used, 0 of them by captures that are not finished; "
                "delete captures to make room");
  EXPECT_EQ(refusals("account_size"), 1u);
  stop();
  options.accounts[account].bytes = each + 24; // a savefile without a packet
  start();
  insert(make_record(2));
}

TEST_F(StorageTest, CountsWhatIsCapturedTowardsTheQuota) {
  options.pcapng = false;
  options.each_account.bytes = 5 * 76; // of packets with 60 bytes each
  start();
  const auto record = make_record(1);
  insert(record);
  auto second = make_record(2);
  insert(second);
  EXPECT_TRUE(append(record, 0, make_batch(3)));
  EXPECT_EQ(stats().unsealed_bytes, 3u * 76);
  EXPECT_TRUE(append(second, 0, make_batch(1)));
  // Both are of one account.
  const auto answer = append(record, 0, make_batch(2));
  EXPECT_EQ(failure_of(answer).code, errc::quota_reached);
  EXPECT_THAT(failure_of(answer).text, HasSubstr("304 bytes are used, 304 of"));
  // It has ended as far as packets go: what fits may not follow what did not.
  EXPECT_EQ(failure_of(append(record, 0, make_batch(1))).code,
            errc::quota_reached);
  EXPECT_TRUE(append(second, 0, make_batch(1)));
  EXPECT_EQ(failure_of(try_insert(make_record(3))).code, errc::quota_reached);
  second.interfaces = {make_interface("eth0")};
  second.reason = end_reason::stopped;
  const auto sealed = seal(second);
  ASSERT_TRUE(sealed) << failure_of(sealed).text;
  EXPECT_EQ(stats().unsealed_bytes, 3u * 76);
  ASSERT_TRUE(ask<job_record>(aut, atom::fail_v, record));
  EXPECT_EQ(stats().unsealed_bytes, 0u);
  insert(make_record(3));
}

// Its end is not in the index yet, but its packets are on the disk.
TEST_F(StorageTest, CountsAJobWhoseEndTheIndexRefuses) {
  options.pcapng = false;
  start();
  captured(1);
  // Of this one the savefile is there.
  const auto sealing = captured(2);
  faults->dead_from = storage_step::commit;
  EXPECT_FALSE(seal(sealing));
  stop();
  faults->dead_from.reset();
  faults->broken
    = {storage_step::resume, storage_step::close, storage_step::commit};
  constexpr std::uint64_t each = 5 * 76; // Packets of 60 bytes.
  options.total.bytes = 2 * each + 76;
  start();
  EXPECT_THAT(state_of<storage_state>(aut).unresolved, SizeIs(2));
  EXPECT_EQ(stats().unsealed_bytes, 2 * each);
  faults->broken.clear();
  const auto late = make_record(3);
  insert(late);
  EXPECT_EQ(failure_of(append(late, 0, make_batch(2))).code,
            errc::quota_reached);
  advance(options.sweep_interval);
  EXPECT_THAT(state_of<storage_state>(aut).unresolved, IsEmpty());
  EXPECT_EQ(stats().unsealed_bytes, 0u);
}

TEST_F(StorageTest, ForeseesWhatAPcapngTakes) {
  start();
  const auto record = captured(1);
  const auto foreseen = stats().unsealed_bytes;
  const auto sealed = seal(record);
  ASSERT_TRUE(sealed);
  // But for the headers of files and interfaces.
  const auto packets = sealed->savefile_bytes - 24 + 5 * (60 + 32);
  EXPECT_GE(foreseen, packets);
  EXPECT_LE(foreseen, packets + 5 * 3);
}

TEST_F(StorageTest, AppliesRetentionAtTheStart) {
  options.max_age = std::chrono::hours{1};
  start();
  finished(1);
  stop();
  advance_only(std::chrono::hours{2});
  start();
  EXPECT_FALSE(known(1));
  EXPECT_THAT(left_on_disk(), IsEmpty());
}

TEST_F(StorageTest, ServesOthersBetweenTheStepsOfASweep) {
  options.max_age = std::chrono::hours{1};
  start();
  for (int i = 0; i < 70; ++i) {
    auto record = make_record(i);
    insert(record);
    ASSERT_TRUE(ask<job_record>(aut, atom::fail_v, record));
  }
  advance_only(std::chrono::hours{2});
  auto reading = ask_later(aut, atom::stats_v);
  deliver_to(aut); // sweeps
  deliver_to(aut);
  const auto halfway = receive_answer<storage_stats>(reading);
  ASSERT_TRUE(halfway);
  EXPECT_EQ(halfway->jobs, 70u - 16u);
  run();
  EXPECT_EQ(stats().jobs, 0u);
  EXPECT_EQ(stats().expired_jobs, 70u);
}

} // namespace edgecap::test
