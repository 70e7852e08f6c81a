#pragma once

#include "capture/descriptor.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace edgecap::test {

/// A network namespace of its own for the calling thread, and for the threads
/// and processes that it starts meanwhile, with a sysfs that shows it. It holds
/// nothing but `lo`, which is down; IPv6 is off, so that no packet is in it
/// that the test did not send. It has no name and vanishes by itself with the
/// last thread, process and descriptor that refer to it, even after a crash.
///
/// Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN).
class scoped_network_namespace {
public:
  /// @throws std::runtime_error that says what is missing.
  scoped_network_namespace();

  /// Brings the thread back. Threads that it started meanwhile stay where they
  /// are.
  ~scoped_network_namespace();

  scoped_network_namespace(const scoped_network_namespace&) = delete;
  scoped_network_namespace& operator=(const scoped_network_namespace&) = delete;

  /// Runs ip(8) in the namespace, such as `ip("link set lo up")`.
  /// @throws std::runtime_error if it fails.
  void ip(const std::string& arguments) const;

  /// Adds a pair of connected Ethernet interfaces; both are up afterwards.
  /// What `one` sends arrives from now on; `other` may drop what it is to send
  /// for up to a second.
  void add_veth(const std::string& one, const std::string& other) const;

private:
  capture::unique_descriptor network_before_;
  capture::unique_descriptor mounts_before_;
  capture::unique_descriptor root_before_;
  capture::unique_descriptor directory_before_;
};

/// A tun interface whose wire the test holds. Up after construction; it is
/// deleted with the object.
class tun_interface {
public:
  /// @param hardware_type ARPHRD_ value to pretend; 0 for a plain tun.
  /// @throws std::runtime_error if it cannot be had.
  tun_interface(const scoped_network_namespace& where, const std::string& name,
                unsigned long hardware_type = 0);

  ~tun_interface();

  tun_interface(const tun_interface&) = delete;
  tun_interface& operator=(const tun_interface&) = delete;

  /// Lets the interface receive `packet`; it has been through every tap when
  /// this returns.
  void receive(const std::vector<std::byte>& packet) const;

private:
  int descriptor_ = -1;
};

} // namespace edgecap::test
