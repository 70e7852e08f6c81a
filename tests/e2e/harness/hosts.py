"""Hosts: network namespaces of their own, joined by a bridge.

The test process is on the bridge as well, as a stranger is who shares the
network with a fleet. Nothing here has a name outside the test process: all of
it vanishes with the process, even after a crash.
"""

import contextlib
import ctypes
import errno
import json
import os
import resource
import subprocess

from harness import network
from harness.network import CLONE_NEWNET, CLONE_NEWNS, ip

_libc = ctypes.CDLL(None, use_errno=True)

# Users that no system has; the test gives each its part.
WALL_USER = 64001
NODE_USER = 64002
OTHER_USER = 64003


def _checked(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)} (root needed)")


def _open_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _tc(arguments):
    subprocess.run(["tc", "qdisc", *arguments.split()], check=True)


def _hardware_address(interface):
    command = ["ip", "-json", "link", "show", "dev", interface]
    done = subprocess.run(command, check=True, capture_output=True)
    return json.loads(done.stdout)[0]["address"]


def _set_ipv6(name, value):
    with open(f"/proc/sys/net/ipv6/{name}", "w", encoding="ascii") as f:
        f.write(value)


def _allow_ipv6(interface):
    _set_ipv6(f"conf/{interface}/disable_ipv6", "0")


class Bridge:
    """The network between hosts: 10.77.0.0/16. The test itself is at
    `address`, and may come from any address in `strangers`."""

    address = "10.77.0.1"
    strangers = "10.78.0.0/16"
    # The same with IPv6, for hosts that have it (`Host.with_ipv6`).
    address6 = "fd00:77::1"
    strangers6 = "fd00:78::/32"

    def __init__(self):
        self.name = network.new_name("br")
        self.hosts = []
        ip(f"link add {self.name} type bridge")
        ip(f"address add {self.address}/16 dev {self.name}")
        ip(f"link set {self.name} up")
        # All of them are this host's, without an entry for each.
        ip(f"route add local {self.strangers} dev lo")

    def host(self, name):
        """A new host; the first one is at 10.77.0.2."""
        self.hosts.append(Host(self, name, f"10.77.0.{len(self.hosts) + 2}"))
        return self.hosts[-1]

    def use_ipv6(self):
        """The test is at `address6`, and may come from any in `strangers6`."""
        for interface in ("lo", self.name):
            _allow_ipv6(interface)
        # A bridge has the least of its ports' otherwise.
        ip(f"link set {self.name} address {_hardware_address(self.name)}")
        ip(f"address replace {self.address6}/64 dev {self.name} nodad")
        ip(f"route replace local {self.strangers6} dev lo")
        # A route makes them this host's for what comes, and not for bind(2).
        _set_ipv6("ip_nonlocal_bind", "1")

    def close(self):
        for host in self.hosts:
            host.close()
        ip(f"route del local {self.strangers} dev lo")
        ip(f"link del {self.name}")


