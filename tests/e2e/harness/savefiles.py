"""Strict readers of pcap and pcapng files: any doubt is an error."""

import struct
from dataclasses import dataclass, field

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
LINKTYPE_LINUX_SLL2 = 276

PCAP_MAGIC_MICROSECONDS = 0xA1B2C3D4
PCAP_MAGIC_NANOSECONDS = 0xA1B23C4D


@dataclass(frozen=True)
class Record:
    """One packet of a savefile."""

    time_ns: int
    data: bytes
    original_length: int
    link_type: int
    interface: str = ""


@dataclass
class Savefile:
    """What a savefile holds."""

    records: list
    # Of a classic file; None for a pcapng file.
    link_type: int = None
    snaplen: int = None
    nanoseconds: bool = None
    # Of a pcapng file: name to link type.
    interfaces: dict = field(default_factory=dict)


def read_pcap(content):
    """Reads a classic file; raises ValueError unless it is whole."""
    if len(content) < 24:
        raise ValueError(f"{len(content)} bytes are no pcap header")
    magic, major, minor, zone, accuracy, snaplen, link = struct.unpack_from(
        "<IHHiIII", content
    )
    if magic not in (PCAP_MAGIC_MICROSECONDS, PCAP_MAGIC_NANOSECONDS):
        raise ValueError(f"not a pcap magic: {magic:#x}")
    if (major, minor, zone, accuracy) != (2, 4, 0, 0):
        raise ValueError(f"odd header: {(major, minor, zone, accuracy)}")
    unit = 1 if magic == PCAP_MAGIC_NANOSECONDS else 1000
    records = []
    at = 24
    while at < len(content):
        if len(content) - at < 16:
            raise ValueError(f"record header cut at byte {at}")
        seconds, fraction, captured, original = struct.unpack_from(
            "<IIII", content, at
        )
        at += 16
        if fraction * unit >= 1_000_000_000:
            raise ValueError(f"fraction of a second too large at byte {at}")
        if captured > original or captured > snaplen:
            raise ValueError(f"length {captured} of {original} at byte {at}")
        if len(content) - at < captured:
            raise ValueError(f"packet cut at byte {at}")
        records.append(
            Record(
                seconds * 1_000_000_000 + fraction * unit,
                content[at : at + captured],
                original,
                link,
            )
        )
        at += captured
    return Savefile(records, link, snaplen, unit == 1)


def _options(content):
    at = 0
    found = {}
    while at < len(content):
        code, length = struct.unpack_from("<HH", content, at)
        at += 4
        if code == 0:
            if length or at != len(content):
                raise ValueError("bytes behind the end of options")
            return found
        if at + length > len(content):
            raise ValueError(f"option {code} is cut")
        found[code] = content[at : at + length]
        at += length + -length % 4
    return found


def _interface(body):
    link, reserved, snaplen = struct.unpack_from("<HHI", body)
    if reserved:
        raise ValueError("reserved bytes of an interface are not 0")
    options = _options(body[8:])
    resolution = options.get(9, b"\x06")[0]
    if resolution & 0x80:
        raise ValueError("time stamps in powers of two are not expected")
    # A capture that ended before it had an interface has one without a name.
    name = options.get(2, b"").decode()
    return name, link, snaplen, 10 ** (9 - resolution)


def read_pcapng(content, interrupted=False):
    """Reads a pcapng file of one section; raises ValueError unless whole.

    A capture that was interrupted has an interface more than once.
    """
    interfaces = []
    records = []
    at = 0
    while at < len(content):
        if len(content) - at < 12:
            raise ValueError(f"block cut at byte {at}")
        kind, length = struct.unpack_from("<II", content, at)
        if length < 12 or length % 4 or at + length > len(content):
            raise ValueError(f"block of {length} bytes at byte {at}")
        if struct.unpack_from("<I", content, at + length - 4)[0] != length:
            raise ValueError(f"lengths of the block at byte {at} differ")
        body = content[at + 8 : at + length - 4]
        if (kind == 0x0A0D0D0A) != (at == 0):
            raise ValueError(f"block {kind:#x} at byte {at}")
        if kind == 0x0A0D0D0A:
            magic, major, minor = struct.unpack_from("<IHH", body)
            if (magic, major, minor) != (0x1A2B3C4D, 1, 0):
                raise ValueError("odd section header")
            _options(body[16:])
        elif kind == 1:
            interfaces.append(_interface(body))
        elif kind == 6:
            number, high, low, captured, original = struct.unpack_from(
                "<IIIII", body
            )
            name, link, snaplen, unit = interfaces[number]
            if captured > original or (snaplen and captured > snaplen):
                raise ValueError(f"length {captured} of {original}")
            data = body[20 : 20 + captured]
            if len(data) != captured:
                raise ValueError(f"packet cut at byte {at}")
            _options(body[20 + captured + -captured % 4 :])
            records.append(
                Record((high << 32 | low) * unit, data, original, link, name)
            )
        elif kind == 5:
            if struct.unpack_from("<I", body)[0] >= len(interfaces):
                raise ValueError("statistics of no interface")
            _options(body[12:])
        else:
            raise ValueError(f"block {kind:#x} is not expected")
        at += length
    named = {name: link for name, link, _, _ in interfaces}
    if not content or (len(named) != len(interfaces) and not interrupted):
        raise ValueError("empty, or two interfaces of one name")
    return Savefile(records, interfaces=named)


@dataclass(frozen=True)
class Sll2:
    """The LINUX_SLL2 header of a packet, and what follows it."""

    protocol: int
    interface_index: int
    hardware_type: int
    packet_type: int
    address: bytes
    payload: bytes


def split_sll2(data):
    """Takes a LINUX_SLL2 packet apart."""
    protocol, reserved, index, hardware, kind, length, address = (
        struct.unpack_from("!HHIHBB8s", data)
    )
    if reserved or length > 8 or any(address[length:]):
        raise ValueError(f"odd LINUX_SLL2 header: {data[:20].hex()}")
    return Sll2(protocol, index, hardware, kind, address[:length], data[20:])
