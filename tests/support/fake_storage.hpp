#pragma once

#include "actors/interfaces.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace edgecap::test {

/// What a fake storage holds and what it is told to get wrong. Shared between
/// the test and the actor, which run in one thread.
struct storage_script {
  // -- faults -----------------------------------------------------------------

  bool fail_insert = false;
  bool fail_recall = false;
  /// Inserts are written, but kept unanswered until the actor gets `work`.
  bool hold_inserts = false;
  bool fail_seal = false;
  bool fail_fail = false;
  /// Instead, it says that there is no such job.
  bool fail_fail_unknown = false;
  /// Appends that succeed before one fails; negative: all succeed.
  int appends_until_failure = -1;
  errc append_failure = errc::storage_unavailable; ///< What they fail with.
  /// Appends are kept unanswered until the actor gets `work`.
  bool hold_appends = false;
  /// Seals are kept unanswered until the actor gets `work`.
  bool hold_seals = false;
  /// Nobody's `fail` is answered.
  bool hold_fails = false;
  /// Erases are done, but not answered.
  bool hold_erases = false;
  /// Jobs that retention removes at the next `sweep`.
  std::vector<std::string> expiring;

  bool fail_stop = false;
  /// What an earlier process left.
  resumption left;

  // -- contents ---------------------------------------------------------------

  std::map<std::string, job_record> records;
  /// Ids of the jobs that idempotency keys lead to, by account and key.
  std::map<std::pair<std::string, std::string>, std::string> keys;
  /// Jobs that no longer count against an allowance, in order.
  std::vector<std::string> refunded;
  /// Packets of each run of each job.
  std::map<std::string, std::map<std::uint32_t, std::uint64_t>> runs;
  std::vector<caf::typed_response_promise<caf::ok_atom>> held;
  std::vector<caf::typed_response_promise<caf::ok_atom>> held_inserts;
  std::vector<std::pair<caf::typed_response_promise<job_record>, job_record>>
    held_seals;
  std::vector<caf::typed_response_promise<job_record>> held_fails;
  std::vector<caf::typed_response_promise<caf::ok_atom>> held_erases;

  /// Packets stored for a job.
  std::uint64_t packets(const std::string& id) const;
};

/// The STORAGE protocol over memory, with faults on demand.
storage_actor::behavior_type fake_storage(storage_actor::pointer self,
                                          std::shared_ptr<storage_script> st);

} // namespace edgecap::test
