# EXPECT: outcome=no_artifact says=held
# What /proc, /sys and /dev tell of the host or let one change.
import os

unreadable = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/sysrq-trigger",
    "/proc/1/root/etc/shadow",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/sda",
    "/dev/vda",
    "/sys/firmware/dmi/tables/DMI",
    "/sys/class/powercap/intel-rapl:0/energy_uj",
    "/sys/kernel/debug/tracing/trace",
    "/etc/shadow",
]
for path in unreadable:
    try:
        with open(path, "rb") as file:
            content = file.read(16)
        print("ESCAPED:" if content else "held: empty", path)
    except OSError as error:
        print("held:", path, error.strerror)
for path in (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/vm/drop_caches",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/cgroup.procs",
    "/sys/fs/cgroup/devices/devices.allow",
    "/sys/fs/cgroup/release_agent",
):
    try:
        with open(path, "w"):
            print("ESCAPED: may write", path)
    except OSError as error:
        print("held:", path, error.strerror)
own = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
print("held" if len(own) <= 2 else "ESCAPED:", own)
devices = set(os.listdir("/dev"))
usual = set(
    "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero console".split()
)
print("held" if devices <= usual else "ESCAPED:", devices - usual)
