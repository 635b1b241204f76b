# EXPECT: outcome=no_artifact says=held
# Ports of its own loopback at which engines and their helpers listen on careless hosts.
import socket

for port in (2375, 2376, 4243, 4789, 5000, 8080, 10250):
    try:
        with socket.socket() as probe:
            probe.settimeout(1)
            probe.connect(("127.0.0.1", port))
            print("ESCAPED: something listens at", port)
    except OSError as error:
        print("held:", port, error.strerror)
