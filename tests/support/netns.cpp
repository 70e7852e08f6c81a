#include "tests/support/netns.hpp"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

extern char** environ;

namespace edgecap::test {

namespace {

[[noreturn]] void throw_errno(const std::string& attempt) {
  throw std::runtime_error{attempt + ": " + std::strerror(errno)};
}

void check(bool ok, const std::string& attempt) {
  if (!ok)
    throw_errno(attempt);
}

capture::unique_descriptor open_own(const char* path) {
  capture::unique_descriptor result{::open(path, O_RDONLY | O_CLOEXEC)};
  check(static_cast<bool>(result), std::string{"open "} + path);
  return result;
}

void write_setting(const std::string& path, const char* value) {
  std::ofstream out{path};
  // Without IPv6 in the kernel there is nothing to switch off.
  if (out)
    out << value;
}

/// Keeps what is mounted on /sys from other mount namespaces. In a chroot, / is
/// no mount point and its propagation cannot be changed; then /sys is one.
bool make_mounts_private() {
  return ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0
         || (errno == EINVAL
             && ::mount("none", "/sys", nullptr, MS_REC | MS_PRIVATE, nullptr)
                  == 0);
}

} // namespace

scoped_network_namespace::scoped_network_namespace() {
  network_before_ = open_own("/proc/thread-self/ns/net");
  mounts_before_ = open_own("/proc/thread-self/ns/mnt");
  root_before_ = open_own("/");
  directory_before_ = open_own(".");
  check(::unshare(CLONE_NEWNET | CLONE_NEWNS) == 0,
        "make a network namespace for the test (this needs root)");
  check(make_mounts_private(), "make the test's mounts private");
  check(::mount("sysfs", "/sys", "sysfs", 0, nullptr) == 0,
        "mount a sysfs for the test's network namespace");
  for (const auto* which : {"all", "default"})
    write_setting(
      std::string{"/proc/sys/net/ipv6/conf/"} + which + "/disable_ipv6", "1");
}

scoped_network_namespace::~scoped_network_namespace() {
  // A thread that shares its working directory with others cannot change
  // mounts; ThreadSanitizer starts such a one. Changing them leads to the root
  // of the namespace, which in a chroot is not ours. A failure here would leave
  // the other tests in the wrong namespace.
  if (::unshare(CLONE_FS) != 0
      || ::setns(mounts_before_.get(), CLONE_NEWNS) != 0
      || ::fchdir(root_before_.get()) != 0 || ::chroot(".") != 0
      || ::fchdir(directory_before_.get()) != 0
      || ::setns(network_before_.get(), CLONE_NEWNET) != 0) {
    std::perror("leave the test's network namespace");
    std::abort();
  }
}

void scoped_network_namespace::ip(const std::string& arguments) const {
  std::vector<std::string> words{"ip"};
  std::istringstream in{arguments};
  for (std::string word; in >> word;)
    words.push_back(word);
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  errno = ::posix_spawnp(&child, "ip", nullptr, nullptr, argv.data(), environ);
  check(errno == 0, "start ip " + arguments);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    check(errno == EINTR, "wait for ip " + arguments);
  if (status != 0)
    throw std::runtime_error{"ip " + arguments + ": exit status "
                             + std::to_string(WEXITSTATUS(status))};
}

void scoped_network_namespace::add_veth(const std::string& one,
                                        const std::string& other) const {
  ip("link add " + one + " type veth peer name " + other);
  // The second one has its peer already and can send at once. The first one is
  // told by a work queue of the kernel (linkwatch) and drops what it is to send
  // before that.
  ip("link set " + other + " up");
  ip("link set " + one + " up");
}

tun_interface::tun_interface(const scoped_network_namespace& where,
                             const std::string& name,
                             unsigned long hardware_type) {
  descriptor_ = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  check(descriptor_ >= 0, "open /dev/net/tun");
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  name.copy(request.ifr_name, sizeof request.ifr_name - 1);
  check(::ioctl(descriptor_, TUNSETIFF, &request) == 0,
        "make tun interface " + name);
  if (hardware_type != 0)
    check(::ioctl(descriptor_, TUNSETLINK, hardware_type) == 0,
          "set the hardware type of " + name);
  where.ip("link set " + name + " up mtu 65535");
}

tun_interface::~tun_interface() {
  ::close(descriptor_);
}

void tun_interface::receive(const std::vector<std::byte>& packet) const {
  const auto written = ::write(descriptor_, packet.data(), packet.size());
  check(written == static_cast<ssize_t>(packet.size()), "write to tun");
}

} // namespace edgecap::test
