#include "actors/job_index.hpp"
#include "tests/support/simulated_disk.hpp"
#include "tests/support/temp_directory.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

// The index on real files: every test opens a database of its own.
namespace edgecap::test {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* account = "023e105f4ecef8ad9ca31a8372d0c353";
constexpr const char* other_account = "ffffffffffffffffffffffffffffffff";

std::string id_of(int n) {
  auto digits = std::to_string(n);
  return std::string(32 - digits.size(), '0') + digits;
}

job_record make_record(int n, unix_ns submitted = 1000) {
  job_record result;
  result.id = id_of(n);
  result.spec.account_id = account;
  result.spec.system = "magic-transit";
  result.spec.time_limit_s = 60;
  result.spec.packet_limit = 10;
  result.submitted = submitted;
  return result;
}

job_record make_terminal(int n, job_phase phase, unix_ns finished,
                         std::uint64_t bytes = 0) {
  auto result = make_record(n);
  result.phase = phase;
  result.finished = finished;
  result.savefile_bytes = bytes;
  return result;
}

list_query query_of(const std::string& owner, std::uint32_t page = 1,
                    std::uint32_t per_page = 50) {
  list_query result;
  result.account_id = owner;
  result.page = page;
  result.per_page = per_page;
  return result;
}

/// A record with a value in every field.
job_record full_record() {
  auto result = make_record(7, 1'600'000'000'123'456'789);
  result.spec.type = "full";
  result.spec.filter = {"2001:db8::1", "192.0.2.1", std::uint16_t{65535},
                        std::uint16_t{0}, std::uint8_t{255}};
  result.phase = job_phase::draining;
  result.reason = end_reason::interface_lost;
  result.error_message = "eth0: it's \"gone\" – für immer";
  result.stop_requested = true;
  result.started = 2;
  result.finished = 3;
  result.packets_captured = 4;
  result.bytes_captured = 0xffff'ffff'ffull;
  result.savefile_bytes = 6;
  result.pcapng_bytes = 7;
  interface_report x;
  x.node = "edge-1";
  x.interface = "eth0";
  x.phase = sampler_phase::failed;
  x.link = capture::link_type::linux_sll2;
  x.sampling_one_in = 100;
  x.packets_matched = 0; // known to be none, which is not unknown
  x.packets_captured = 9;
  x.packets_sampled_out = 10;
  x.dropped_by_kernel = 11;
  x.dropped_by_interface = 12;
  x.dropped_by_us = 13;
  x.error = "Network is down";
  result.interfaces = {x, interface_report{}};
  result.interruptions = {{14, 15}, {16, {}}};
  return result;
}

class JobIndexTest : public ::testing::Test {
protected:
  JobIndexTest() {
    open();
  }

  void open() {
    index.reset();
    auto opened = job_index::open(file());
    ASSERT_TRUE(opened) << opened.error().message;
    index = std::move(*opened);
  }

  std::filesystem::path file() const {
    return directory.path() / "index.sqlite";
  }

  void insert(const job_record& record) {
    const auto done = index->insert(record);
    ASSERT_TRUE(done) << done.error().message;
  }

  std::optional<job_record> find(int n) {
    auto found = index->find(id_of(n));
    EXPECT_TRUE(found) << found.error().message;
    return found ? *found : std::nullopt;
  }

  /// Number of the job that a key leads to; 0 if it leads to none.
  int recalled(const std::string& key, unix_ns since = 0,
               const std::string& owner = account) {
    const auto found = index->recall(owner, key, since);
    EXPECT_TRUE(found) << found.error().message;
    return found && *found ? std::stoi((*found)->id) : 0;
  }

  void insert_with_key(int n, const std::string& key,
                       unix_ns submitted = 1000) {
    const auto done = index->insert(make_record(n, submitted), key);
    ASSERT_TRUE(done) << done.error().message;
  }

  int schema_version() {
    return SQLite::Database{file().string()}
      .execAndGet("PRAGMA user_version")
      .getInt();
  }

  int count_keys() {
    return SQLite::Database{file().string()}
      .execAndGet("SELECT count(*) FROM idempotency_keys")
      .getInt();
  }

  /// Numbers of the jobs that a query lists.
  std::vector<int> listed(const list_query& query) {
    const auto page = index->list(query);
    EXPECT_TRUE(page) << page.error().message;
    std::vector<int> result;
    if (page)
      for (const auto& x : (*page)->jobs)
        result.push_back(std::stoi(x.id));
    return result;
  }

  /// The error of an attempt to open what is in `file()` now.
  store_error refusal() {
    index.reset();
    const auto opened = job_index::open(file());
    EXPECT_FALSE(opened);
    return opened ? store_error{} : opened.error();
  }

