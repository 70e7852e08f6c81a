#pragma once

#include "actors/interfaces.hpp"
#include "actors/job_types.hpp"
#include "actors/live_feed.hpp"
#include "actors/ticker.hpp"

#include <caf/actor_clock.hpp>
#include <caf/error.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace edgecap {

/// Waits and limits of a job.
struct job_options {
  /// Bytes of batches that a sampler may have under way.
  std::uint64_t credit_bytes = 1u << 20;
  /// All samplers of a job share what so many would have, but for the least of
  /// each.
  std::uint32_t credit_shares = 64;
  std::uint64_t least_credit_bytes = 64u << 10;
  /// Samplers of one job; interfaces beyond are reported, not captured on.
  std::uint32_t max_samplers = 4096;
  /// Lines of one job, over all of its lives; what is beyond is counted. At
  /// most `max_runs_per_job`.
  std::uint32_t max_runs = max_runs_per_job;
  /// Those who may follow one job at a time.
  std::uint32_t max_followers = 8;
  /// For samplers to hand over what they have, after the job ended.
  std::chrono::milliseconds drain_timeout{4000};
  /// From news to the report to the registry that has them, and so between two
  /// of these.
  std::chrono::milliseconds progress_interval{250};
  /// Between two questions to a sampler that answers although its counters are
  /// the same, as those of older nodes always do.
  std::chrono::milliseconds old_node_interval{1000};
  /// Whether nodes whose clocks differ from ours are to stamp as ours would.
  bool correct_clocks = false;
  /// Now, for the times of a record; the actor clock has no date.
  std::function<unix_ns()> wall_clock;
};

/// Says what is wrong with the options, if anything.
caf::error validate(const job_options& options);

/// Handles that a job works with.
struct job_peers {
  job_registry_actor registry;
  storage_actor storage;
  fleet_actor fleet;
};

/// State of a JOB.
struct job_state {
  // -- member types -----------------------------------------------------------

  /// What the job knows of one of its samplers; its index is the run.
  struct share {
    sampler_actor handle; ///< Empty while the node spawns it.
    interface_report report;
    bool done = false;                             ///< No packet will follow.
    bool asked = false;                            ///< For its counters.
    caf::actor_clock::time_point not_asked_before; ///< For them.
    std::uint64_t credit_bytes = 0;                ///< That it began with.
    std::uint64_t owed_bytes = 0; ///< Credit that it is to get back.
    /// Credit for what storage has not answered yet.
    std::uint64_t unanswered_bytes = 0;
    /// What it captured and storage had no room for.
    std::uint64_t refused_packets = 0;
  };

  // -- initialization ---------------------------------------------------------

  explicit job_state(job_actor::pointer self);

  /// Takes over an accepted job and arms its time limit.
  void init(job_record accepted, std::chrono::milliseconds time_left,
            job_peers handles, job_options opts);

  // -- starting ---------------------------------------------------------------

  /// Asks the fleet for the nodes.
  void find_nodes();

  /// Asks a node for its interfaces: one that is there from the start, or one
  /// that has joined since.
  void survey(const node_offer& node);

  /// Asks a node for a sampler on each interface that it named.
  void start_samplers(const node_offer& node, std::vector<sampler_spec> specs);

  // -- capturing --------------------------------------------------------------

  void sampler_opened(std::uint32_t run, capture::link_type link);

  /// Counts a batch, cuts it at the packet limit and has it stored.
  void take_batch(std::uint32_t run, const capture::packet_batch& batch);

  /// Has storage append a batch, which was counted, to `run`, and gives the
  /// sampler that credit back when it is answered.
  void store(std::uint32_t run, const capture::packet_batch& batch,
             std::uint64_t credit_bytes);

  /// Ends the job if storage has answered nothing for `request_timeout`; what
  /// it answers later does not count.
  void look_at_appends();

  /// The sampler of `run` will deliver no more.
  void sampler_done(std::uint32_t run, const interface_report& last);

  /// The sampler died without a word.
  void sampler_died(const caf::actor_addr& source, const caf::error& why);

  /// Nothing is to be expected of a node, until it joins again: no packets, and
  /// no answer.
  void lose_node(const std::string& node, const std::string& why);

  /// Has `who` see the packets to come.
  caf::result<caf::ok_atom> follow(follower_ptr who);

  // -- ending -----------------------------------------------------------------

  /// Ends capturing, for the first reason given.
  void end(end_reason reason, const std::string& message = {});

