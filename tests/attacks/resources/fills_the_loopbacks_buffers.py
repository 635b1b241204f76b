# EXPECT: outcome=no_artifact says=held
# What TCP has buffered counts to the whole machine's tcp_mem, and with cgroup v1 to no container's memory. Bounded: 256 MiB.
import socket

try:
    server = socket.create_server(("127.0.0.1", 0))
    pairs = []
    for _ in range(64):
        client = socket.create_connection(server.getsockname())
        pairs.append((client, server.accept()[0]))
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        try:
            client.send(bytes(4 << 20))
        except BlockingIOError:
            pass
    print("ESCAPED: buffers of", len(pairs), "connections")
except OSError as error:
    print("held:", error.strerror)
