#pragma once

#include "actors/errors.hpp"
#include "actors/job_types.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/plan.hpp"
#include "tests/simulation/timeline.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace edgecap::simulation {

/// Something that a client asked of the engine.
struct request {
  operation op;
  std::string target;     ///< Id of the job that it is about, if any.
  std::uint32_t life = 0; ///< Number of the process that was asked.
  instant sent{0};
  /// Empty until there is an answer; a lost process gives none.
  std::optional<instant> answered;
  bool created = false; ///< A new job was the answer.
  bool refused = false; ///< It was told that nothing came of it.
};

using request_ptr = std::shared_ptr<request>;

/// What a correct engine may answer, given what it answered before and what was
/// done to it. Where several answers are right, because requests race or an
/// answer was lost, it allows them all until one is seen.
///
/// It knows the engine by its answers, by the packets that sources delivered
/// and by the faults that struck, never by its state.
class model {
public:
  /// Told of each broken rule.
  using violation = std::function<void(const char* rule, std::string text)>;

  model(const setup& how, timeline& time, const network& host,
        violation violated);

  // -- what is done to the engine ---------------------------------------------

  void process_started();

  /// @param host Whether the host went down with it.
  void process_ended(bool host);

  /// The process was asked to end in order.
  void stopping();

  /// Something that may make answers late or wrong until `until`.
  void trouble(instant until);

  /// Storage refused something of a job.
  void storage_refused(const std::string& id);

  /// Storage refused packets of a job.
  void append_refused(const std::string& id);

  /// Storage may have answered nobody for so long.
  void storage_was_away(instant from, instant to);

  /// A call to the disk failed; nobody says whose.
  void disk_failed();

  /// Others have filled the disk, but for so much.
  void disk_is_full(std::uint64_t free_bytes);

  /// So much of a full disk is free now.
  void disk_has(std::uint64_t free_bytes);

  /// It is as large as it was.
  void disk_has_room();

  /// A savefile is not whole any more, when the next process looks.
  void savefile_lost(const std::string& id);

  void job_killed(const std::string& id);
  void sampler_killed(const std::string& id);

  /// A node did not answer, or died.
  void node_lost();

  /// An edge may have been without its collector for so long.
  void edge_was_away(instant from, instant to);

  // -- what clients ask and are told ------------------------------------------

  void asked(const request_ptr& x);
  void created(request& x, const creation& what);
  void told(request& x, const job_record& record); ///< For get and stop.
  void listed(request& x, const job_page& page);
  void erased(request& x);
  void downloaded(request& x, const std::string& bytes);
  /// The client of a download holds the file until then.
  void download_goes_on(const std::string& id, instant until);
  void told_stats(request& x, const engine_stats& stats);
  void refused(request& x, const failure& why);

  // -- while it runs ----------------------------------------------------------

  /// No source waits for credit for ever.
  void look_at_sources();

  /// A job that captures has somebody who does.
  void look_at_running(const job_record& record, std::size_t samplers);

  // -- in the end -------------------------------------------------------------

  /// Everything has come to rest, and this is what the engine then says.
  /// @param everything All jobs of all accounts.
  /// @param calm Whether nothing went wrong since the process started, and no
  ///        job was created.
  void at_rest(const std::vector<job_record>& everything, bool calm);

  // -- looking ----------------------------------------------------------------

  /// Whether anything went wrong since the present process started.
  bool troubled() const;

  /// Ids of jobs that clients know of, in a stable order.
  std::vector<std::string> known_jobs() const;

  /// The account of a job that is known.
  const std::string& account_of(const std::string& id) const;

  /// Whether its savefile must be there.
  bool has_savefile(const std::string& id) const;

