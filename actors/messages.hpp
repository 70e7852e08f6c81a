#pragma once

#include "actors/allowances.hpp"
#include "actors/batch_on_wire.hpp"
#include "actors/errors.hpp"
#include "actors/follower.hpp"
#include "actors/inspect_optional.hpp"
#include "actors/job_types.hpp"
#include "actors/node_types.hpp"
#include "actors/registry_limits.hpp"
#include "actors/storage_limits.hpp"
#include "capture/packet_batch.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/make_message.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/type_id.hpp>

#include <string>
#include <vector>

// The only file with type ids and atoms: everything that may stand in a
// message between actors. Values that only ever travel inside one process
// (open descriptors, shared buffers) are marked so at the end.

namespace edgecap::capture {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, filter_fields& x) {
  return f(caf::meta::type_name("filter"), x.source_address,
           x.destination_address, x.source_port, x.destination_port,
           x.protocol);
}

} // namespace edgecap::capture

namespace edgecap {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, job_spec& x) {
  return f(caf::meta::type_name("job_spec"), x.account_id, x.type, x.system,
           x.colo_name, x.time_limit_s, x.packet_limit, x.filter);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, interface_report& x) {
  return f(caf::meta::type_name("interface_report"), x.node, x.interface,
           x.phase, x.link, x.sampling_one_in, x.packets_matched,
           x.packets_captured, x.packets_sampled_out, x.dropped_by_kernel,
           x.dropped_by_interface, x.dropped_by_us, x.error);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, interruption& x) {
  return f(caf::meta::type_name("interruption"), x.from, x.to);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, job_record& x) {
  return f(caf::meta::type_name("job_record"), x.id, x.spec, x.phase, x.reason,
           x.error_message, x.stop_requested, x.submitted, x.started,
           x.finished, x.packets_captured, x.bytes_captured, x.savefile_bytes,
           x.pcapng_bytes, x.interfaces, x.interruptions);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, creation& x) {
  return f(caf::meta::type_name("creation"), x.record, x.replayed);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, list_query& x) {
  return f(caf::meta::type_name("list_query"), x.account_id, x.page, x.per_page,
           x.status, x.type);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, admission& x) {
  return f(caf::meta::type_name("admission"), x.granted, x.limit, x.remaining,
           x.window_s, x.retry_after_ms, x.ticket);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, spent_allowance& x) {
  return f(caf::meta::type_name("spent_allowance"), x.account_id, x.age_ns);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, resumption& x) {
  return f(caf::meta::type_name("resumption"), x.jobs, x.collects);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, sampler_spec& x) {
  return f(caf::meta::type_name("sampler_spec"), x.job_id, x.run, x.node,
           x.interface, x.filter, x.sampling_one_in, x.snaplen_bytes,
           x.promiscuous, x.packet_limit, x.credit_bytes, x.not_after);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_hello& x) {
  return f(caf::meta::type_name("node_hello"), x.protocol, x.name, x.colo,
           x.labels, x.version, x.byte_order);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_proof& x) {
  return f(caf::meta::type_name("node_proof"), x.certificate, x.signature);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_welcome& x) {
  return f(caf::meta::type_name("node_welcome"), x.protocol, x.version);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_pulse& x) {
  return f(caf::meta::type_name("node_pulse"), x.now, x.interfaces, x.samplers,
           x.load_milli, x.processors);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f,
                                        engine_stats::interface_totals& x) {
  return f(caf::meta::type_name("interface_totals"), x.node, x.interface,
           x.packets_captured, x.dropped_by_kernel, x.dropped_by_interface,
           x.dropped_by_us);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f,
                                        engine_stats::outcome_total& x) {
  return f(caf::meta::type_name("outcome_total"), x.reason, x.success, x.jobs);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, engine_stats& x) {
  return f(caf::meta::type_name("engine_stats"), x.jobs_created, x.jobs_running,
           x.bytes_captured, x.outcomes, x.interfaces);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f,
                                        storage_stats::refusals& x) {
  return f(caf::meta::type_name("refusals"), x.cause, x.jobs);
}

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, storage_stats& x) {
  return f(caf::meta::type_name("storage_stats"), x.jobs, x.savefile_bytes,
           x.free_bytes, x.expired_jobs, x.unsealed_bytes, x.reserve_bytes,
           x.full, x.quota_bytes, x.quota_jobs, x.refused);
}

} // namespace edgecap