class Host:
    """One host. `traffic` is its interface for packets that the test sends:
    `traffic.name` is what the host calls it."""

    def __init__(self, bridge, name, address):
        self.name = name
        self.address = address
        self._bridge = bridge
        home = _open_namespace()
        try:
            _checked(_libc.unshare(CLONE_NEWNET), "unshare")
            self._namespace = _open_namespace()
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)
        with self.inside():
            for scope in ("all", "default"):
                path = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
                if os.path.exists(path):
                    with open(path, "w", encoding="ascii") as f:
                        f.write("1")
            ip("link set lo up")
        self._port = network.new_name("port")
        self._uplink = uplink = network.new_name("up")
        ip(f"link add {self._port} type veth peer name {uplink}")
        ip(f"link set {self._port} master {bridge.name} up")
        self._take(uplink)
        with self.inside():
            ip(f"address add {address}/16 dev {uplink}")
            ip(f"link set {uplink} up")
            ip(f"route add {bridge.strangers} via {bridge.address}")
        self.traffic = network.Veth("cap")
        self._take(self.traffic.name)
        with self.inside():
            ip(f"link set {self.traffic.name} up")

    def _take(self, interface):
        path = f"/proc/self/fd/{self._namespace}"
        subprocess.run(
            ["ip", "link", "set", interface, "netns", path],
            check=True,
            pass_fds=[self._namespace],
        )

    @contextlib.contextmanager
    def inside(self):
        """This thread, and processes that it starts, are on the host."""
        home = _open_namespace()
        _checked(_libc.setns(self._namespace, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            _checked(_libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def prepare(self, user=None, descriptors=None):
        """For `preexec_fn`: the child is a process of the host's, of this user,
        with so many descriptors, and does not outlive the test."""

        def prepare():
            _checked(_libc.setns(self._namespace, CLONE_NEWNET), "setns")
            # /sys shows the interfaces of the namespace it was mounted in.
            _checked(_libc.unshare(CLONE_NEWNS), "unshare")
            mounted = _libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None)
            _checked(mounted, "mount /sys")
            if descriptors:
                bounds = (descriptors, descriptors)
                resource.setrlimit(resource.RLIMIT_NOFILE, bounds)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            # Last: a change of the user takes it back.
            network.die_with_parent()

        return prepare

    def with_ipv6(self):
        """Gives it an address of IPv6 as well; returns that."""
        bridge = self._bridge
        bridge.use_ipv6()
        address = "fd00:77::" + self.address.rsplit(".", 1)[1]
        # Each knows where the other is: looking for neighbours takes seconds in
        # which addresses are tried out.
        there = _hardware_address(bridge.name)
        with self.inside():
            here = _hardware_address(self._uplink)
        ip(f"neighbour replace {address} lladdr {here} dev {bridge.name}")
        with self.inside():
            for interface in ("lo", self._uplink):
                _allow_ipv6(interface)
            ip(f"address replace {address}/64 dev {self._uplink} nodad")
            ip(f"neighbour replace {bridge.address6} lladdr {there}"
               f" dev {self._uplink}")
            ip(f"route replace {bridge.strangers6} via {bridge.address6}")
        return address

    @contextlib.contextmanager
    def unplugged(self):
        """Nothing reaches the host from the bridge, nor the bridge from it."""
        ip(f"link set {self._port} down")
        try:
            yield
        finally:
            ip(f"link set {self._port} up")

    @contextlib.contextmanager
    def slow(self, rate, burst="64kb"):
        """What the host sends to the bridge is no faster than that."""
        with self.inside():
            _tc(f"add dev {self._uplink} root tbf rate {rate} burst {burst}"
                " latency 50ms")
        try:
            yield
        finally:
            with self.inside():
                _tc(f"del dev {self._uplink} root")

    @contextlib.contextmanager
    def lossy(self, percent):
        """So many of the packets from and to the bridge are lost."""
        rule = f"numgen random mod 100 < {percent} counter drop"
        table = "".join(
            f"chain {hook} {{\n type filter hook {hook} priority -400\n"
            f" {interface} \"{self._uplink}\" {rule}\n}}\n"
            for hook, interface in (("input", "iifname"), ("output", "oifname"))
        )
        done = self.run(
            ["nft", "-f", "-"], input=f"table inet loss {{\n{table}}}\n".encode()
        )
        assert done.returncode == 0, done.stderr
        try:
            yield
        finally:
            done = self.run(["nft", "delete", "table", "inet", "loss"])
            assert done.returncode == 0, done.stderr

    def start(self, command, log, user=None, descriptors=None):
        """Starts a process; all that it says goes to the file `log`."""
        with open(log, "ab") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=self.prepare(user, descriptors),
            )

    def run(self, command, user=None, **options):
        """Runs a command to its end."""
        return subprocess.run(
            command,
            capture_output=True,
            timeout=30,
            preexec_fn=self.prepare(user),
            **options,
        )

    def close(self):
        """Leaves the host, which vanishes with its last process."""
        if self._namespace >= 0:
            ip(f"link del {self._port}")
            # Its end on the host goes with it.
            ip(f"link del {self.traffic.name}p")
            os.close(self._namespace)
            self._namespace = -1


def connect_error(host, user, address, port):
    """The errno of connect(2) by a user of the host; 0 if it succeeds."""
    program = (
        "import socket, sys; s = socket.socket(); s.settimeout(10);"
        "print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"
    )
    done = host.run(
        ["/usr/bin/python3", "-c", program, address, str(port)], user
    )
    assert done.returncode == 0, done.stderr
    number = int(done.stdout)
    assert number != errno.EAGAIN, "no answer at all"
    return number
