#pragma once

#include "actors/messages.hpp"

#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>

// The only file with typed handles: the wiring diagram of the engine, in the
// order in which data flows. Roles are WRITTEN IN CAPITALS. Requests have a
// finite timeout at their sender, but for those that say that they have none.
namespace edgecap {

/// The RATE LIMITER actor interface.
using rate_limiter_actor = caf::typed_actor<
  // Takes one operation from the account's allowance, or says when to return.
  caf::replies_to<atom::acquire, std::string, allowance>::with<admission>,
  // Gives back what an operation took that then failed for our own reasons.
  caf::reacts_to<atom::refund, std::string, allowance, std::uint64_t>,
  // Takes over what accounts spent of `allowance::collect` before a restart,
  // oldest first.
  caf::reacts_to<atom::resume, std::vector<spent_allowance>>,
  // Grants these allowances from now on; what is used up counts against them.
  caf::replies_to<atom::limits, rate_limiter_options>::with<caf::ok_atom>,
  // INTERNAL: Forgets accounts that are at full allowance again.
  caf::reacts_to<atom::tick>>;

/// Who remembers jobs and so has to learn which ones are gone.
using expiry_sink_actor = caf::typed_actor<
  // STORAGE has removed a job, for a client or by retention, or has changed one
  // that had ended, for it has lost its savefile.
  caf::reacts_to<atom::expired, std::string>>;

/// The STORAGE actor interface. The only owner of the index and of the files.
using storage_actor = caf::typed_actor<
  // Hands over, once, what an earlier process left to be taken up.
  caf::replies_to<atom::resume>::with<resumption>,
  // Adds a new job, and the idempotency key that it was asked for with, if it
  // is not empty; answers when both are durable.
  caf::replies_to<atom::insert, job_record, std::string>::with<caf::ok_atom>,
  // Returns the job that an account asked for with an idempotency key.
  caf::replies_to<atom::recall, std::string, std::string>::with<job_record>,
  // Notes what is so now of a running job, above all some of its interfaces,
  // the first of which has the run of this number: a crash would lose their
  // names.
  caf::reacts_to<atom::progress, job_record, std::uint32_t>,
  // Notes, durably, that a client wants the end of a job: account, id. Answers
  // the job; one that has ended is left as it is.
  caf::replies_to<atom::stop, std::string, std::string>::with<job_record>,
  // Forgets that a job was counted against its account's allowance.
  caf::reacts_to<atom::refund, std::string>,
  // Appends a batch to one run of a job; answers when it is written (a crash
  // of the process does not lose it, a crash of the host may).
  caf::replies_to<atom::append, std::string, std::uint32_t,
                  capture::packet_batch>::with<caf::ok_atom>,
  // Merges the runs of a job into its savefile and makes file and record
  // durable. Answers the record as stored, `succeeded` or `failed`. No timeout:
  // the runs are whole meanwhile. Asked once at a time for each job.
  caf::replies_to<atom::seal, job_record>::with<job_record>,
  // Makes a terminal record durable without a savefile and drops the runs; a
  // job that is being sealed is sealed. The registry sets no timeout, and asks
  // once at a time for each job.
  caf::replies_to<atom::fail, job_record>::with<job_record>,
  // Returns a job of an account.
  caf::replies_to<atom::get, std::string, std::string>::with<job_record>,
  // Returns one page of jobs, newest first.
  caf::replies_to<atom::list, list_query>::with<shared_job_page>,
  // Removes a terminal job with its files.
  caf::replies_to<atom::erase, std::string, std::string>::with<caf::ok_atom>,
  // Opens a savefile for download: account, id, format.
  caf::replies_to<atom::download, std::string, std::string,
                  savefile_format>::with<savefile>,
  // Returns what is stored.
  caf::replies_to<atom::stats>::with<storage_stats>,
  // Tells somebody from now on of each job that it removes, or changes after
  // its end, even if whoever wanted it has given up waiting; before, in the
  // order of messages, it has answered whatever was asked of that job.
  caf::reacts_to<atom::expired, expiry_sink_actor>,
  // Keeps to these limits from now on, retention at once. What runs or is
  // stored beyond them ends or goes as if they had always been so.
  caf::replies_to<atom::limits, storage_limits>::with<caf::ok_atom>,
  // INTERNAL: Goes on with the oldest unfinished seal, one slice.
  caf::reacts_to<atom::work>,
  // INTERNAL: Compares some more of the rows and files of an earlier process.
  caf::reacts_to<atom::inspect>,
  // INTERNAL: The index is damaged, and how: it was looked at in the
  // background.
  caf::reacts_to<atom::damaged, std::string>,
  // INTERNAL: Applies retention, unless limits have changed since: the number
  // says how often they had.
  caf::reacts_to<atom::sweep, std::uint64_t>,
  // INTERNAL: Looks whether its directory is back, or can be made anew.
  caf::reacts_to<atom::renew>>;

/// What a JOB understands from its SAMPLERS. The number is the sampler's run.
using batch_sink_actor = caf::typed_actor<
  // The sampler captures packets of this link type from now on.
  caf::reacts_to<atom::opened, std::uint32_t, capture::link_type>,
  // Packets, within the sampler's credit.
  caf::reacts_to<atom::batch, std::uint32_t, capture::packet_batch>,
  // The sampler's last words, with its counters.
  caf::reacts_to<atom::ended, std::uint32_t, interface_report>>;

/// The SAMPLER actor interface: one interface for one job.
using sampler_actor = caf::typed_actor<
  // Allows so many bytes of batches more.
  caf::reacts_to<atom::credit, std::uint64_t>,
  // Drains and ends.
  caf::reacts_to<atom::stop>,
  // Returns its counters: at once if the packet source has counted or delivered
  // since they were returned last, else as soon as it does. No timeout: who
  // asks monitors it. Samplers of older nodes return them at once in any case.
  caf::replies_to<atom::stats>::with<interface_report>,
  // INTERNAL: The packet source has counted.
  caf::reacts_to<atom::progress>,
  // INTERNAL: The packet source opened.
  caf::reacts_to<atom::opened, capture::link_type>,
  // INTERNAL: The packet source has packets.
  caf::reacts_to<atom::batch, capture::packet_batch>,
  // INTERNAL: The packet source ended.
  caf::reacts_to<atom::ended, capture::source_end>>;

/// The NODE actor interface: hosts samplers on one machine. May be in another
/// process than all others but its samplers. No timeout: FLEET tells its loss.
using node_actor = caf::typed_actor<
  // Returns what is so now.
  caf::replies_to<atom::pulse>::with<node_pulse>,
  // Returns the interfaces that the node has for a system, as sampler specs
  // with sampling, snaplen and promiscuity filled in.
  caf::replies_to<atom::survey, std::string>::with<std::vector<sampler_spec>>,
  // Spawns a sampler that delivers to the given sink.
  caf::replies_to<atom::sample, sampler_spec,
                  batch_sink_actor>::with<sampler_actor>,
  // The same, and so many nanoseconds are added to each packet's stamp. Known
  // to nodes of protocol 2.
  caf::replies_to<atom::sample, sampler_spec, std::int64_t,
                  batch_sink_actor>::with<sampler_actor>,
  // Takes no more samplers, stops those that run, and answers when they have
  // handed over what they had.
  caf::replies_to<atom::shutdown>::with<caf::ok_atom>>;

/// A node that jobs may capture on.
struct node_offer {
  std::string name;
  std::string colo; ///< Where it stands; may be empty.
  std::uint32_t protocol = node_protocol;
  node_actor handle;
  /// What its clock shows more than ours, in nanoseconds.
  std::int64_t clock_offset_ns = 0;
};

/// What the FLEET tells whoever wants to know of nodes.
using node_watcher_actor = caf::typed_actor<
  // A node is there, or is back: as another process, or after it was lost.
  caf::reacts_to<atom::joined, node_offer>,
  // A node is lost: its name, and why.
  caf::reacts_to<atom::left, std::string, std::string>>;

/// What a node in another process may ask. Published on the network.
using reception_actor = caf::typed_actor<
  // Returns what a node is to sign that is about to say hello.
  caf::replies_to<atom::challenge>::with<std::string>,
  // A node says who it is, proves it, and says which handle it has.
  caf::replies_to<atom::hello, node_hello, node_proof,
                  node_actor>::with<node_welcome>>;

/// The FLEET actor interface: knows the nodes, and which of them are there.
using fleet_actor = reception_actor::extend<
  // Returns the nodes that are there, and tells of changes from then on.
  caf::replies_to<atom::watch,
                  node_watcher_actor>::with<std::vector<node_offer>>,
  // Returns all nodes that it knows, by name.
  caf::replies_to<atom::list>::with<std::vector<node_status>>,
  // INTERNAL: Asks the nodes for their pulse, and sees which are lost.
  caf::reacts_to<atom::tick>>;

/// The UPLINK actor interface: the way from a node to its collector.
using uplink_actor = caf::typed_actor<
  // INTERNAL: Dials the collector.
  caf::reacts_to<atom::dial>>;

/// The JOB actor interface: one requested capture.
using job_actor = batch_sink_actor::extend<
  // From the FLEET.
  caf::reacts_to<atom::joined, node_offer>,
  caf::reacts_to<atom::left, std::string, std::string>,
  // INTERNAL: Surveys the nodes and starts the samplers.
  caf::reacts_to<atom::sample>,
  // Ends the job and keeps what it captured; for a client or a shutdown.
  caf::reacts_to<atom::stop, end_reason>,
  // Shows the packets to come to somebody outside.
  caf::replies_to<atom::follow, follower_ptr>::with<caf::ok_atom>,
  // INTERNAL: Reports progress to the registry and asks samplers for counters.
  caf::reacts_to<atom::tick>,
  // INTERNAL: A phase has lasted as long as it may.
  caf::reacts_to<atom::deadline, job_phase>,
  // INTERNAL: Sees whether storage answers.
  caf::reacts_to<atom::deadline>>;

/// The JOB REGISTRY actor interface: the front door of the engine.
using job_registry_actor = expiry_sink_actor::extend<
  // Takes up what storage has of an earlier process; for whoever starts the
  // engine, before anything else is asked.
  caf::replies_to<atom::resume>::with<caf::ok_atom>,
  // Admits, persists and starts a job. With an idempotency key that is not
  // empty, an account's second request is answered with the job of its first.
  caf::replies_to<atom::create, job_spec, std::string>::with<creation>,
  // Returns a job of an account, running or finished.
  caf::replies_to<atom::get, std::string, std::string>::with<job_record>,
  // Returns one page of an account's jobs.
  caf::replies_to<atom::list, list_query>::with<shared_job_page>,
  // Stops a job; idempotent. Answers the record at that moment, when a crash
  // cannot undo the stop any more.
  caf::replies_to<atom::stop, std::string, std::string>::with<job_record>,
  // Stops a job if it runs and removes it with its files.
  caf::replies_to<atom::erase, std::string, std::string>::with<caf::ok_atom>,
  // Opens a savefile for download: account, id, format.
  caf::replies_to<atom::download, std::string, std::string,
                  savefile_format>::with<savefile>,
  // Shows the packets to come of a running job: account, id, to whom.
  caf::replies_to<atom::follow, std::string, std::string,
                  follower_ptr>::with<caf::ok_atom>,
  // Returns totals and what runs.
  caf::replies_to<atom::stats>::with<engine_stats>,
  // Keeps to these limits from now on; what runs goes on as it began.
  caf::replies_to<atom::limits, registry_limits>::with<caf::ok_atom>,
  // Refuses new jobs, stops the running ones, answers when all are terminal.
  caf::replies_to<atom::shutdown>::with<caf::ok_atom>,
  // From a JOB: what is so now.
  caf::reacts_to<atom::progress, job_record>,
  // From a JOB: its terminal record, and whether storage has made it durable.
  caf::reacts_to<atom::finished, job_record, bool>,
  // INTERNAL: Tries again to make the ends of jobs durable that are not yet.
  caf::reacts_to<atom::tick>>;

} // namespace edgecap

// Handles that stand in messages themselves.
CAF_BEGIN_TYPE_ID_BLOCK(edgecap_handles, caf::id_block::edgecap::end)
  CAF_ADD_TYPE_ID(edgecap_handles, (edgecap::batch_sink_actor))
  CAF_ADD_TYPE_ID(edgecap_handles, (edgecap::expiry_sink_actor))
  CAF_ADD_TYPE_ID(edgecap_handles, (edgecap::node_actor))
  CAF_ADD_TYPE_ID(edgecap_handles, (edgecap::node_watcher_actor))
  CAF_ADD_TYPE_ID(edgecap_handles, (edgecap::sampler_actor))
  CAF_ADD_TYPE_ID(edgecap_handles, (std::vector<edgecap::sampler_spec>))
CAF_END_TYPE_ID_BLOCK(edgecap_handles)

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::node_offer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<edgecap::node_offer>)
