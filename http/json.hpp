#pragma once

#include "actors/job_types.hpp"
#include "actors/node_types.hpp"
#include "http/message.hpp"

#include <string>
#include <string_view>
#include <vector>

// Answers of the API as JSON. Pure. The API's words for phases are here and
// nowhere else.
namespace edgecap::http {

/// A remark in an answer that is no error.
struct api_message {
  int code = 0;
  std::string message;
  std::string pointer; ///< RFC 6901, empty if it is about no field.

  friend bool operator==(const api_message& x, const api_message& y) {
    return x.code == y.code && x.message == y.message && x.pointer == y.pointer;
  }
};

/// Status of a `simple` job: "pending" until its file can be downloaded, then
/// "success", or "failed".
std::string_view api_status(job_phase phase);

/// RFC 3339 in UTC with microseconds, cut off: "2026-01-02T03:04:05.000006Z".
std::string rfc3339(unix_ns time);

/// LINKTYPE_ name without its prefix: "ETHERNET", "RAW", "LINUX_SLL2"; numbers
/// that have no name here are "LINKTYPE_147".
std::string link_type_name(capture::link_type link);

/// The filter as a JSON object; `{}` if it matches every packet.
std::string filter_text(const capture::filter_fields& filter);

/// 200 with one capture object.
response capture_response(const job_record& record,
                          const std::vector<api_message>& messages = {});

/// 200 with what a capture would be made of: the members of the capture object
/// that a request decides on.
response validated_response(const job_spec& spec,
                            const std::vector<api_message>& messages = {});

/// 200 with an array of capture objects and `result_info`.
response page_response(const job_page& page, const list_query& query);

/// 200 with an array of nodes.
response nodes_response(const std::vector<node_status>& nodes);

/// 200 with one word: `{"status": "ok", "version": ...}`, for probes.
response status_response(std::string_view status, std::string_view version);

/// The answer of /readyz, with what the storage has.
response ready_response(const storage_stats& disk, std::string_view version);

/// 204, without a body.
response empty_response();

} // namespace edgecap::http