  temp_directory directory;
  std::unique_ptr<job_index> index;
};

std::vector<int> numbers(const stored<std::vector<stored_savefile>>& xs) {
  EXPECT_TRUE(xs) << xs.error().message;
  std::vector<int> result;
  if (xs)
    for (const auto& x : *xs)
      result.push_back(std::stoi(x.id));
  return result;
}

void expect_same_interface(const interface_report& x,
                           const interface_report& y) {
  EXPECT_EQ(x.node, y.node);
  EXPECT_EQ(x.interface, y.interface);
  EXPECT_EQ(x.phase, y.phase);
  EXPECT_EQ(x.link, y.link);
  EXPECT_EQ(x.sampling_one_in, y.sampling_one_in);
  EXPECT_EQ(x.packets_matched, y.packets_matched);
  EXPECT_EQ(x.packets_captured, y.packets_captured);
  EXPECT_EQ(x.packets_sampled_out, y.packets_sampled_out);
  EXPECT_EQ(x.dropped_by_kernel, y.dropped_by_kernel);
  EXPECT_EQ(x.dropped_by_interface, y.dropped_by_interface);
  EXPECT_EQ(x.dropped_by_us, y.dropped_by_us);
  EXPECT_EQ(x.error, y.error);
}

void expect_same(const job_record& x, const job_record& y) {
  EXPECT_EQ(x.id, y.id);
  EXPECT_EQ(x.spec.account_id, y.spec.account_id);
  EXPECT_EQ(x.spec.type, y.spec.type);
  EXPECT_EQ(x.spec.system, y.spec.system);
  EXPECT_EQ(x.spec.time_limit_s, y.spec.time_limit_s);
  EXPECT_EQ(x.spec.packet_limit, y.spec.packet_limit);
  EXPECT_EQ(x.spec.filter, y.spec.filter);
  EXPECT_EQ(x.phase, y.phase);
  EXPECT_EQ(x.reason, y.reason);
  EXPECT_EQ(x.error_message, y.error_message);
  EXPECT_EQ(x.stop_requested, y.stop_requested);
  EXPECT_EQ(x.submitted, y.submitted);
  EXPECT_EQ(x.started, y.started);
  EXPECT_EQ(x.finished, y.finished);
  EXPECT_EQ(x.packets_captured, y.packets_captured);
  EXPECT_EQ(x.bytes_captured, y.bytes_captured);
  EXPECT_EQ(x.savefile_bytes, y.savefile_bytes);
  EXPECT_EQ(x.pcapng_bytes, y.pcapng_bytes);
  ASSERT_EQ(x.interfaces.size(), y.interfaces.size());
  for (std::size_t i = 0; i < x.interfaces.size(); ++i)
    expect_same_interface(x.interfaces[i], y.interfaces[i]);
  ASSERT_EQ(x.interruptions.size(), y.interruptions.size());
  for (std::size_t i = 0; i < x.interruptions.size(); ++i) {
    EXPECT_EQ(x.interruptions[i].from, y.interruptions[i].from);
    EXPECT_EQ(x.interruptions[i].to, y.interruptions[i].to);
  }
}

} // namespace

// -- rows ---------------------------------------------------------------------

TEST_F(JobIndexTest, KeepsEveryFieldOverAReopen) {
  insert(full_record());
  insert(make_record(8));
  open();
  const auto full = find(7);
  ASSERT_TRUE(full);
  expect_same(*full, full_record());
  const auto plain = find(8);
  ASSERT_TRUE(plain);
  expect_same(*plain, make_record(8));
}

TEST_F(JobIndexTest, FindsNothingForAnUnknownId) {
  EXPECT_FALSE(find(1));
  EXPECT_FALSE(*index->find("' OR 1 --"));
}

TEST_F(JobIndexTest, RefusesTheSameIdTwice) {
  insert(make_record(1));
  const auto again = index->insert(make_record(1, 2000));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, store_errc::unavailable);
  EXPECT_THAT(again.error().message,
              AllOf(HasSubstr("insert job " + id_of(1)),
                    HasSubstr("UNIQUE constraint failed")));
  EXPECT_EQ(find(1)->submitted, 1000);
  insert(make_record(2)); // the failed transaction is over
}

TEST_F(JobIndexTest, UpdatesWhatMayChangeAndReplacesTheInterfaces) {
  for (const auto wanted : {durability::process, durability::host}) {
    auto record = full_record();
    record.id = id_of(wanted == durability::host ? 1 : 2);
    insert(record);
    record.phase = job_phase::succeeded;
    record.reason = end_reason::stopped;
    record.error_message.clear();
    record.started.reset();
    record.interfaces.resize(1);
    record.interfaces[0].packets_matched.reset();
    const auto done = index->update(record, wanted);
    ASSERT_TRUE(done) << done.error().message;
    open();
    expect_same(**index->find(record.id), record);
  }
}

TEST_F(JobIndexTest, NotesSomeOfTheInterfaces) {
  auto record = make_record(1);
  record.interfaces.resize(3);
  for (std::size_t i = 0; i < 3; ++i)
    record.interfaces[i].interface = "eth" + std::to_string(i);
  insert(record);
  auto news = record;
  news.phase = job_phase::capturing;
  news.interfaces = {record.interfaces[2], record.interfaces[2]};
  news.interfaces[0].link = capture::link_type::raw;
  news.interfaces[0].clock_correction_ns = -7;
  news.interfaces[1].interface = "eth3";
  news.packets_captured += 7; // of the others
  ASSERT_TRUE(index->note(news, 2));
  open();
  const auto found = index->find(record.id);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->phase, job_phase::capturing);
  EXPECT_EQ((*found)->packets_captured, record.packets_captured)
    << "their rows do not say so";
  const auto& got = (*found)->interfaces;
  ASSERT_EQ(got.size(), 4u);
  EXPECT_EQ(got[1].interface, "eth1");
  EXPECT_EQ(got[1].link, record.interfaces[1].link);
  EXPECT_EQ(got[2].interface, "eth2");
  EXPECT_EQ(got[2].link, capture::link_type::raw);
  EXPECT_EQ(got[2].clock_correction_ns, -7);
  EXPECT_EQ(got[3].interface, "eth3");
  EXPECT_FALSE(index->note(make_record(9), 0));
}

