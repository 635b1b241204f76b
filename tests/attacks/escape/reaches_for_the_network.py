# EXPECT: outcome=no_artifact says=held
# No packet is sent even where nothing forbids it: a datagram socket's connect only looks for a route.
import os
import socket

places = {
    "documentation": (socket.AF_INET, ("192.0.2.1", 9)),
    "metadata": (socket.AF_INET, ("169.254.169.254", 80)),
    "the engine's bridge": (socket.AF_INET, ("172.17.0.1", 2375)),
    "name server": (socket.AF_INET, ("198.51.100.53", 53)),
    "IPv6": (socket.AF_INET6, ("2001:db8::1", 9)),
    "multicast": (socket.AF_INET, ("239.255.0.1", 9)),
}
for name, (family, address) in places.items():
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
        print("ESCAPED: a route to", name)
    except OSError as error:
        print("held:", name, error.strerror)
families = {
    "netlink": (16, 3, 0),
    "packet": (17, 3, 3),
    "alg": (38, 5, 0),
    "vsock": (40, 1, 0),
    "bluetooth": (31, 3, 0),
}
families |= {
    "raw": (2, 3, 1),
    "raw6": (10, 3, 58),
    "ib": (27, 1, 0),
    "xdp": (44, 3, 0),
    "tipc": (30, 1, 0),
    "rds": (21, 5, 0),
}
for name, arguments in families.items():
    try:
        socket.socket(*arguments).close()
        print("ESCAPED: a socket of", name)
    except OSError as error:
        print("held:", name, error.strerror)
print("held" if sorted(os.listdir("/sys/class/net")) == ["lo"] else "ESCAPED:", os.listdir("/sys/class/net"))
abstract = [line.split()[-1] for line in open("/proc/net/unix") if " @" in line]
print("ESCAPED:" if abstract else "held: no abstract socket", abstract)
print("ESCAPED" if os.path.exists("/dev/infiniband") else "held: no verbs")