CAF_BEGIN_TYPE_ID_BLOCK(edgecap, caf::first_custom_type_id)

  // -- values -----------------------------------------------------------------

  CAF_ADD_TYPE_ID(edgecap, (edgecap::capture::filter_fields))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::capture::link_type))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::capture::packet_batch))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::admission))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::allowance))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::creation))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::end_reason))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::engine_stats))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::interface_report))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::job_phase))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::job_record))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::job_spec))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::list_query))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::node_hello))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::node_proof))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::node_pulse))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::node_welcome))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::rate_limiter_options))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::registry_limits))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::resumption))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::sampler_spec))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::savefile_format))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::storage_limits))
  CAF_ADD_TYPE_ID(edgecap, (edgecap::storage_stats))
  CAF_ADD_TYPE_ID(edgecap, (std::vector<std::string>))
  CAF_ADD_TYPE_ID(edgecap, (std::vector<edgecap::job_record>))
  CAF_ADD_TYPE_ID(edgecap, (std::vector<edgecap::spent_allowance>))

  // -- atoms: whoever runs the engine (at most 10 characters) -----------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, limits, "limits")

  // -- atoms: what clients of the engine ask ----------------------------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, create, "create")
  CAF_ADD_ATOM(edgecap, edgecap::atom, get, "get")
  CAF_ADD_ATOM(edgecap, edgecap::atom, list, "list")
  CAF_ADD_ATOM(edgecap, edgecap::atom, stop, "stop")
  CAF_ADD_ATOM(edgecap, edgecap::atom, erase, "erase")
  CAF_ADD_ATOM(edgecap, edgecap::atom, download, "download")
  CAF_ADD_ATOM(edgecap, edgecap::atom, follow, "follow")
  CAF_ADD_ATOM(edgecap, edgecap::atom, stats, "stats")
  CAF_ADD_ATOM(edgecap, edgecap::atom, shutdown, "shutdown")

  // -- atoms: admission -------------------------------------------------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, acquire, "acquire")
  CAF_ADD_ATOM(edgecap, edgecap::atom, refund, "refund")

  // -- atoms: a job and its samplers ------------------------------------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, survey, "survey")
  CAF_ADD_ATOM(edgecap, edgecap::atom, sample, "sample")
  CAF_ADD_ATOM(edgecap, edgecap::atom, opened, "opened")
  CAF_ADD_ATOM(edgecap, edgecap::atom, batch, "batch")
  CAF_ADD_ATOM(edgecap, edgecap::atom, ended, "ended")
  CAF_ADD_ATOM(edgecap, edgecap::atom, credit, "credit")
  CAF_ADD_ATOM(edgecap, edgecap::atom, tick, "tick")
  CAF_ADD_ATOM(edgecap, edgecap::atom, deadline, "deadline")
  CAF_ADD_ATOM(edgecap, edgecap::atom, progress, "progress")
  CAF_ADD_ATOM(edgecap, edgecap::atom, finished, "finished")

  // -- atoms: nodes -----------------------------------------------------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, dial, "dial")
  CAF_ADD_ATOM(edgecap, edgecap::atom, challenge, "challenge")
  CAF_ADD_ATOM(edgecap, edgecap::atom, hello, "hello")
  CAF_ADD_ATOM(edgecap, edgecap::atom, pulse, "pulse")
  CAF_ADD_ATOM(edgecap, edgecap::atom, watch, "watch")
  CAF_ADD_ATOM(edgecap, edgecap::atom, joined, "joined")
  CAF_ADD_ATOM(edgecap, edgecap::atom, left, "left")

  // -- atoms: storage ---------------------------------------------------------

  CAF_ADD_ATOM(edgecap, edgecap::atom, insert, "insert")
  CAF_ADD_ATOM(edgecap, edgecap::atom, recall, "recall")
  CAF_ADD_ATOM(edgecap, edgecap::atom, append, "append")
  CAF_ADD_ATOM(edgecap, edgecap::atom, seal, "seal")
  CAF_ADD_ATOM(edgecap, edgecap::atom, fail, "fail")
  CAF_ADD_ATOM(edgecap, edgecap::atom, resume, "resume")
  CAF_ADD_ATOM(edgecap, edgecap::atom, work, "work")
  CAF_ADD_ATOM(edgecap, edgecap::atom, inspect, "inspect")
  CAF_ADD_ATOM(edgecap, edgecap::atom, damaged, "damaged")
  CAF_ADD_ATOM(edgecap, edgecap::atom, sweep, "sweep")
  CAF_ADD_ATOM(edgecap, edgecap::atom, renew, "renew")
  CAF_ADD_ATOM(edgecap, edgecap::atom, expired, "expired")

CAF_END_TYPE_ID_BLOCK(edgecap)

// -- values that never leave the process --------------------------------------

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::capture::source_end)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::follower_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(std::vector<edgecap::node_status>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::savefile)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(edgecap::shared_job_page)
