// A scripted life of a few jobs on a simulated disk, which ends at each of its
// changes to files and index in turn: the process or the whole host crashes
// there. What survives is given to the next process, which crashes at one of
// its changes as well, and then to a third: everything that the first one was
// told stands must stand. In the same way each call fails once,
// after which life goes on.
#include "actors/storage.hpp"
#include "capture/savefile.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/simulated_disk.hpp"

#include <caf/deep_to_string.hpp>
#include <gmock/gmock.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace edgecap::test {

namespace {

using namespace std::chrono_literals;

constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";
constexpr const char* root = "/var/lib/edgecap";

std::string id_of(int n) {
  return std::string(31, '0') + std::to_string(n);
}

/// One record of a savefile, header first.
using record_bytes = std::string;

/// A packet that is like no other, and has no byte that is zero.
record_bytes make_record_bytes(int job, std::uint32_t run, std::uint32_t number,
                               unix_ns time) {
  auto text = "job " + std::to_string(job) + " run " + std::to_string(run)
              + " packet " + std::to_string(number) + " ";
  text.resize(60 + 7 * (number % 5), '.');
  const auto length = static_cast<std::uint32_t>(text.size());
  const auto header = capture::record_header::of(time, length, length);
  return std::string(reinterpret_cast<const char*>(&header), sizeof header)
         + text;
}

/// The records of a savefile as it stands; fails the test unless it is whole.
std::vector<record_bytes> records_in(const std::string& bytes) {
  std::vector<record_bytes> result;
  std::size_t at = capture::savefile_header_bytes;
  EXPECT_GE(bytes.size(), at);
  while (at + sizeof(capture::record_header) <= bytes.size()) {
    capture::record_header header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    const auto size = sizeof header + header.captured_length;
    if (at + size > bytes.size())
      break;
    result.push_back(bytes.substr(at, size));
    at += size;
  }
  EXPECT_EQ(at, bytes.size()) << "the savefile is torn";
  return result;
}

unix_ns time_of(const record_bytes& x) {
  capture::record_header header;
  std::memcpy(&header, x.data(), sizeof header);
  return header.time();
}

/// What storage was asked for a job, and what it answered.
struct told {
  job_record record; ///< As the job has it.
  /// Of each run all that was handed over, and how much of it was taken.
  std::map<std::uint32_t, std::vector<record_bytes>> packets;
  std::map<std::uint32_t, std::size_t> answered;
  bool inserted = false;
  bool sealed = false;
  bool failed = false;
  bool seal_refused = false; ///< Whoever asked knows that all is lost.
  bool may_be_gone = false;  ///< A delete was asked for, or retention is due.
  bool deleted = false;
};

} // namespace

class CrashPoints : public actor_fixture {
protected:
  void TearDown() override {
    stop();
    actor_fixture::TearDown();
  }

  // -- the process ------------------------------------------------------------

  /// Starts storage. Returns whether it runs.
  bool start() {
    storage_options options;
    options.directory = root;
    options.pcapng = pcapng;
    options.min_free_bytes = 0;
    options.max_age = 1h;
    options.seal_slice_bytes = 256;
    options.files = &disk->files();
    options.index_vfs = disk->vfs();
    options.wall_clock = [this] { return now(); };
    aut = spawn(storage, options);
    run();
    return !dead(aut);
  }

  void stop() {
    if (!aut)
      return;
    self->send_exit(aut, caf::exit_reason::kill);
    run();
    sched.clock().cancel_all();
    run();
    aut = nullptr;
  }

  // -- a life -----------------------------------------------------------------

  void insert(int n) {
    if (disk->down())
      return;
    auto& x = jobs[n];
    x.record.id = id_of(n);
    x.record.spec.account_id = account;
    x.record.spec.time_limit_s = 60;
    x.record.spec.packet_limit = 1000;
    x.record.submitted = now();
    x.inserted = static_cast<bool>(ask<caf::ok_atom>(
      aut, atom::insert_v, x.record, "key-" + std::to_string(n)));
  }

