"""Writes a job's output to one file of fixed size in the container's own memory, and never to the engine.

An engine's log drivers buffer a container's output in the engine's own memory, as root and without a limit: the ring buffer of moby's
non-blocking mode counts the bytes of lines, so that any number of empty lines counts as nothing. So process 1 of a job's container is
`PROGRAM`, run by the image's Python. It closes the pipes to the engine (then nothing in the container has them, /proc/1/fd included),
starts the job's command as its only child with one pipe for both streams, and writes the first and the last bytes to /log, a small tmpfs
volume that the holder has mounted, too. The file is up to date after each read, so SIGKILL loses at most what was in the pipe.

It ends GRACE_S after the wall clock, and with it everything in the container, if nobody has killed the container: when runner and
watchdog were both killed. This is no deadline (the command may take over process 1), but ordinary scripts leave nothing behind.

As process 1 it reaps orphans and exits with the command's own exit code, 128 + n for signal n. Arguments, environment, folder, signal
dispositions and process group of the command are as without the launcher. It has the job's user, so the job may spoil the file. That
costs the job only its own log.
"""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.outcome import MAX_LOG_CHARS
from sandbox.sanitise import sanitise

FOLDER, NAME = "/log", "log"
GRACE_S = 30.0
"""Seconds after its wall clock at which a container ends itself if nobody has killed it. Then its output does not count."""
INODES = 8
_SEEN_BYTES = 8
_BLOCK = 65536
"""Bytes of one read, and of a Linux pipe (pipe(7))."""
_HEAD_CHARS = 2000

# `signal` would import enum, a third of the start: `_signal` is what it wraps.
PROGRAM = r"""
import _signal, os, select, sys, time
HEAD, TAIL, BLOCK, SEEN = map(int, sys.argv[1:5])
end = time.monotonic() + float(sys.argv[5])
command = sys.argv[6:]
with open("/proc/self/environ", "rb") as file:  # as it was given: Python itself adds LC_CTYPE
    environment = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
log = os.open("/log/log", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
reader, writer = os.pipe()
woken, wake = os.pipe()
null = os.open("/dev/null", os.O_RDWR)
for stream in (0, 1, 2):
    os.dup2(null, stream)
for number in (_signal.SIGINT, _signal.SIGPIPE, _signal.SIGXFSZ):
    _signal.signal(number, _signal.SIG_DFL)
for fd in (reader, woken, wake):
    os.set_blocking(fd, False)
_signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
_signal.signal(_signal.SIGCHLD, lambda *_: None)
child = os.fork()
if child == 0:
    try:
        os.setpgid(0, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.execvpe(command[0], command, environment)
    except OSError as error:
        os.write(2, f"{command[0]} cannot be started: {error.strerror}\n".encode())
    finally:
        os._exit(127)
os.close(writer)
seen, status = 0, None
def keep(block):
    global seen
    try:
        while block:
            at = seen if seen < HEAD else HEAD + (seen - HEAD) % TAIL
            part = block[:(HEAD if seen < HEAD else HEAD + TAIL) - at]
            os.pwrite(log, part, SEEN + at)
            seen += len(part)
            block = block[len(part):]
        os.pwrite(log, seen.to_bytes(SEEN, "little"), 0)
    except OSError:  # the command spoiled its own log
        pass
def read():
    try:
        return os.read(reader, BLOCK)
    except BlockingIOError:
        return None
poll = select.poll()
poll.register(reader, select.POLLIN)
poll.register(woken, select.POLLIN)
while status is None:
    if time.monotonic() >= end:
        os._exit(137)
    for fd, _ in poll.poll(1000):
        if fd == woken:
            os.read(woken, 4096)
        elif block := read():
            keep(block)
        elif block == b"":
            poll.unregister(reader)
    for _ in range(1000):
        try:
            found, how = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if found == 0:
            break
        if found == child:
            status = how
            break
left = 1 << 20  # as much as a pipe can hold: a process that was left behind may go on for ever
while left > 0 and (block := read()):
    keep(block)
    left -= len(block)
os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
"""


def command(python: str, job_command: Sequence[str], log_bytes: int, wall_clock_s: float) -> tuple[str, ...]:
    """The container's whole command line. `python` is an interpreter inside the image."""
    numbers = (*_shares(log_bytes), _BLOCK, _SEEN_BYTES, wall_clock_s + GRACE_S)
    return (python, "-I", "-S", "-B", "-c", PROGRAM, *map(str, numbers), *job_command)


def volume_bytes(log_bytes: int) -> int:
    """Size of a volume that the file fits into."""
    return log_bytes + _BLOCK


def file_bytes(log_bytes: int) -> int:
    """Largest size of the file in bytes, for the collector's limit."""
    return log_bytes + _SEEN_BYTES


def text(raw: bytes, log_bytes: int) -> str:
    """The file's content as harmless text of at most MAX_LOG_CHARS characters: all of it, or the beginning, a line that says that
    something is missing, and the end. `raw` comes from the container and can be anything."""
    head, tail = _shares(log_bytes)
    seen, kept = int.from_bytes(raw[:_SEEN_BYTES], "little"), raw[_SEEN_BYTES:]
    if seen <= head + tail:
        return _ends(sanitise(kept[:seen], max_chars=log_bytes))
    at = (seen - head) % tail
    ring = kept[head:]
    # a kill between data and count leaves newer bytes in place of the oldest
    end = (ring[at:] + ring[:at])[min(_BLOCK, tail // 2) :]
    between = f"\n[… the beginning and the end of {seen:,} bytes …]\n"
    beginning = sanitise(kept[:head], max_chars=head)[:_HEAD_CHARS]
    return beginning + between + sanitise(end, max_chars=MAX_LOG_CHARS - len(beginning) - len(between))


def _ends(whole: str) -> str:
    if len(whole) <= MAX_LOG_CHARS:
        return whole
    between = f"\n[… the beginning and the end of {len(whole):,} characters …]\n"
    return whole[:_HEAD_CHARS] + between + whole[_HEAD_CHARS + len(between) - MAX_LOG_CHARS :]


def _shares(log_bytes: int) -> tuple[int, int]:
    """Number of bytes in the first and in the last part."""
    return log_bytes // 4, log_bytes - log_bytes // 4
