"""A network namespace of the test process's own, and interfaces in it.

The namespace has no name: it vanishes with the last process in it, even after
a crash. It holds nothing but `lo`; IPv6 is off, so that no packet is in it
that no test sent.
"""

import ctypes
import errno
import fcntl
import itertools
import os
import socket
import struct
import subprocess

from harness.waiting import wait_until

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
PR_SET_PDEATHSIG = 1
SIGKILL = 9

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000

ETH_P_ALL = 0x0003
# An EtherType for experiments (IEEE 802): marks the probes.
PROBE_ETHERTYPE = 0x88B5

_libc = ctypes.CDLL(None, use_errno=True)
_host_network = None
_names = itertools.count()


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)} (root needed)")


def _make_mounts_private():
    """Keeps what is mounted on /sys from other mount namespaces."""
    result = _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    if result != 0 and ctypes.get_errno() == errno.EINVAL:
        # In a chroot, / is no mount point, but /sys is.
        result = _libc.mount(b"none", b"/sys", None, MS_REC | MS_PRIVATE, None)
    _checked(result, "make the mounts private")


def enter_namespace():
    """Moves this process into a network namespace of its own, for good."""
    global _host_network
    if _host_network is not None:
        return
    _host_network = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    _checked(_libc.unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare")
    _make_mounts_private()
    # /sys shows the interfaces of the namespace that it was mounted in.
    _checked(_libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None), "mount /sys")
    for scope in ("all", "default"):
        path = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as f:
                f.write("1")
    ip("link set lo up")


def use_host_network():
    """For `preexec_fn`: the child gets the network the tests came from."""
    _checked(_libc.setns(_host_network, CLONE_NEWNET), "setns")


def die_with_parent():
    """For `preexec_fn`: the child does not outlive the test."""
    _libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def ip(arguments):
    """Runs ip(8)."""
    subprocess.run(["ip", *arguments.split()], check=True)


def add_address(address):
    """Gives the namespace an address that is its own and no loopback: who
    connects to it comes from it, too."""
    ip(f"address replace {address}/32 dev lo")


def new_name(prefix):
    """An interface name that nobody has: `prefix` and a number."""
    return f"{prefix}{next(_names)}"


def _attribute(interface, name):
    path = f"/sys/class/net/{interface}/{name}"
    with open(path, encoding="ascii") as f:
        return f.read().strip()


class Veth:
    """A pair of Ethernet interfaces: the daemon captures on `name`, and sees
    what the test sends from the other end."""

    def __init__(self, prefix="v"):
        self.name = new_name(prefix)
        self._other = self.name + "p"
        ip(f"link add {self.name} type veth peer name {self._other}")
        ip(f"link set {self.name} up")
        ip(f"link set {self._other} up")
        self.index = int(_attribute(self.name, "ifindex"))
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.bind((self._other, 0))
        self._wait_for_carrier()

    def _wait_for_carrier(self):
        # What is sent before the kernel has noticed the carrier is dropped.
        probe = b"\xff" * 6 + b"\x02" * 6
        probe += struct.pack("!H", PROBE_ETHERTYPE) + bytes(46)
        listener = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(PROBE_ETHERTYPE)
        )
        with listener:
            listener.bind((self.name, PROBE_ETHERTYPE))
            listener.settimeout(0.02)

            def passes():
                self._socket.send(probe)
                try:
                    return listener.recv(2048)
                except socket.timeout:
                    return None

            wait_until(f"{self.name} has a carrier", passes)

    def send(self, frame):
        """Lets the interface receive `frame`."""
        self._socket.send(frame)

    def close(self):
        """Removes both ends. Again: nothing happens."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            ip(f"link del {self.name}")


class Tun:
    """An interface of raw IP packets (LINKTYPE_RAW)."""

    def __init__(self, prefix="t"):
        self.name = new_name(prefix)
        self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        flags = IFF_TUN | IFF_NO_PI
        request = struct.pack("16sH22x", self.name.encode(), flags)
        fcntl.ioctl(self._descriptor, TUNSETIFF, request)
        ip(f"link set {self.name} up")
        self.index = int(_attribute(self.name, "ifindex"))

    def send(self, packet):
        """Lets the interface receive `packet`."""
        os.write(self._descriptor, packet)

    def close(self):
        """Removes the interface. Again: nothing happens."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
