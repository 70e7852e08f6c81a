#include "capture/flow_match.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace edgecap::capture {

namespace {

/// Longest part of a client's text that a message repeats.
constexpr std::size_t max_quoted_bytes = 64;

/// Renders text from outside: bounded, in quotes, and ASCII whatever it holds.
std::string quote(const std::string& text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string result = "\"";
  for (const auto c : text.substr(0, max_quoted_bytes)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '"' || c == '\\') {
      result += "\\x";
      result += digits[byte >> 4];
      result += digits[byte & 15];
    } else {
      result += c;
    }
  }
  return result + (text.size() > max_quoted_bytes ? "...\"" : "\"");
}

const char* name_of(ip_family family) {
  return family == ip_family::ipv4 ? "an IPv4 address" : "an IPv6 address";
}

struct parsed_address {
  ip_family family = ip_family::any;
  ip_address bytes{};
};

/// Parses one address or appends the fault.
std::optional<parsed_address> parse_address(const char* field,
                                            const std::string& text,
                                            std::vector<filter_fault>& faults) {
  parsed_address result;
  // inet_pton stops at a NUL and would not see what stands behind it.
  const auto complete = text.find('\0') == std::string::npos;
  if (complete && inet_pton(AF_INET, text.c_str(), result.bytes.data()) == 1) {
    result.family = ip_family::ipv4;
    return result;
  }
  if (!complete
      || inet_pton(AF_INET6, text.c_str(), result.bytes.data()) != 1) {
    faults.push_back({field, quote(text)
                               + " is neither an IPv4 nor an IPv6 address, "
                                 "written like 192.0.2.1 or 2001:db8::1"});
    return std::nullopt;
  }
  in6_addr address;
  std::memcpy(&address, result.bytes.data(), sizeof address);
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    char ipv4[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &result.bytes[12], ipv4, sizeof ipv4);
    faults.push_back({field, quote(text)
                               + " is an IPv4-mapped address, which no packet "
                                 "carries; write "
                               + ipv4});
    return std::nullopt;
  }
  result.family = ip_family::ipv6;
  return result;
}

void parse_addresses(const filter_fields& fields, flow_match& match,
                     std::vector<filter_fault>& faults) {
  std::optional<parsed_address> source, destination;
  if (fields.source_address)
    source = parse_address("source_address", *fields.source_address, faults);
  if (fields.destination_address)
    destination = parse_address("destination_address",
                                *fields.destination_address, faults);
  if (source && destination && source->family != destination->family)
    faults.push_back({"destination_address",
                      quote(*fields.destination_address) + " is "
                        + name_of(destination->family) + " but source_address "
                        + quote(*fields.source_address) + " is "
                        + name_of(source->family) + "; no packet has both"});
  for (const auto& x : {source, destination})
    if (x)
      match.family = x->family;
  if (source)
    match.source = source->bytes;
  if (destination)
    match.destination = destination->bytes;
}

/// "source_port 53 and destination_port 80", as far as they are given.
std::string name_ports(const filter_fields& fields) {
  std::string result;
  if (fields.source_port)
    result = "source_port " + std::to_string(*fields.source_port);
  if (fields.source_port && fields.destination_port)
    result += " and ";
  if (fields.destination_port)
    result += "destination_port " + std::to_string(*fields.destination_port);
  return result;
}

} // namespace

flow_match parse(const filter_fields& fields,
                 std::vector<filter_fault>& faults) {
  flow_match result;
  parse_addresses(fields, result, faults);
  result.source_port = fields.source_port;
  result.destination_port = fields.destination_port;
  result.protocol = fields.protocol;
  const auto& known = port_protocols;
  if (result.wants_ports() && fields.protocol
      && std::find(known.begin(), known.end(), *fields.protocol) == known.end())
    faults.push_back({"protocol", std::to_string(*fields.protocol)
                                    + " has no ports but " + name_ports(fields)
                                    + " is given; ports go with protocol 6 "
                                      "(TCP), 17 (UDP), 33 (DCCP), 132 (SCTP) "
                                      "or 136 (UDP-Lite)"});
  return result;
}

expected<flow_match> match_of(const filter_fields& fields) {
  std::vector<filter_fault> faults;
  auto match = parse(fields, faults);
  if (faults.empty())
    return match;
  std::string message = "compile filter:";
  for (const auto& x : faults)
    message
      += (&x == &faults.front() ? " " : "; ") + x.field + ": " + x.message;
  return fail(capture_errc::bad_filter, std::move(message));
}

} // namespace edgecap::capture
