"""Runs inside an instance: tries what a user who is root there may try, and prints what came of it as JSON."""

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import threading

orders = json.loads(sys.argv[1])
results = {}


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def attempt(name, work):
    try:
        results[name] = work()
    except Exception as error:
        results[name] = type(error).__name__ + (" " + os.strerror(error.errno) if getattr(error, "errno", None) else "")


def tcp(address, port):
    with socket.create_connection((address, port), timeout=4) as connection:
        return connection.recv(100).decode().strip()


def udp(address, port, size=0, options=None):
    with socket.socket(family(address), socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(2)
        if "." in address:
            datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if options is not None:
            datagrams.setsockopt(socket.IPPROTO_IP, socket.IP_OPTIONS, options)
        target = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0][4]
        datagrams.sendto((address + " ").ljust(size).encode(), target)
        return datagrams.recv(100).decode().strip()


def names(name, kind, by):
    question = struct.pack("!6H", 4242, 0x0100, 1, 0, 0, 0)
    question += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack("!2H", kind, 1)
    if by == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(8)
            datagrams.connect(("127.0.0.1", 53))  # so that a port where nobody listens is told at once
            datagrams.send(question)
            answer = datagrams.recv(65535)
    else:
        with socket.create_connection(("127.0.0.1", 53), timeout=8) as connection:
            connection.sendall(struct.pack("!H", len(question)) + question)
            stream = connection.makefile("rb")
            answer = stream.read(struct.unpack("!H", stream.read(2))[0])
    identity, flags, _, answers, _, _ = struct.unpack("!6H", answer[:12])
    return {"id": identity, "truncated": bool(flags & 0x200), "code": flags & 15, "answers": answers, "bytes": len(answer), "hex": answer.hex()}


def take_device_down():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"eth0", 0, b""))  # SIOCSIFFLAGS
    return "down"


def take_address():
    address = struct.pack("16sH2s4s8s", b"eth0", socket.AF_INET, b"\0\0", socket.inet_aton("10.77.0.9"), b"")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8916, address)  # SIOCSIFADDR
    return "taken"


def open_raw(*kind):
    with socket.socket(*kind):
        return "open"


NEW_NAMESPACE = """
import ctypes, os, socket
library = ctypes.CDLL(None, use_errno=True)
if library.unshare(0x10000000 | 0x40000000) == 0:  # CLONE_NEWUSER, CLONE_NEWNET
    print("entered", *(name for _, name in socket.if_nameindex()))
else:
    print(os.strerror(ctypes.get_errno()))
"""


def new_namespace():
    """In a process of its own: one that has threads may not, and this one would be elsewhere afterwards."""
    return subprocess.check_output([sys.executable, "-c", NEW_NAMESPACE], text=True).strip()


def set_kernel(path, value):
    with open(path, "w") as file:
        file.write(value)
    return "written"


works = []
for address in orders.get("tcp", []):
    works.append(("tcp " + address, lambda address=address: tcp(address, orders["port"])))
for address in orders.get("udp", []):
    works.append(("udp " + address, lambda address=address: udp(address, orders["port"])))
for address in orders.get("long", []):
    works.append(("long " + address, lambda address=address: udp(address, orders["port"], 60000)))
for first, last in orders.get("routed", []):
    route = bytes([131, 7, 4]) + socket.inet_aton(last) + b"\1"  # loose source and record route
    works.append((f"routed {last}", lambda first=first, route=route: udp(first, orders["port"], options=route)))
for name, kind, by in orders.get("names", []):
    works.append((f"{by} {name} {kind}", lambda name=name, kind=kind, by=by: names(name, kind, by)))
if orders.get("rights"):
    works += [
        ("packet socket", lambda: open_raw(socket.AF_PACKET, socket.SOCK_RAW)),
        ("raw socket", lambda: open_raw(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)),
        ("raw socket 6", lambda: open_raw(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)),
        ("device down", take_device_down),
        ("other address", take_address),
        ("accept advertisements", lambda: set_kernel("/proc/sys/net/ipv6/conf/eth0/accept_ra", "2")),
        ("namespaces", new_namespace),
        ("own resolver", lambda: set_kernel("/etc/resolv.conf", "nameserver 8.8.8.8\n")),
    ]

threads = [threading.Thread(target=attempt, args=work) for work in works]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(results))
