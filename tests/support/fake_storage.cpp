#include "tests/support/fake_storage.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace edgecap::test {

namespace {

caf::error broken(const char* what) {
  return make_error(errc::storage_unavailable,
                    std::string{what} + ": Input/output error");
}

caf::error unknown(const std::string& id) {
  return make_error(errc::unknown_job, "there is no capture " + id);
}

} // namespace

std::uint64_t storage_script::packets(const std::string& id) const {
  const auto i = runs.find(id);
  if (i == runs.end())
    return 0;
  return std::accumulate(
    i->second.begin(), i->second.end(), std::uint64_t{0},
    [](std::uint64_t sum, const auto& run) { return sum + run.second; });
}

storage_actor::behavior_type fake_storage(storage_actor::pointer self,
                                          std::shared_ptr<storage_script> st) {
  const auto find
    = [st](const std::string& account, const std::string& id) -> job_record* {
    const auto i = st->records.find(id);
    return i == st->records.end() || i->second.spec.account_id != account
             ? nullptr
             : &i->second;
  };
  const auto sink = std::make_shared<expiry_sink_actor>();
  return {
    [st](atom::resume) { return std::exchange(st->left, {}); },
    [self, st](atom::insert, const job_record& record,
               const std::string& key) -> caf::result<caf::ok_atom> {
      if (st->fail_insert)
        return broken("insert");
      st->records[record.id] = record;
      if (!key.empty())
        st->keys[{record.spec.account_id, key}] = record.id;
      if (st->hold_inserts) {
        auto promise = self->make_response_promise<caf::ok_atom>();
        st->held_inserts.push_back(promise);
        return promise;
      }
      return caf::ok_atom_v;
    },
    [st, find](atom::recall, const std::string& account,
               const std::string& key) -> caf::result<job_record> {
      if (st->fail_recall)
        return broken("recall");
      const auto i = st->keys.find({account, key});
      if (i == st->keys.end())
        return unknown("of this key");
      if (auto* record = find(account, i->second))
        return *record;
      return unknown(i->second);
    },
    [](atom::progress, const job_record&, std::uint32_t) {
      // Matters after a crash only.
    },
    [st, find](atom::stop, const std::string& account,
               const std::string& id) -> caf::result<job_record> {
      if (st->fail_stop)
        return broken("stop");
      auto* record = find(account, id);
      if (record == nullptr)
        return unknown(id);
      record->stop_requested = true;
      return *record;
    },
    [st](atom::refund, const std::string& id) { st->refunded.push_back(id); },
    [self,
     st](atom::append, const std::string& id, std::uint32_t run,
         const capture::packet_batch& batch) -> caf::result<caf::ok_atom> {
      if (st->appends_until_failure == 0)
        return make_error(st->append_failure, "append: Input/output error");
      if (st->appends_until_failure > 0)
        --st->appends_until_failure;
      st->runs[id][run] += batch.packets();
      if (!st->hold_appends)
        return caf::ok_atom_v;
      auto promise = self->make_response_promise<caf::ok_atom>();
      st->held.push_back(promise);
      return promise;
    },
    [self, st](atom::seal,
               const job_record& record) -> caf::result<job_record> {
      if (st->fail_seal)
        return broken("seal");
      if (st->hold_seals) {
        auto promise = self->make_response_promise<job_record>();
        st->held_seals.emplace_back(promise, record);
        return promise;
      }
      auto sealed = record;
      const auto lost = record.reason == end_reason::interface_lost
                        || record.reason == end_reason::node_lost
                        || record.reason == end_reason::storage_full
                        || record.reason == end_reason::quota
                        || record.reason == end_reason::shutdown;
      sealed.phase = lost && st->packets(record.id) == 0 ? job_phase::failed
                                                         : job_phase::succeeded;
      st->records[record.id] = sealed;
      return sealed;
    },
    [self, st](atom::fail,
               const job_record& record) -> caf::result<job_record> {
      if (st->hold_fails) {
        auto promise = self->make_response_promise<job_record>();
        st->held_fails.push_back(promise);
        return promise;
      }
      if (st->fail_fail_unknown)
        return unknown(record.id);
      if (st->fail_fail)
        return broken("fail");
      auto failed = record;
      failed.phase = job_phase::failed;
      st->records[record.id] = failed;
      return failed;
    },
    [find](atom::get, const std::string& account,
           const std::string& id) -> caf::result<job_record> {
      if (auto* record = find(account, id))
        return *record;
      return unknown(id);
    },
    [st](atom::list, const list_query& query) -> caf::result<shared_job_page> {
      job_page page;
      for (const auto& [id, record] : st->records)
        if (record.spec.account_id == query.account_id)
          page.jobs.push_back(record);
      std::sort(page.jobs.begin(), page.jobs.end(),
                [](const job_record& x, const job_record& y) {
                  return x.submitted > y.submitted;
                });
      page.total_count = page.jobs.size();
      return std::make_shared<const job_page>(std::move(page));
    },
    [self, st, find, sink](atom::erase, const std::string& account,
                           const std::string& id) -> caf::result<caf::ok_atom> {
      if (find(account, id) == nullptr)
        return unknown(id);
      st->records.erase(id);
      if (*sink)
        self->send(*sink, atom::expired_v, id);
      if (!st->hold_erases)
        return caf::ok_atom_v;
      st->held_erases.push_back(self->make_response_promise<caf::ok_atom>());
      return st->held_erases.back();
    },
    [find](atom::download, const std::string& account, const std::string& id,
           savefile_format) -> caf::result<savefile> {
      if (find(account, id) == nullptr)
        return unknown(id);
      return make_error(errc::no_savefile, "a fake storage has no files");
    },
    [st](atom::stats) -> caf::result<storage_stats> {
      storage_stats stats;
      stats.jobs = st->records.size();
      return stats;
    },
    [](atom::limits, const storage_limits&) { return caf::ok_atom_v; },
    [](atom::inspect) {},
    [](atom::damaged, const std::string&) {},
    [](atom::renew) {},
    [st](atom::work) {
      // A promise may be answered by its own actor only.
      for (auto* promises : {&st->held, &st->held_inserts})
        for (auto& promise : std::exchange(*promises, {}))
          promise.deliver(caf::ok_atom_v);
      for (auto& [promise, record] : std::exchange(st->held_seals, {})) {
        record.phase = job_phase::succeeded;
        st->records[record.id] = record;
        promise.deliver(record);
      }
    },
    [sink](atom::expired, const expiry_sink_actor& who) { *sink = who; },
    [self, st, sink](atom::sweep, std::uint64_t) {
      for (const auto& id : std::exchange(st->expiring, {})) {
        st->records.erase(id);
        self->send(*sink, atom::expired_v, id);
      }
    },
  };
}

} // namespace edgecap::test