  /// Whether it was taken away behind the engine's back.
  bool lost_its_savefile(const std::string& id) const;

private:
  /// What is known of one job.
  struct job_view {
    job_record last;
    std::optional<job_record> terminal;
    instant heard_of{0};
    instant end_heard_of{0};
    instant last_heard_of{-1};
    std::uint32_t last_life = 0;
    /// The last process that was seen to let it capture on, or begin.
    std::uint32_t captured_in = 0;
    std::optional<instant> erase_sent;
    std::optional<instant> gone_since;
    std::optional<instant> held_until; ///< By downloads.
    std::uint32_t held_in = 0;         ///< Number of the process.
    /// Of a savefile that was lost, and may have been in the way before.
    std::uint64_t lost_bytes = 0;
    bool stop_sent = false;
    std::optional<std::uint32_t> stopped_in; ///< Process that answered a stop.
  };

  /// What was done to one job, whether anybody knows it or not.
  struct job_facts {
    std::optional<std::uint32_t> append_refused_in; ///< Number of the process.
    bool storage_refused = false;
    bool killed = false;
    bool sampler_killed = false;
    bool savefile_lost = false;
  };

  /// A time between two processes.
  struct absence {
    instant since;
    capture::unix_ns from; ///< The same as a date.
    capture::unix_ns to;   ///< When the next process started.
    bool host;             ///< The host went down with the process.
  };

  /// A time in which the disk was full.
  struct full_time {
    instant from;
    instant to;
    std::uint64_t most_free; ///< At any moment of it, in bytes.
  };

  void judge(const request& x, const job_record& record);
  void judge_shape(const job_record& x);
  void judge_first_line(const job_record& x);
  void judge_interruptions(job_view& view, const job_record& record);
  void judge_stated_gap(const job_record& record, const absence& gone) const;
  void judge_gap_is_empty(const job_record& record, capture::unix_ns stamp);
  void judge_progress(const request& x, job_view& view,
                      const job_record& record);
  void judge_end(const job_view& view, const job_record& record);
  void judge_reason(const job_view& view, const job_record& record);
  void judge_interfaces(const job_record& record);
  void judge_savefile(const job_view& view, const std::string& bytes);
  void judge_creation_rate(const request& x);
  void judge_refused_create(const request& x, const failure& why);
  void judge_rate_limited(const request& x);
  void judge_quota_refusal(const request& x);
  void judge_quotas(const request& x) const;
  void judge_floor(const request& x) const;
  void judge_kept(const std::vector<job_record>& everything, bool calm) const;
  void judge_refused(const request& x, const failure& why);
  job_view& view_of(const request& x, const job_record& record);
  void may_exist(const job_record& record);
  std::vector<const source_log*> sources_of(const job_record& record) const;
  bool may_be_gone(const job_view& view) const;
  bool retention_may_take(const job_view& view) const;
  bool may_be_over_bytes(const std::string& account, instant begin) const;
  std::uint64_t most_bytes(const std::string* account, instant begin) const;
  std::uint64_t most_bytes_of(const job_spec& spec) const;
  bool disk_full_since(instant begin) const;
  bool excused(const request& x) const;
  bool undisturbed(const job_record& record) const;
  bool disk_failed_since(instant begin) const;
  bool storage_away_since(instant begin) const;
  bool edge_away_since(instant begin) const;
  bool crashed_since(instant begin) const;
  instant begin_of(const job_record& record) const;
  void violate(const char* rule, const std::string& text) const;

  const setup& setup_;
  timeline& time_;
  const network& host_;
  violation violated_;
  std::map<std::string, job_view> jobs_;
  std::map<std::string, job_facts> facts_;
  std::vector<request_ptr> creates_;
  std::uint32_t life_ = 0;
  /// Jobs of earlier processes that went on in this one, as far as is known.
  std::uint64_t resumed_ = 0;
  instant life_began_{0};
  bool stopping_ = false;
  bool host_crashed_ = false;
  instant troubled_until_{-1};
  std::vector<absence> absences_; ///< That with index 0 ended life 1.
  std::vector<std::pair<instant, instant>> storage_away_;
  std::vector<std::pair<instant, instant>> edges_away_;
  std::vector<instant> disk_failures_;
  std::vector<full_time> disk_full_; ///< The last may go on.
  std::vector<instant> nodes_lost_;
  std::vector<instant> stops_; ///< Of processes, in order.
};

} // namespace edgecap::simulation
