#pragma once

#include "actors/interfaces.hpp"
#include "capture/packet_source.hpp"

#include <caf/actor_clock.hpp>
#include <caf/error.hpp>
#include <caf/result.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

#include <memory>

namespace edgecap {

/// What a sampler needs beside its job's spec.
struct sampler_options {
  sampler_spec spec;
  capture::source_options source;      ///< Ring, batch and wake-up sizes.
  capture::source_factory open_source; ///< Never empty.
  /// Added to each packet's stamp.
  std::int64_t stamp_correction_ns = 0;
};

/// Says what is wrong with the options, if anything.
caf::error validate(const sampler_options& options);

/// State of a SAMPLER.
struct sampler_state {
  // -- initialization and tear down -------------------------------------------

  explicit sampler_state(sampler_actor::pointer self);

  /// Opens the packet source.
  void init(sampler_options options, batch_sink_actor sink);

  // -- operations -------------------------------------------------------------

  /// What is known now.
  interface_report report() const;

  /// Answers with what is known now; if the source has not counted since the
  /// last answer, as soon as it has.
  caf::result<interface_report> look();

  /// The source has counted, or delivered what it counted.
  void note_news();

  /// Tells the sink that no packet will follow, and quits.
  void finish(const capture::source_end& end);

  // -- member variables -------------------------------------------------------

  sampler_actor::pointer self;
  batch_sink_actor sink;
  sampler_spec spec;
  interface_report last;
  bool has_news = true; ///< Since the last answer.
  /// Of who waits for news.
  caf::typed_response_promise<interface_report> waiting;
  caf::actor_clock::time_point asked; ///< When it asked.

  static inline const char* name = "sampler";

  /// Last member: dies first, so that nothing it still says finds the state
  /// half gone.
  std::unique_ptr<capture::packet_source> source;
};

/// Captures on one interface for one job. Delivers to `sink`, ends with
/// `ended` and then quits; quits also when its job is gone.
sampler_actor::behavior_type
sampler(sampler_actor::stateful_pointer<sampler_state> self,
        sampler_options options, batch_sink_actor sink);

} // namespace edgecap