  void open_interfaces(int n, std::size_t count) {
    if (disk->down())
      return;
    auto& x = jobs[n].record;
    x.phase = job_phase::capturing;
    x.started = now();
    for (std::size_t i = 0; i < count; ++i) {
      interface_report eth;
      eth.node = "here";
      eth.interface = "eth" + std::to_string(i);
      eth.phase = sampler_phase::capturing;
      eth.link = capture::link_type::ethernet;
      x.interfaces.push_back(eth);
    }
    self->send(aut, atom::progress_v, x, std::uint32_t{0});
    run();
  }

  void append(int n, std::uint32_t run_number, std::uint32_t count) {
    if (disk->down())
      return;
    auto& x = jobs[n];
    auto& all = x.packets[run_number];
    capture::batch_builder builder{capture::link_type::ethernet, 1u << 20};
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto number = static_cast<std::uint32_t>(all.size());
      all.push_back(make_record_bytes(n, run_number, number, ++packet_time));
      capture::record_header header;
      std::memcpy(&header, all.back().data(), sizeof header);
      builder.append(header, reinterpret_cast<const std::byte*>(
                               all.back().data() + sizeof header));
    }
    // What is refused is not the job's any more.
    const auto done = ask<caf::ok_atom>(aut, atom::append_v, x.record.id,
                                        run_number, builder.take());
    if (done)
      x.answered[run_number] = all.size();
    else if (!disk->down()) // Else it may be there or not.
      all.resize(x.answered[run_number]);
  }

  /// The record of a job that has ended, with its counts.
  job_record ended(int n, end_reason reason) {
    auto& x = jobs[n];
    x.record.reason = reason;
    x.record.phase = job_phase::sealing;
    for (auto& eth : x.record.interfaces)
      eth.phase = sampler_phase::ended;
    for (const auto& [run_number, count] : x.answered) {
      x.record.packets_captured += count;
      x.record.interfaces[run_number].packets_captured = count;
    }
    return x.record;
  }

  void seal(int n) {
    if (disk->down())
      return;
    auto& x = jobs[n];
    auto pending
      = ask_later(aut, atom::seal_v, ended(n, end_reason::packet_limit));
    run();
    // A last row that was refused is tried again, until the process ends.
    if (!self->has_next_message())
      advance(2s, 1s);
    if (!self->has_next_message()) {
      EXPECT_TRUE(disk->down());
      stop();
    }
    const auto answer = receive_answer<job_record>(pending);
    x.sealed = answer && answer->phase == job_phase::succeeded;
    x.seal_refused = !answer;
    if (answer)
      x.record = *answer;
  }

  void fail(int n) {
    if (disk->down())
      return;
    auto& x = jobs[n];
    auto record = ended(n, end_reason::storage_error);
    record.error_message = "no packet could be written";
    x.failed = static_cast<bool>(ask<job_record>(aut, atom::fail_v, record));
    x.seal_refused = true;
  }

  void remove(int n) {
    if (disk->down())
      return;
    auto& x = jobs[n];
    x.may_be_gone = true;
    x.deleted = static_cast<bool>(
      ask<caf::ok_atom>(aut, atom::erase_v, std::string{account}, x.record.id));
  }

  /// Lets retention take old jobs.
  void expire(std::initializer_list<int> old) {
    if (disk->down())
      return;
    for (const auto n : old)
      jobs[n].may_be_gone = true;
    advance(61min, 1min);
  }

  /// Everything that storage does, with several jobs at the same time.
  void live() {
    insert(1);
    open_interfaces(1, 2);
    append(1, 0, 3);
    insert(2);
    open_interfaces(2, 1);
    append(2, 0, 2);
    append(1, 1, 4);
    append(1, 0, 1);
    seal(1);
    append(2, 0, 20);
    seal(2);
    insert(3);
    open_interfaces(3, 2);
    append(3, 1, 2);
    insert(4);
    open_interfaces(4, 2);
    append(4, 0, 2);
    fail(3);
    append(4, 1, 30);
    append(4, 0, 5);
    insert(5);
    remove(1);
    expire({2, 3});
    insert(6);
    open_interfaces(6, 1);
    append(6, 0, 3);
    seal(6);
    append(4, 0, 2);
  }

  // -- what must hold afterwards ----------------------------------------------

  caf::expected<job_record> get(int n) {
    return ask<job_record>(aut, atom::get_v, std::string{account}, id_of(n));
  }

  /// The job's record; a job that was left to go on is ended first.
  std::optional<job_record> outcome(int n) {
    auto record = get(n);
    if (!record)
      return std::nullopt;
    if (!is_terminal(record->phase)) {
      record->reason = end_reason::shutdown;
      record->phase = job_phase::sealing;
      record = ask<job_record>(aut, atom::seal_v, *record);
      EXPECT_TRUE(record) << failure_of(record).text;
      if (!record)
        return std::nullopt;
    }
    EXPECT_TRUE(is_terminal(record->phase)) << to_string(record->phase);
    return *record;
  }

  /// The packets of a savefile are the beginning of what each interface
  /// delivered, in order of time.
  void check_savefile(int n, const job_record& record, crash_kind kind) {
    const auto path = std::string{root} + "/savefiles/" + record.id + ".pcap";
    const auto bytes = disk->contents(path);
    ASSERT_TRUE(bytes) << path;
    EXPECT_EQ(bytes->size(), record.savefile_bytes);
    std::map<std::uint32_t, std::size_t> found;
    unix_ns last = 0;
    const auto all = records_in(*bytes);
    EXPECT_EQ(all.size(), record.packets_captured);
    for (const auto& x : all) {
      EXPECT_LE(last, time_of(x));
      last = time_of(x);
      auto known = false;
      for (const auto& [run_number, packets] : jobs[n].packets) {
        auto& count = found[run_number];
        known = count < packets.size() && packets[count] == x;
        count += known ? 1 : 0;
        if (known)
          break;
      }
      EXPECT_TRUE(known) << "a packet that nobody captured, or not in its turn";
    }
    if (kind == crash_kind::host && !jobs[n].sealed)
      return;
    for (const auto& [run_number, count] : jobs[n].answered)
      EXPECT_GE(found[run_number], count) << "run " << run_number;
  }

  void check_job(int n, crash_kind kind) {
    SCOPED_TRACE("job " + std::to_string(n));
    const auto& x = jobs[n];
    const auto record = outcome(n);
    if (!record) {
      EXPECT_TRUE(x.may_be_gone || !x.inserted) << "an answered job is lost";
      return;
    }
    EXPECT_FALSE(x.deleted);
    if (x.sealed) {
      EXPECT_EQ(caf::deep_to_string(*record), caf::deep_to_string(x.record));
    }
    if (x.failed) {
      EXPECT_EQ(record->phase, job_phase::failed);
    }
    if (record->phase == job_phase::succeeded)
      check_savefile(n, *record, kind);
    else if (kind == crash_kind::process && !x.seal_refused) {
      std::size_t answered = 0;
      for (const auto& [run_number, count] : x.answered)
        answered += count;
      EXPECT_EQ(answered, 0u) << "it had packets: " << record->error_message;
    }
    if (record->phase == job_phase::failed) {
      EXPECT_NE(record->error_message, "");
    }
    key_leads_to(n, *record);
  }

  void key_leads_to(int n, const job_record& record) {
    const auto found = ask<job_record>(
      aut, atom::recall_v, std::string{account}, "key-" + std::to_string(n));
    ASSERT_TRUE(found) << failure_of(found).text;
    EXPECT_EQ(found->id, record.id);
  }

  /// Names of what lies below the directory, but for the index.
  std::vector<std::string> files_left() {
    std::vector<std::string> result;
    for (const auto& path : disk->paths())
      if (path.find("/index.sqlite") == std::string::npos
          && path != std::string{root} + "/lock")
        result.push_back(path.substr(std::strlen(root) + 1));
    // A directory without a file is one, too.
    const auto names = disk->files().list(std::string{root} + "/jobs");
    EXPECT_TRUE(names && names->empty());
    return result;
  }

  /// What the next process finds, in every respect.
  void check_everything(crash_kind kind) {
    ASSERT_TRUE(start()) << "storage does not start";
    std::vector<std::string> savefiles;
    std::map<int, std::string> before;
    for (const auto& [n, x] : jobs) {
      check_job(n, kind);
      const auto record = get(n);
      before[n] = caf::deep_to_string(record);
      if (record && record->phase == job_phase::succeeded)
        savefiles.push_back("savefiles/" + record->id + ".pcap");
      if (record && record->pcapng_bytes > 0)
        savefiles.push_back("savefiles/" + record->id + ".pcapng");
    }
    EXPECT_EQ(files_left(), savefiles);
    stop();
    disk->start();
    ASSERT_TRUE(start()) << "storage does not start again";
    for (const auto& [n, record] : before)
      EXPECT_EQ(caf::deep_to_string(get(n)), record) << "of the next start";
    EXPECT_EQ(files_left(), savefiles) << "after the next start";
    insert(9);
    open_interfaces(9, 1);
    append(9, 0, 2);
    seal(9);
    EXPECT_TRUE(jobs[9].sealed) << "life goes on";
    stop();
  }

  /// Calls or changes that a whole life makes.
  std::uint64_t count(std::uint64_t (simulated_disk::*what)() const) {
    begin(0);
    EXPECT_TRUE(start());
    live();
    stop();
    return (*disk.*what)();
  }

  void begin(std::uint64_t seed) {
    jobs.clear();
    packet_time = 1'000'000'000;
    disk = std::make_unique<simulated_disk>(seed);
    disk->files().make_directories("/var/lib");
    disk->write_back(); // The host was there before us.
    disk->set_script([this](disk_call call, const std::string&) {
      linked = linked || call == disk_call::link;
      return 0;
    });
  }

  void crash_at(std::uint64_t change, crash_kind kind, std::uint64_t seed) {
    SCOPED_TRACE("crash of the "
                 + std::string{kind == crash_kind::host ? "host" : "process"}
                 + " at change " + std::to_string(change) + ", seed "
                 + std::to_string(seed));
    begin(seed);
    disk->crash_at_change(change, kind);
    if (start())
      live();
    stop();
    disk->crash(kind);
    disk->start();
    crash_again(kind, seed);
    check_everything(kind);
  }

  /// Ends the next process in the same way at one of the changes by which it
  /// takes up what the first one left, or behind all of them.
  void crash_again(crash_kind kind, std::uint64_t seed) {
    constexpr std::uint64_t changes_of_a_start = 40;
    disk->crash_at_change(seed % changes_of_a_start, kind);
    start();
    stop();
    disk->crash(kind);
    disk->start();
  }

  /// A pcapng file changes little of a life: each round takes a third of it.
  std::uint64_t stride() const {
    return pcapng ? 3 : 1;
  }

  /// Each round draws anew what survives: EDGECAP_CRASH_ROUNDS, 1 by default.
  static std::uint64_t rounds() {
    const auto* wanted = std::getenv("EDGECAP_CRASH_ROUNDS");
    return wanted == nullptr ? 1 : std::strtoull(wanted, nullptr, 10);
  }

  /// Lets the k-th call of a life fail, and ends it with a crash.
  void fail_call(std::uint64_t k, int error, std::uint64_t seed) {
    const auto kind = seed % 2 == 0 ? crash_kind::process : crash_kind::host;
    begin(seed);
    std::string what;
    disk->set_script([&what, k, error, n = std::uint64_t{0}](
                       disk_call call, const std::string& path) mutable {
      if ((error == ENOSPC && !changes(call)) || n++ != k)
        return 0;
      what = path;
      return error;
    });
    if (!start()) {
      stop();
      ASSERT_TRUE(start()) << "call " << k << " (" << what << ") fails no more";
    }
    live();
    stop();
    SCOPED_TRACE("call " + std::to_string(k) + " (" + what + ") fails, seed "
                 + std::to_string(seed));
    disk->set_script({});
    disk->crash(kind);
    disk->start();
    check_everything(kind);
  }

  bool pcapng = false;
  bool linked = false; ///< A run has become a savefile by a link.
  std::unique_ptr<simulated_disk> disk;
  std::map<int, told> jobs;
  unix_ns packet_time = 0;
  storage_actor aut;
};