TEST_F(JobIndexTest, KeepsTheRunOfAnInterfaceWhenThoseBeforeItAreMissing) {
  auto record = make_record(1);
  record.interfaces.clear();
  insert(record);
  auto third = record;
  third.interfaces.emplace_back().interface = "eth2";
  ASSERT_TRUE(index->note(third, 2));
  const auto found = index->find(record.id);
  ASSERT_TRUE(found && *found);
  const auto& got = (*found)->interfaces;
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0].interface, "unknown-0");
  EXPECT_EQ(got[1].interface, "unknown-1");
  EXPECT_EQ(got[1].phase, sampler_phase::failed);
  EXPECT_EQ(got[2].interface, "eth2");
}

TEST_F(JobIndexTest, UpdatesNoUnknownJob) {
  const auto done = index->update(make_record(1), durability::host);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, AllOf(HasSubstr("update job " + id_of(1)),
                                          HasSubstr("no such job")));
}

TEST_F(JobIndexTest, ErasesAJobWithItsInterfaces) {
  auto record = full_record();
  insert(record);
  EXPECT_TRUE(index->erase({record.id}));
  EXPECT_TRUE(index->erase({record.id})) << "there need not be one";
  EXPECT_FALSE(find(7));
  record.interfaces.clear();
  insert(record);
  EXPECT_THAT(find(7)->interfaces, IsEmpty());
}

