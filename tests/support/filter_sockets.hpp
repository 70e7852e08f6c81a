#pragma once

#include "capture/descriptor.hpp"
#include "capture/filter.hpp"
#include "capture/kernel_classifier.hpp"
#include "tests/support/packets.hpp"

#include <cstddef>
#include <string>

namespace edgecap::test {

/// The program of a filter.
/// @throws std::runtime_error if the filter is faulty.
capture::bpf_program compiled(const capture::filter_fields& fields,
                              const capture::filter_options& options = {});

/// Makes `program` the filter of a socket.
/// @throws std::system_error if the kernel refuses it.
void attach(int socket, capture::bpf_program program);

/// @throws std::runtime_error if the kernel refuses it.
void attach(int socket, const capture::kernel_classifier& classifier);

/// A program on a socket pair of AF_UNIX: it shows a program the bytes as they
/// are and needs no rights.
class kernel_filter {
public:
  template <class Program>
  explicit kernel_filter(const Program& program) : kernel_filter(nullptr) {
    attach(receiver_.get(), program);
  }

  /// What was kept of the packet; empty if it did not match.
  bytes take(const bytes& packet) const;

  /// Bytes that were kept of the packet, 0 if it did not match.
  std::size_t keeps(const bytes& packet) const {
    return take(packet).size();
  }

private:
  explicit kernel_filter(std::nullptr_t);

  capture::unique_descriptor sender_, receiver_;
};

/// A program on a packet socket.
class interface_filter {
public:
  /// @param type SOCK_RAW or SOCK_DGRAM.
  template <class Program>
  interface_filter(const std::string& interface, int type,
                   const Program& program)
    : interface_filter(type) {
    attach(socket_.get(), program);
    bind(interface);
  }

  /// Number of packets that have matched since the last call.
  int matched() const;

private:
  explicit interface_filter(int type);

  void bind(const std::string& interface);

  capture::unique_descriptor socket_;
};

} // namespace edgecap::test
