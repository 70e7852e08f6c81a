"""Packets, built byte by byte, with right lengths and checksums."""

import ipaddress
import struct

ICMP = 1
TCP = 6
UDP = 17
ICMPV6 = 58

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_VLAN = 0x8100
ETHERTYPE_QINQ = 0x88A8
ETHERTYPE_IPV6 = 0x86DD

SOURCE_MAC = bytes.fromhex("020000000001")
DESTINATION_MAC = bytes.fromhex("020000000002")


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo_header(source, destination, protocol, length):
    a = ipaddress.ip_address(source).packed
    b = ipaddress.ip_address(destination).packed
    if len(a) == 4:
        return a + b + struct.pack("!BBH", 0, protocol, length)
    return a + b + struct.pack("!II", length, protocol)


def udp(source, destination, source_port, destination_port, payload=b""):
    """A UDP datagram; the addresses go into its checksum."""
    length = 8 + len(payload)
    head = struct.pack("!HHHH", source_port, destination_port, length, 0)
    pseudo = _pseudo_header(source, destination, UDP, length)
    value = checksum(pseudo + head + payload) or 0xFFFF
    return head[:6] + struct.pack("!H", value) + payload


def tcp(source, destination, source_port, destination_port, payload=b""):
    """A TCP segment with PSH and ACK."""
    ports = struct.pack("!HH", source_port, destination_port)
    head = ports + struct.pack("!IIBBHHH", 1, 1, 5 << 4, 0x18, 1024, 0, 0)
    pseudo = _pseudo_header(source, destination, TCP, len(head) + len(payload))
    value = checksum(pseudo + head + payload)
    return head[:16] + struct.pack("!HH", value, 0) + payload


def icmp_echo(payload=b""):
    """An ICMP echo request."""
    head = struct.pack("!BBHHH", 8, 0, 0, 7, 1)
    value = checksum(head + payload)
    return struct.pack("!BBHHH", 8, 0, value, 7, 1) + payload


def icmpv6_echo(source, destination, payload=b""):
    """An ICMPv6 echo request."""
    length = 8 + len(payload)
    pseudo = _pseudo_header(source, destination, ICMPV6, length)
    value = checksum(pseudo + struct.pack("!BBHHH", 128, 0, 0, 7, 1) + payload)
    return struct.pack("!BBHHH", 128, 0, value, 7, 1) + payload


def ipv4(
    source,
    destination,
    protocol,
    payload,
    options=b"",
    fragment_offset=0,
    more_fragments=False,
):
    """An IPv4 packet; `fragment_offset` in bytes, a multiple of 8."""
    assert len(options) % 4 == 0 and fragment_offset % 8 == 0
    header_length = 20 + len(options)
    head = struct.pack(
        "!BBHHHBBH4s4s",
        0x40 | header_length // 4,
        0,
        header_length + len(payload),
        1,
        (0x2000 if more_fragments else 0) | fragment_offset // 8,
        64,
        protocol,
        0,
        ipaddress.IPv4Address(source).packed,
        ipaddress.IPv4Address(destination).packed,
    )
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, destination, next_header, payload, hop_by_hop=False):
    """An IPv6 packet, on demand with a hop-by-hop header of eight bytes."""
    if hop_by_hop:
        # PadN of four bytes fills the header.
        payload = struct.pack("!BBBB4x", next_header, 0, 1, 4) + payload
        next_header = 0
    return (
        struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64)
        + ipaddress.IPv6Address(source).packed
        + ipaddress.IPv6Address(destination).packed
        + payload
    )


def ethernet(payload, ethertype=None, vlans=()):
    """An Ethernet frame; `vlans` are the tags, outermost first."""
    if ethertype is None:
        ethertype = ETHERTYPE_IPV6 if payload[0] >> 4 == 6 else ETHERTYPE_IPV4
    tags = b""
    for i, vlan in enumerate(vlans):
        inner = i + 1 == len(vlans)
        tag = ETHERTYPE_VLAN if inner else ETHERTYPE_QINQ
        tags += struct.pack("!HH", tag, vlan)
    tags += struct.pack("!H", ethertype)
    return DESTINATION_MAC + SOURCE_MAC + tags + payload


def udp_ipv4(
    payload=b"",
    source="192.0.2.1",
    destination="198.51.100.1",
    source_port=4000,
    destination_port=5000,
):
    """A whole IPv4 packet with a UDP datagram."""
    datagram = udp(source, destination, source_port, destination_port, payload)
    return ipv4(source, destination, UDP, datagram)


def marked(number, length=32):
    """A payload that starts with `number` and is `length` bytes long."""
    filler = bytes((number * 7 + i) & 0xFF for i in range(length - 8))
    return b"seq " + struct.pack("!I", number) + filler