TEST_F(CrashPoints, LivesWithoutAFault) {
  begin(1);
  ASSERT_TRUE(start());
  live();
  for (const auto n : {1, 2, 6})
    EXPECT_TRUE(jobs[n].sealed) << n;
  EXPECT_TRUE(jobs[3].failed);
  EXPECT_TRUE(jobs[1].deleted);
  EXPECT_FALSE(get(2)) << "retention was to take it";
  EXPECT_TRUE(linked) << "an only run becomes the savefile";
  stop();
  disk->start();
  check_everything(crash_kind::process);
}

// The process dies of a disk that takes no more from the sync of a savefile's
// name on. The next one finds the name and tells of a success; then the host
// crashes.
TEST_F(CrashPoints, KeepsASavefileWhoseNameAnEarlierProcessCouldNotSync) {
  const auto savefiles = std::string{root} + "/savefiles";
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    begin(seed);
    ASSERT_TRUE(start());
    insert(1);
    open_interfaces(1, 2);
    append(1, 0, 3);
    append(1, 1, 2);
    auto refuses = false;
    disk->set_script([&](disk_call call, const std::string& path) {
      refuses
        = refuses || (call == disk_call::sync_directory && path == savefiles);
      return refuses && changes(call) ? EIO : 0;
    });
    seal(1);
    EXPECT_FALSE(jobs[1].sealed);
    EXPECT_TRUE(refuses);
    stop();
    disk->set_script({});
    disk->crash(crash_kind::process);
    disk->start();
    ASSERT_TRUE(start());
    ASSERT_EQ(get(1)->phase, job_phase::succeeded);
    stop();
    disk->crash(crash_kind::host);
    disk->start();
    ASSERT_TRUE(start());
    EXPECT_EQ(get(1)->phase, job_phase::succeeded) << get(1)->error_message;
    EXPECT_TRUE(disk->contents(savefiles + "/" + id_of(1) + ".pcap"));
    stop();
  }
}