TEST_F(JobIndexTest, ErasesAllOrNone) {
  for (const int n : {1, 2, 3})
    insert(make_record(n));
  {
    SQLite::Database other{file().string(), SQLite::OPEN_READWRITE};
    other.exec("CREATE TRIGGER refuse BEFORE DELETE ON jobs "
               "WHEN old.id LIKE '%2' "
               "BEGIN SELECT raise(ABORT, 'not this one'); END");
  }
  const auto refused = index->erase({id_of(1), id_of(2), id_of(3)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "remove 3 jobs from " + file().string() + ": not this one");
  EXPECT_EQ(index->totals()->jobs, 3u);
  ASSERT_TRUE(index->erase({id_of(1), id_of(3)}));
  EXPECT_THAT(listed(query_of(account)), ElementsAre(2));
}

// -- lists --------------------------------------------------------------------

TEST_F(JobIndexTest, ListsNewestFirstThenById) {
  insert(make_record(3, 100));
  insert(make_record(1, 200));
  insert(make_record(4, 300));
  insert(make_record(2, 200));
  EXPECT_THAT(listed(query_of(account)), ElementsAre(4, 1, 2, 3));
}

TEST_F(JobIndexTest, CutsAListIntoPages) {
  for (int i = 0; i < 7; ++i)
    insert(make_record(i, 100 - i));
  EXPECT_THAT(listed(query_of(account, 1, 3)), ElementsAre(0, 1, 2));
  EXPECT_THAT(listed(query_of(account, 3, 3)), ElementsAre(6));
  EXPECT_THAT(listed(query_of(account, 4, 3)), IsEmpty());
  EXPECT_THAT(listed(query_of(account, 4'000'000'000u, 50)), IsEmpty());
  EXPECT_EQ((*index->list(query_of(account, 2, 3)))->total_count, 7u);
}

TEST_F(JobIndexTest, NeverListsMoreThanAPageMayHold) {
  for (int i = 0; i < 51; ++i)
    insert(make_record(i, i));
  EXPECT_EQ(listed(query_of(account, 1, 1000)).size(), 50u);
  EXPECT_EQ(listed(query_of(account, 0, 0)).size(), 1u);
}

TEST_F(JobIndexTest, ListsByStatusWord) {
  const std::vector<job_phase> phases{
    job_phase::pending, job_phase::capturing, job_phase::draining,
    job_phase::sealing, job_phase::succeeded, job_phase::failed};
  for (int i = 0; i < 6; ++i) {
    auto record = make_record(i, 100 - i);
    record.phase = phases[static_cast<std::size_t>(i)];
    insert(record);
  }
  const auto with_status = [](const char* status) {
    auto query = query_of(account);
    query.status = status;
    return query;
  };
  EXPECT_THAT(listed(with_status("")), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(listed(with_status("pending")), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(listed(with_status("success")), ElementsAre(4));
  EXPECT_THAT(listed(with_status("failed")), ElementsAre(5));
  EXPECT_THAT(listed(with_status("running")), IsEmpty());
  EXPECT_THAT(listed(with_status("' OR 1 --")), IsEmpty());
  EXPECT_EQ((*index->list(with_status("pending")))->total_count, 4u);
  EXPECT_EQ((*index->list(with_status("running")))->total_count, 0u);
}

// Far more slots of time than jobs of a page, some of them with many jobs, and
// jobs that come, end and go.
TEST_F(JobIndexTest, ListsEachPageAsALookAtEveryJobWould) {
  constexpr unix_ns minute = 60'000'000'000;
  std::mt19937 draws{1};
  const auto below = [&](int n) {
    return std::uniform_int_distribution<>{0, n - 1}(draws);
  };
  std::vector<job_record> all;
  for (int n = 0; n < 600; ++n) {
    auto x = make_record(n, (n < 300 ? below(60) : below(6000)) * minute);
    x.spec.type = below(3) == 0 ? "full" : "simple";
    insert(x);
    const auto lot = below(5);
    if (lot == 0) {
      ASSERT_TRUE(index->erase({x.id}));
      continue;
    }
    if (lot > 1) {
      x.phase = lot == 2 ? job_phase::failed : job_phase::succeeded;
      x.finished = x.submitted;
      ASSERT_TRUE(index->update(x, durability::process));
    }
    all.push_back(x);
  }
  std::sort(all.begin(), all.end(), [](const auto& x, const auto& y) {
    return std::tie(y.submitted, x.id) < std::tie(x.submitted, y.id);
  });
  const auto status_of = [](const job_record& x) {
    return x.phase == job_phase::succeeded ? "success"
           : x.phase == job_phase::failed  ? "failed"
                                           : "pending";
  };
  for (const std::string status : {"", "pending", "success", "failed"})
    for (const std::string type : {"", "simple", "full"}) {
      SCOPED_TRACE(status + " " + type);
      std::vector<int> wanted;
      for (const auto& x : all)
        if ((status.empty() || status_of(x) == status)
            && (type.empty() || x.spec.type == type))
          wanted.push_back(std::stoi(x.id));
      std::vector<int> found;
      auto query = query_of(account, 1, 7);
      query.status = status;
      query.type = type;
      for (std::vector<int> page = listed(query); !page.empty();
           page = listed(query)) {
        EXPECT_LE(page.size(), 7u);
        found.insert(found.end(), page.begin(), page.end());
        ++query.page;
      }
      EXPECT_EQ(found, wanted);
    }
}

TEST_F(JobIndexTest, ListsByTypeAndAccount) {
  auto full = make_record(1, 100);
  full.spec.type = "full";
  insert(full);
  insert(make_record(2, 99));
  auto foreign = make_record(3, 98);
  foreign.spec.account_id = other_account;
  insert(foreign);
  auto query = query_of(account);
  EXPECT_THAT(listed(query), ElementsAre(1, 2));
  query.type = "simple";
  EXPECT_THAT(listed(query), ElementsAre(2));
  query.type = "full";
  EXPECT_THAT(listed(query), ElementsAre(1));
  EXPECT_THAT(listed(query_of(other_account)), ElementsAre(3));
  EXPECT_EQ((*index->list(query_of(other_account)))->total_count, 1u);
}

TEST_F(JobIndexTest, ListsWithTheInterfaces) {
  insert(full_record());
  const auto page = index->list(query_of(account));
  ASSERT_EQ((*page)->jobs.size(), 1u);
  expect_same((*page)->jobs[0], full_record());
}

TEST_F(JobIndexTest, RemembersAPageUntilAJobChanges) {
  insert(make_record(1));
  const auto look
    = [&](const list_query& query) { return *index->list(query); };
  auto before = look(query_of(account));
  const auto unchanged = [&] {
    const auto now = look(query_of(account));
    return std::exchange(before, now) == now;
  };
  EXPECT_TRUE(unchanged());
  EXPECT_NE(look(query_of(account, 2)), before) << "another page";
  EXPECT_NE(look(query_of(account, 1, 7)), before) << "another size";
  EXPECT_NE(look(query_of(other_account)), before) << "another account";
  auto query = query_of(account);
  query.status = "pending";
  EXPECT_NE(look(query), before) << "another status";
  query = query_of(account);
  query.type = "simple";
  EXPECT_NE(look(query), before) << "another type";
  EXPECT_TRUE(unchanged());
  insert(make_record(2));
  EXPECT_FALSE(unchanged());
  EXPECT_EQ(before->jobs.size(), 2u);
  ASSERT_TRUE(
    index->update(make_terminal(1, job_phase::failed, 5), durability::process));
  EXPECT_FALSE(unchanged());
  EXPECT_EQ(before->jobs[0].phase, job_phase::failed);
  ASSERT_TRUE(index->erase({id_of(1)}));
  EXPECT_FALSE(unchanged());
  EXPECT_EQ(before->jobs.size(), 1u);
  EXPECT_TRUE(unchanged());
}

TEST_F(JobIndexTest, RemembersAnyNumberOfPages) {
  for (std::uint32_t page = 1; page < 200; ++page)
    EXPECT_TRUE(index->list(query_of(account, page)));
  insert(make_record(1));
  EXPECT_THAT(listed(query_of(account)), ElementsAre(1));
}

// -- sums ---------------------------------------------------------------------

TEST_F(JobIndexTest, CountsWhatALookAtEveryJobWouldCount) {
  insert(make_record(1));
  insert(make_record(2));
  insert(make_terminal(3, job_phase::succeeded, 5, 30));
  insert(make_terminal(4, job_phase::failed, 5));
  const auto count = [&](const char* status) {
    auto query = query_of(account);
    query.status = status;
    return (*index->list(query))->total_count;
  };
  EXPECT_EQ(count(""), 4u);
  EXPECT_EQ(count("pending"), 2u);
  EXPECT_EQ(index->totals()->savefile_bytes, 30u);
  const auto sealed = make_terminal(1, job_phase::succeeded, 6, 12);
  ASSERT_TRUE(index->update(sealed, durability::host));
  ASSERT_TRUE(index->update(sealed, durability::host)) << "again";
  EXPECT_EQ(count("pending"), 1u);
  EXPECT_EQ(count("success"), 2u);
  EXPECT_EQ(index->totals()->jobs, 4u);
  EXPECT_EQ(index->totals()->savefile_bytes, 42u);
  ASSERT_TRUE(index->erase({id_of(3)}));
  EXPECT_EQ(count("success"), 1u);
  EXPECT_EQ(index->totals()->jobs, 3u);
  EXPECT_EQ(index->totals()->savefile_bytes, 12u);
  EXPECT_FALSE(index->insert(make_record(1))) << "is there already";
  EXPECT_EQ(count(""), 3u);
}

TEST_F(JobIndexTest, CountsTheJobsOfAnOlderSchema) {
  insert(make_record(1));
  insert(make_terminal(2, job_phase::succeeded, 5, 30));
  index.reset();
  {
    SQLite::Database db{file().string(), SQLite::OPEN_READWRITE};
    db.exec("DROP TRIGGER jobs_added; DROP TRIGGER jobs_removed; "
            "DROP TRIGGER jobs_changed; DROP TABLE sums; "
            "DROP TABLE interruptions; DROP TABLE collects; "
            "DROP TRIGGER jobs_added_to_slot; "
            "DROP TRIGGER jobs_removed_from_slot; "
            "DROP TRIGGER jobs_changed_in_slot; DROP TABLE slots; "
            "DROP INDEX jobs_with_files; "
            "ALTER TABLE jobs DROP COLUMN colo_name; "
            "ALTER TABLE interfaces DROP COLUMN clock_correction_ns; "
            "PRAGMA user_version = 2");
  }
  open();
  EXPECT_EQ(index->totals()->jobs, 2u);
  EXPECT_EQ(index->totals()->savefile_bytes, 30u);
  insert(make_record(3));
  EXPECT_EQ((*index->list(query_of(account)))->total_count, 3u);
}

// -- upkeep -------------------------------------------------------------------

TEST_F(JobIndexTest, NamesUnfinishedJobsOldestFirst) {
  insert(make_record(1, 300));
  insert(make_record(2, 100));
  insert(make_terminal(3, job_phase::failed, 50));
  insert(make_terminal(4, job_phase::succeeded, 50));
  auto sealing = make_record(5, 200);
  sealing.phase = job_phase::sealing;
  insert(sealing);
  EXPECT_THAT(*index->unfinished(), ElementsAre(id_of(2), id_of(5), id_of(1)));
}

TEST_F(JobIndexTest, NamesWhatRetentionLooksFor) {
  insert(make_record(1));
  insert(make_terminal(2, job_phase::succeeded, 300, 30));
  insert(make_terminal(3, job_phase::failed, 100));
  auto both = make_terminal(4, job_phase::succeeded, 200, 40);
  both.pcapng_bytes = 44;
  insert(both);
  EXPECT_THAT(numbers(index->finished_before(300, 10)), ElementsAre(3, 4));
  EXPECT_THAT(numbers(index->finished_before(301, 2)), ElementsAre(3, 4));
  EXPECT_THAT(numbers(index->finished_before(100, 10)), IsEmpty());
  EXPECT_THAT(numbers(index->oldest_savefiles(10)), ElementsAre(4, 2));
  EXPECT_THAT(numbers(index->oldest_savefiles(1)), ElementsAre(4));
  EXPECT_THAT(numbers(index->savefiles_behind("", 2)), ElementsAre(1, 2));
  EXPECT_THAT(numbers(index->savefiles_behind(id_of(2), 10)),
              ElementsAre(3, 4));
  EXPECT_EQ(index->savefiles_behind(id_of(3), 1)->at(0).savefile_bytes, 40u);
  const auto totals = index->totals();
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->jobs, 4u);
  EXPECT_EQ(totals->savefile_bytes, 30u + 40u + 44u);
}

TEST_F(JobIndexTest, SumsUpNothing) {
  EXPECT_EQ(index->totals()->jobs, 0u);
  EXPECT_EQ(index->totals()->savefile_bytes, 0u);
}

// -- opening ------------------------------------------------------------------

TEST_F(JobIndexTest, IsNotForEverybodysEyes) {
  insert(make_record(1));
  for (const auto* ending : {"", "-wal", "-shm"}) {
    struct stat status {};
    ASSERT_EQ(::stat((file().string() + ending).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777 & ~0640u, 0u) << ending;
  }
}

TEST_F(JobIndexTest, KeepsAWriteAheadLog) {
  SQLite::Database db{file().string()};
  EXPECT_EQ(db.execAndGet("PRAGMA journal_mode").getString(), "wal");
}

TEST_F(JobIndexTest, RefusesWhatIsNoDatabase) {
  index.reset();
  write_file(file(), "this is no database, but it is long enough to be read as "
                     "the header of one, which has one hundred bytes in all");
  const auto error = refusal();
  EXPECT_EQ(error.code, store_errc::damaged);
  EXPECT_EQ(error.message,
            "open index " + file().string() + ": file is not a database");
}

TEST_F(JobIndexTest, RefusesACorruptIndex) {
  for (int i = 0; i < 200; ++i)
    insert(make_record(i, i));
  index.reset(); // writes the WAL back
  auto bytes = read_file(file());
  ASSERT_GT(bytes.size(), 5u * 4096u);
  bytes.replace(2 * 4096, 3 * 4096, 3 * 4096, '\x55');
  write_file(file(), bytes);
  const auto error = refusal();
  EXPECT_EQ(error.code, store_errc::damaged);
  EXPECT_THAT(error.message, HasSubstr("open index " + file().string()));
}

TEST_F(JobIndexTest, OpensACorruptIndexThatIsCheckedElsewhere) {
  for (int i = 0; i < 200; ++i)
    insert(make_record(i, i));
  index.reset();
  auto bytes = read_file(file());
  bytes.replace(bytes.size() - 4096, 4096, 4096, '\x55');
  write_file(file(), bytes);
  EXPECT_TRUE(job_index::open(file(), capture::posix_files(), {},
                              index_checking::elsewhere));
}

TEST_F(JobIndexTest, RefusesAnotherProgramsDatabase) {
  index.reset();
  std::filesystem::remove(file());
  {
    SQLite::Database db{file().string(),
                        SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    db.exec("CREATE TABLE jobs (id); PRAGMA user_version = 1");
  }
  const auto error = refusal();
  EXPECT_EQ(error.code, store_errc::damaged);
  EXPECT_THAT(error.message, HasSubstr("belongs to another program"));
}

TEST_F(JobIndexTest, RefusesANewerSchema) {
  index.reset();
  SQLite::Database{file().string(), SQLite::OPEN_READWRITE}.exec(
    "PRAGMA user_version = 999");
  const auto error = refusal();
  EXPECT_EQ(error.code, store_errc::damaged);
  EXPECT_THAT(error.message, HasSubstr("schema version 999 is newer"));
}

TEST_F(JobIndexTest, SaysWhyItCannotBeOpened) {
  index.reset();
  std::filesystem::remove(file());
  std::filesystem::create_directory(file());
  EXPECT_THAT(refusal().message,
              HasSubstr("open index " + file().string() + ": unable to open"));
}

TEST_F(JobIndexTest, SaysThatAnotherOneHoldsTheLock) {
  SQLite::Database shell{file().string(), SQLite::OPEN_READWRITE};
  shell.exec("BEGIN IMMEDIATE");
  const auto done = index->insert(make_record(1));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, store_errc::unavailable);
  EXPECT_THAT(done.error().message, HasSubstr("database is locked"));
  shell.exec("ROLLBACK");
  insert(make_record(1));
}

// -- idempotency keys ---------------------------------------------------------

TEST_F(JobIndexTest, LeadsFromAKeyToItsJob) {
  insert_with_key(1, "one");
  insert(make_record(2));
  EXPECT_EQ(recalled("one"), 1);
  EXPECT_EQ(recalled("One"), 0);
  EXPECT_EQ(recalled(""), 0);
  EXPECT_EQ(recalled("one", 0, other_account), 0);
  EXPECT_EQ(count_keys(), 1);
  open();
  EXPECT_EQ(recalled("one"), 1) << "after a restart";
  const auto found = index->recall(account, "one", 0);
  EXPECT_EQ((*found)->spec.packet_limit, 10u);
}

TEST_F(JobIndexTest, KeepsNoKeyWithoutItsJob) {
  insert_with_key(1, "one");
  // The job's row is refused, and its key goes with it.
  EXPECT_FALSE(index->insert(make_record(1), "two"));
  EXPECT_EQ(recalled("two"), 0);
  ASSERT_TRUE(index->erase({id_of(1)}));
  EXPECT_EQ(recalled("one"), 0);
  EXPECT_EQ(count_keys(), 0);
}

TEST_F(JobIndexTest, RecallsNoKeyThatIsTooOld) {
  insert_with_key(1, "one", 1000);
  EXPECT_EQ(recalled("one", 1000), 1);
  EXPECT_EQ(recalled("one", 1001), 0);
  insert_with_key(2, "one", 2000);
  EXPECT_EQ(recalled("one", 1001), 2) << "an old key may be used again";
  ASSERT_TRUE(index->erase({id_of(1)}));
  EXPECT_EQ(recalled("one", 1001), 2) << "and is the new job's then";
}

TEST_F(JobIndexTest, ForgetsOldKeysStepByStep) {
  for (int n = 1; n <= 5; ++n)
    insert_with_key(n, "key " + std::to_string(n), n);
  EXPECT_EQ(*index->forget_keys(4, 2), 2u);
  EXPECT_EQ(*index->forget_keys(4, 2), 1u);
  EXPECT_EQ(*index->forget_keys(4, 2), 0u);
  EXPECT_EQ(recalled("key 3"), 0);
  EXPECT_EQ(recalled("key 4"), 4);
  EXPECT_TRUE(find(1)) << "the jobs stay";
}

TEST_F(JobIndexTest, KeepsTheYoungestKeysOfAnAccount) {
  insert(make_record(1));
  {
    SQLite::Database shell{file().string(), SQLite::OPEN_READWRITE};
    SQLite::Transaction transaction{shell};
    SQLite::Statement row{shell,
                          "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)"};
    for (int i = 0; i < static_cast<int>(job_index::max_keys_per_account);
         ++i) {
      row.bind(1, account);
      row.bind(2, "key " + std::to_string(i));
      row.bind(3, id_of(1));
      row.bind(4, i);
      row.exec();
      row.reset();
    }
    transaction.commit();
  }
  auto theirs = make_record(2);
  theirs.spec.account_id = other_account;
  ASSERT_TRUE(index->insert(theirs, "key"));
  EXPECT_EQ(recalled("key 0"), 1) << "each account has its own share";
  insert_with_key(3, "new", 1'000'000);
  EXPECT_EQ(recalled("new"), 3);
  EXPECT_EQ(recalled("key 0"), 0) << "the oldest gives way";
  EXPECT_EQ(recalled("key 1"), 1);
  EXPECT_EQ(count_keys(),
            static_cast<int>(job_index::max_keys_per_account) + 1);
}

// -- what a restart must not forget -------------------------------------------

TEST_F(JobIndexTest, KeepsAStopWhateverAnUpdateSays) {
  insert(make_record(1));
  insert(make_record(2));
  insert(make_terminal(3, job_phase::succeeded, 5));
  ASSERT_TRUE(index->list(query_of(account)));
  for (const int n : {1, 2, 3, 4})
    ASSERT_TRUE(index->request_stop(account, id_of(n)));
  ASSERT_TRUE(index->request_stop(other_account, id_of(2)));
  auto late = make_record(1);
  late.phase = job_phase::capturing;
  ASSERT_TRUE(index->update(late, durability::process));
  open();
  EXPECT_TRUE(find(1)->stop_requested);
  EXPECT_EQ(find(1)->phase, job_phase::capturing);
  EXPECT_FALSE(find(3)->stop_requested) << "it had ended";
}

TEST_F(JobIndexTest, NotesTheStopOfTheAccountsOwnJobsOnly) {
  insert(make_record(1));
  ASSERT_TRUE(index->list(query_of(account)));
  ASSERT_TRUE(index->request_stop(other_account, id_of(1)));
  EXPECT_FALSE(find(1)->stop_requested);
  ASSERT_TRUE(index->request_stop(account, id_of(1)));
  EXPECT_TRUE((*index->list(query_of(account)))->jobs.at(0).stop_requested)
    << "no page from before";
}

TEST_F(JobIndexTest, CountsAJobUntilItIsTooOldOrRefunded) {
  insert(make_record(1, 10));
  insert(make_record(2, 30));
  auto theirs = make_record(3, 20);
  theirs.spec.account_id = other_account;
  insert(theirs);
  insert(make_record(4, 40));
  ASSERT_TRUE(index->erase({id_of(2)}));
  ASSERT_TRUE(index->refund(id_of(4)));
  ASSERT_TRUE(index->refund(id_of(5))) << "there need not be one";
  open();
  const auto counted = [this](unix_ns since) {
    std::vector<std::pair<std::string, unix_ns>> result;
    const auto found = index->collects_since(since);
    EXPECT_TRUE(found) << found.error().message;
    for (const auto& x : *found)
      result.emplace_back(x.account_id, x.moment);
    return result;
  };
  using moment = std::pair<std::string, unix_ns>;
  EXPECT_THAT(counted(0),
              ElementsAre(moment{account, 10}, moment{other_account, 20},
                          moment{account, 30}));
  EXPECT_THAT(counted(20),
              ElementsAre(moment{other_account, 20}, moment{account, 30}));
  EXPECT_EQ(*index->forget_collects(30, 1), 1u);
  EXPECT_EQ(*index->forget_collects(30, 5), 1u);
  EXPECT_THAT(counted(0), ElementsAre(moment{account, 30}));
}

TEST_F(JobIndexTest, CountsNoJobThatIsNotAdded) {
  insert(make_record(1, 10));
  EXPECT_FALSE(index->insert(make_record(1, 20)));
  EXPECT_EQ(index->collects_since(0)->size(), 1u);
}

// -- earlier versions of the schema -------------------------------------------

TEST_F(JobIndexTest, BringsAnIndexOfVersionOneUpToDate) {
  const auto current = schema_version();
  index.reset();
  std::filesystem::remove(file());
  {
    SQLite::Database old{file().string(),
                         SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    old.exec(read_file("tests/actors/index_version_1.sql"));
  }
  ASSERT_EQ(schema_version(), 1);
  open();
  EXPECT_EQ(schema_version(), current);
  const auto running = index->find("9ee7c0b42f46f3e6b36277641bd76904");
  ASSERT_TRUE(running && *running);
  EXPECT_EQ((*running)->phase, job_phase::capturing);
  EXPECT_EQ((*running)->interfaces.at(0).interface, "v0");
  const auto ended = index->find("a8753226a4ceaa194f85adb57bef669b");
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->phase, job_phase::succeeded);
  EXPECT_EQ((*ended)->spec.filter.protocol, 17);
  EXPECT_EQ((*ended)->pcapng_bytes, 156u);
  EXPECT_EQ((*index->list(query_of(account)))->total_count, 2u);
  EXPECT_EQ(index->totals()->jobs, 2u);
  EXPECT_EQ(index->totals()->savefile_bytes, 180u);
  EXPECT_EQ(count_keys(), 0);
  insert_with_key(1, "one");
  open();
  EXPECT_EQ(recalled("one"), 1) << "and stays so";
  EXPECT_EQ(index->totals()->jobs, 3u);
}

// SQLite answers "wal" before it has written that down: when the end of this
// failed, the index went on with a journal whose removal nobody syncs.
TEST(JobIndexOnSimulatedDisk, DoesNotGoOnWithoutItsWal) {
  simulated_disk disk{1};
  auto failures = 0;
  disk.set_script([&](disk_call call, const std::string& path) {
    return call == disk_call::sync && path == "/index-journal"
               && failures++ == 0
             ? EIO
             : 0;
  });
  EXPECT_FALSE(job_index::open("/index", disk.files(), disk.vfs()));
  EXPECT_EQ(failures, 1);
  auto opened = job_index::open("/index", disk.files(), disk.vfs());
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE((*opened)->insert(make_record(1)));
  EXPECT_TRUE(disk.contents("/index-wal"));
}

/// A change of the index that is synced.
using change_of_index = stored<void> (*)(job_index&);

stored<void> insert_one(job_index& index) {
  return index.insert(make_record(2));
}

stored<void> stop_one(job_index& index) {
  return index.request_stop(account, id_of(1));
}

stored<void> refund_one(job_index& index) {
  return index.refund(id_of(1));
}

// A commit that is not synced, then a sync that fails: what that has lost lies
// in the WAL before all that is answered afterwards.
void keeps_what_is_answered_after_a_failed_sync(std::uint64_t seed,
                                                bool by_the_next_process,
                                                change_of_index change) {
  simulated_disk disk{seed};
  stored<std::unique_ptr<job_index>> index;
  const auto open = [&] {
    if (index)
      index->reset();
    disk.start();
    index = job_index::open("/index", disk.files(), disk.vfs());
    ASSERT_TRUE(index) << index.error().message;
  };
  open();
  ASSERT_TRUE((*index)->insert(make_record(1)));
  ASSERT_TRUE((*index)->update(make_record(1), durability::process));
  disk.set_rates({0, 0, 0, 1});
  EXPECT_FALSE(change(**index));
  EXPECT_FALSE((*index)->insert(make_record(3))) << "the WAL is in doubt still";
  disk.set_rates({});
  if (by_the_next_process) {
    disk.crash(crash_kind::process);
    open();
  }
  ASSERT_TRUE((*index)->insert(make_record(4)));
  disk.crash(crash_kind::host);
  open();
  EXPECT_TRUE(*(*index)->find(id_of(1)));
  EXPECT_TRUE(*(*index)->find(id_of(4)));
}

TEST(JobIndexOnSimulatedDisk, KeepsWhatIsAnsweredAfterASyncThatFailed) {
  for (std::uint64_t seed = 0; seed < 50 && !testing::Test::HasFailure();
       ++seed)
    for (const auto by_the_next_process : {false, true})
      for (const auto change : {insert_one, stop_one, refund_one}) {
        SCOPED_TRACE(seed);
        keeps_what_is_answered_after_a_failed_sync(seed, by_the_next_process,
                                                   change);
      }
}

TEST_F(JobIndexTest, BringsAnIndexOfVersionThreeUpToDate) {
  const auto current = schema_version();
  index.reset();
  std::filesystem::remove(file());
  {
    SQLite::Database old{file().string(),
                         SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    old.exec(read_file("tests/actors/index_version_3.sql"));
  }
  ASSERT_EQ(schema_version(), 3);
  open();
  EXPECT_EQ(schema_version(), current);
  auto running = index->find("c9725cda7c050866d8a254bd633cdbb9");
  ASSERT_TRUE(running && *running);
  EXPECT_EQ((*running)->phase, job_phase::capturing);
  EXPECT_THAT((*running)->interruptions, IsEmpty());
  EXPECT_THAT(*index->collects_since(0), IsEmpty());
  EXPECT_EQ((*index->recall(account, "the-key", 0))->id, (*running)->id);
  EXPECT_EQ(index->totals()->savefile_bytes, 180u);
  // What is new can be written.
  (*running)->interruptions = {{1, {}}};
  ASSERT_TRUE(index->update(**running, durability::host));
  insert(make_record(1));
  open();
  running = index->find((*running)->id);
  ASSERT_TRUE(running && *running);
  EXPECT_EQ((*running)->interruptions.at(0).from, 1);
  EXPECT_EQ(index->collects_since(0)->size(), 1u);
}

TEST_F(JobIndexTest, BringsAnIndexOfVersionFourUpToDate) {
  const auto current = schema_version();
  index.reset();
  std::filesystem::remove(file());
  {
    SQLite::Database old{file().string(),
                         SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE};
    old.exec(read_file("tests/actors/index_version_4.sql"));
  }
  ASSERT_EQ(schema_version(), 4);
  open();
  EXPECT_EQ(schema_version(), current);
  const auto page = index->list(query_of(account));
  ASSERT_TRUE(page && (*page)->jobs.size() == 2);
  auto running = (*page)->jobs.at(0);
  EXPECT_EQ(running.id, "c9725cda7c050866d8a254bd633cdbb9");
  EXPECT_EQ(running.interruptions.size(), 1u);
  EXPECT_EQ(running.spec.colo_name, "") << "all nodes";
  for (const auto& x : running.interfaces)
    EXPECT_EQ(x.clock_correction_ns, 0);
  EXPECT_EQ(index->collects_since(0)->size(), 1u);
  EXPECT_EQ(index->oldest_savefiles(5)->size(), 1u);
  running.phase = job_phase::failed;
  ASSERT_TRUE(index->update(running, durability::host));
  auto query = query_of(account);
  query.status = "failed";
  EXPECT_EQ((*index->list(query))->jobs.size(), 1u) << "and goes on so";
}

TEST_F(JobIndexTest, SurvivesAFullDisk) {
  tiny_disk disk{256u << 10};
  if (!disk.mounted())
    GTEST_SKIP() << "mounting a file system needs root";
  auto opened = job_index::open(disk.path() / "index.sqlite");
  ASSERT_TRUE(opened) << opened.error().message;
  ASSERT_TRUE((*opened)->insert(make_record(0)));
  disk.fill(0);
  int inserted = 1;
  stored<void> done;
  for (; done && inserted < 10'000; ++inserted)
    done = (*opened)->insert(make_record(inserted));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, store_errc::full) << done.error().message;
  EXPECT_THAT(done.error().message, HasSubstr("full"));
  EXPECT_TRUE(*(*opened)->find(id_of(0))) << "reading goes on";
  disk.empty();
  EXPECT_TRUE((*opened)->insert(make_record(inserted)));
  EXPECT_TRUE(*(*opened)->find(id_of(inserted)));
}

} // namespace edgecap::test