  /// A phase has lasted as long as it may; `pending`, as long as followers wait
  /// for it.
  void expire(job_phase phase);

  /// Goes on to sealing when nothing is under way any more.
  void seal_if_drained();

  /// Reports the terminal record and quits.
  /// @param durable Whether storage has it.
  void finish(job_record terminal, bool durable);

  // -- reporting --------------------------------------------------------------

  /// Sends the record as it is now to the registry.
  void publish();

  /// There is something to publish.
  void note_news();

  /// Has the job tick after so long, if not earlier. A job that has
  /// nothing new does not: thousands of them may wait for their packets.
  void tick_in(std::chrono::milliseconds time);

  /// Publishes if there is something new, and asks the samplers for more.
  void tick();

  /// Has storage note the shares from `first_new` to `end`, so that a crash
  /// does not lose the names of their runs.
  void note_shares(std::size_t first_new, std::size_t end);

  /// Publishes what is new of a share: at once, or with the next tick if the
  /// job has so many that each record is long.
  void publish_share();

  /// Asks the samplers for their counters, as soon as these are others.
  void refresh_counters();

  /// The sampler of `run` has answered that.
  void take_counters(std::size_t run, const interface_report& now);

  // -- member variables -------------------------------------------------------

  job_actor::pointer self;
  job_record record;
  job_peers peers;
  job_options options;
  std::vector<share> shares;
  /// The first run of this process; those before it were interrupted.
  std::size_t first_run = 0;
  /// Nodes that have not said yet which interfaces they have.
  std::set<std::string> surveys_pending;
  /// Nodes that could not say it, each with the reason.
  std::map<std::string, std::string> surveys_failed;
  /// How often each node has joined: what an earlier survey still finds is of
  /// the past.
  std::map<std::string, std::uint64_t> joins;
  /// Nodes that the job captured on, or was about to, and that are lost, each
  /// with what is known of that. They may come back while the job has time.
  std::map<std::string, std::string> away;
  /// Interfaces that have no line, for the job has as many as it may.
  std::uint64_t left_out = 0;
  std::size_t appends_pending = 0;
  /// The last time that storage answered one, or that there was one to answer.
  caf::actor_clock::time_point append_answered;
  bool appends_watched = false;       ///< A look at that is under way.
  std::uint32_t appends_given_up = 0; ///< How often all pending ones were.
  bool surveyed = false;
  bool patient = true; ///< Followers wait for interfaces that are not open.
  std::size_t next_asked = 0; ///< Where the look at counters goes on.
  bool has_news = false;      ///< Since the record was published.
  ticker ticks;
  live_feed feed;
  /// What recovery had to say of the job, if an earlier process began it.
  std::string inherited_message;
  std::string last_error; ///< Of the youngest failed survey or sampler.

  static inline const char* name = "job";

private:
  bool running() const;
  bool chosen(const node_offer& node) const;
  std::uint64_t credit_of_each(std::size_t samplers) const;
  bool survey_answered(const std::string& node, std::uint64_t join);
  void survey_failed(const std::string& node, const caf::error& why);
  void start_sampler(const node_offer& node, sampler_spec spec,
                     std::uint32_t run);
  void mark_failed(share& x, std::string why);
  void give_up(share& x, std::string why);
  void ask_later(share& x);
  void give_back(std::uint32_t run, std::uint64_t bytes);
  void watch_appends(caf::timespan time);
  void stored(std::uint32_t run, std::uint64_t credit_bytes);
  void not_stored(std::uint32_t run, const capture::packet_batch& batch,
                  const caf::error& why);
  bool merge_counters(share& x, const interface_report& from);
  void interface_settled();
  void go_on();
  void say(const std::string& message);
  void end_if_alone();
  bool alone() const;
  std::string missing_nodes() const;
  std::string interfaces_left_out() const;
  void append_message(const std::string& text);
  void seal();
};

/// Runs one accepted capture to its end: supervises a sampler per interface,
/// cuts at the limits, has the packets stored and sealed, reports to the
/// registry and quits.
/// @param accepted The durable record, still `pending`, or `pending` again: the
///        interfaces in it were captured on by an earlier process.
/// @param time_left Of the time limit, which runs from acceptance.
job_actor::behavior_type job(job_actor::stateful_pointer<job_state> self,
                             job_record accepted,
                             std::chrono::milliseconds time_left,
                             job_peers peers, job_options options);

} // namespace edgecap