// -- a crash at each change ---------------------------------------------------

struct crash_case {
  const char* name;
  crash_kind kind;
  bool pcapng;
};

class CrashAtEachChange : public CrashPoints,
                          public ::testing::WithParamInterface<crash_case> {};

INSTANTIATE_TEST_SUITE_P(
  Storage, CrashAtEachChange,
  ::testing::Values(crash_case{"Process", crash_kind::process, false},
                    crash_case{"ProcessPcapng", crash_kind::process, true},
                    crash_case{"Host", crash_kind::host, false},
                    crash_case{"HostPcapng", crash_kind::host, true}),
  [](const auto& x) { return std::string{x.param.name}; });

TEST_P(CrashAtEachChange, KeepsWhatWasAnswered) {
  pcapng = GetParam().pcapng;
  const auto changes = count(&simulated_disk::changes);
  for (std::uint64_t round = 0; round < rounds(); ++round)
    for (std::uint64_t k = round % stride(); k < changes && !HasFailure();
         k += stride())
      crash_at(k, GetParam().kind, round * changes + k);
}

// -- a failure of each call ---------------------------------------------------

struct failure_case {
  std::string name;
  int error;
  bool pcapng;
};

/// Each case in parts, for they take long.
constexpr std::uint64_t failure_parts = 4;

class FailureOfEachCall : public CrashPoints,
                          public ::testing::WithParamInterface<
                            std::tuple<failure_case, std::uint64_t>> {};

INSTANTIATE_TEST_SUITE_P(
  Storage, FailureOfEachCall,
  ::testing::Combine(::testing::Values(failure_case{"Eio", EIO, false},
                                       failure_case{"EioPcapng", EIO, true},
                                       failure_case{"Full", ENOSPC, false}),
                     ::testing::Range(std::uint64_t{0}, failure_parts)),
  [](const auto& x) {
    return std::get<0>(x.param).name + std::to_string(std::get<1>(x.param) + 1);
  });

TEST_P(FailureOfEachCall, KeepsWhatWasAnswered) {
  const auto& [what, part] = GetParam();
  pcapng = what.pcapng;
  // A full disk can be looked at and read.
  const auto calls = count(what.error == ENOSPC ? &simulated_disk::changes
                                                : &simulated_disk::calls);
  for (std::uint64_t round = 0; round < rounds(); ++round)
    for (auto k = round % stride() + part * stride();
         k < calls && !HasFailure(); k += failure_parts * stride())
      fail_call(k, what.error, round * calls + k);
}

} // namespace edgecap::test
