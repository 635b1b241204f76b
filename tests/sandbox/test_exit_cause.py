"""How real containers end, and that they do."""

from __future__ import annotations

import platform
import secrets
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from processes import living_with

from sandbox.docker_engine import DockerEngine
from sandbox.outcome import Ending, Fault, Refusal
from sandbox.spec import MIB, Output, Role

pytestmark = pytest.mark.engine


def test_a_script_that_ends_well_is_collected(sandboxed: Any) -> None:
    outcome = sandboxed("open('/out/report', 'w').write('fine'); print('hello')")
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 0, Fault.NONE)
    assert outcome.files["report"].path.read_text() == "fine"
    assert outcome.log_tail == "hello\n"


def test_a_script_that_fails_is_its_own_fault(sandboxed: Any) -> None:
    outcome = sandboxed("raise SystemExit(3)")
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 3, Fault.CANDIDATE)


def test_a_script_that_kills_itself_is_its_own_fault(sandboxed: Any) -> None:
    outcome = sandboxed("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 137, Fault.CANDIDATE)


def test_a_script_that_ignores_every_signal_is_killed_at_the_deadline(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import os, signal, time\nopen('/out/report', 'w').write('saved')\n"
        "for n in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "for n in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):\n"
        "    try: os.kill(1, n)\n"
        "    except OSError: pass\n"
        "while True: time.sleep(1)",
        wall_clock_s=1.5,
    )
    assert outcome.ending is Ending.TIMED_OUT
    assert 1.5 <= outcome.seconds < 4
    assert outcome.files["report"].path.read_text() == "saved"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the program is written for x86-64")
def test_whoever_takes_over_process_one_dies_at_the_deadline_too(sandboxed: Any) -> None:
    """Same user, so /proc/1/mem is open to it (unless Yama forbids): a clock inside the container is
    none. Here process 1 is overwritten with a slide of no-ops that ends in a jump to itself."""
    outcome = sandboxed(
        "import time\n"
        "try:\n"
        "    memory = open('/proc/1/mem', 'r+b', buffering=0)\n"
        "    for line in open('/proc/1/maps'):\n"
        "        span, rights = line.split()[:2]\n"
        "        if 'x' in rights and 'vsyscall' not in line and 'vdso' not in line:\n"
        "            start, end = (int(part, 16) for part in span.split('-'))\n"
        "            memory.seek(start); memory.write(b'\\x90' * (end - start - 2) + b'\\xeb\\xfe')\n"
        "except OSError as error: print(error)\n"
        "time.sleep(60)",
        wall_clock_s=1.5,
    )
    # what it wrote over process 1 may also kill that, and with it everything; it never lives longer
    assert outcome.ending in {Ending.TIMED_OUT, Ending.EXITED}
    assert outcome.seconds < 5


def test_a_daemon_in_a_session_of_its_own_does_not_survive(sandboxed: Any) -> None:
    marker = f"survivor-{secrets.token_hex(8)}"
    outcome = sandboxed(
        "import os, signal, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        open('/out/report', 'w').write('daemon')\n"
        "        while True: time.sleep(1)\n"
        "    os._exit(0)\n"
        "while not os.path.exists('/out/report'): time.sleep(0.01)",
        arguments=(marker,),
    )
    assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0)
    assert "report" in outcome.files
    assert living_with(marker) == []


def test_a_fork_bomb_is_contained_and_cleared_away(sandboxed: Any) -> None:
    marker = f"bomb-{secrets.token_hex(8)}"
    outcome = sandboxed(
        "import os\nopen('/out/report', 'w').write('x')\n"
        "while True:\n"
        "    try: os.fork()\n"
        "    except OSError: pass",
        wall_clock_s=1.5,
        arguments=(marker,),
    )
    assert outcome.ending is Ending.TIMED_OUT
    assert outcome.seconds < 6
    assert living_with(marker) == []


def test_a_memory_bomb_ends_as_out_of_memory(sandboxed: Any) -> None:
    outcome = sandboxed(
        "hoard = []\nwhile True: hoard.append(bytearray(b'x' * (16 << 20)))", memory_bytes=128 * MIB
    )
    assert (outcome.ending, outcome.fault) == (Ending.OUT_OF_MEMORY, Fault.CANDIDATE)
    assert outcome.memory_peak_bytes == 128 * MIB


def test_a_child_that_ran_out_of_memory_is_noted_and_the_parents_answer_counts(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import os\nif os.fork() == 0:\n"
        "    open('/proc/self/oom_score_adj', 'w').write('1000')\n"
        "    hoard = []\n"
        "    while True: hoard.append(bytearray(b'x' * (16 << 20)))\n"
        "_, status = os.wait()\nopen('/out/report', 'w').write(str(os.WTERMSIG(status)))",
        memory_bytes=128 * MIB,
    )
    assert outcome.files["report"].path.read_text() == "9"
    assert (outcome.ending, outcome.exit_code) == (Ending.EXITED, 0)
    assert "memory" in outcome.detail


def test_the_memory_peak_is_measured(sandboxed: Any) -> None:
    outcome = sandboxed("import time; x = bytearray(b'x' * (100 << 20)); time.sleep(1)")
    assert outcome.memory_peak_bytes is not None
    assert 100 * MIB < outcome.memory_peak_bytes < 256 * MIB


def test_the_output_folder_is_full_at_its_size_and_its_inodes(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import json\nwritten = files = 0\n"
        "try:\n    f = open('/out/full', 'wb', buffering=0)\n"
        "    while True: written += f.write(b'x' * 4096)\n"
        "except OSError as e: first = e.errno\n"
        "try:\n    g = open('/out/more', 'wb', buffering=0)\n    written += g.write(b'x' * 8192)\n"
        "except OSError as e: first = e.errno\n"
        "open('/out/full', 'wb').close()\n"
        "try:\n    while True: open(f'/out/{files}', 'x').close(); files += 1\n"
        "except OSError as e: second = e.errno\n"
        "import os; os.unlink('/out/0')\n"
        "json.dump([written, first, files, second], open('/out/report', 'w'))"
    )
    import json

    written, first, files, second = json.loads(outcome.files["report"].path.read_text())
    assert (first, second) == (28, 28)  # ENOSPC
    assert written == 8 * MIB
    assert files < 32


def test_only_plain_files_of_the_asked_names_cross_the_border(sandboxed: Any) -> None:
    names = "good link fifo hard folder sparse large missing socket".split()
    outcome = sandboxed(
        "import os, socket\nos.chdir('/out')\n"
        "open('good', 'wb').write(b'g' * 100000)\n"
        "os.symlink('/etc/passwd', 'link')\nos.mkfifo('fifo')\n"
        "open('target', 'w').write('x'); os.link('target', 'hard')\nos.mkdir('folder')\n"
        "open('sparse', 'wb').truncate(900000)\nopen('large', 'wb').write(b'l' * 1000001)\n"
        "socket.socket(socket.AF_UNIX).bind('socket')\nopen('unasked', 'w').write('x')",
        outputs=tuple(Output(name, 1_000_000) for name in names),
    )
    assert {name: str(why) for name, why in outcome.refusals.items()} == {
        "link": Refusal.SYMLINK,
        "fifo": Refusal.NOT_REGULAR,
        "hard": Refusal.HARD_LINKED,
        "folder": Refusal.NOT_REGULAR,
        "sparse": Refusal.SPARSE,
        "large": Refusal.TOO_LARGE,
        "missing": Refusal.MISSING,
        "socket": Refusal.NOT_REGULAR,
    }
    assert list(outcome.files) == ["good"]
    folder = outcome.files["good"].path.parent
    assert [path.name for path in folder.iterdir()] == ["good"]


def test_a_flood_of_output_is_cut_and_does_not_block(sandboxed: Any) -> None:
    outcome = sandboxed(
        "import os\nos.write(1, b'the beginning\\n')\n"
        "for _ in range(1024): os.write(1, b'\\x1b[31mx\\x00\\xff' * 8192)\nos.write(1, b'\\nthe end\\n')",
    )
    assert outcome.exit_code == 0
    assert len(outcome.log_tail) <= 16_000
    assert "\x1b" not in outcome.log_tail
    assert "\x00" not in outcome.log_tail
    assert outcome.log_tail.startswith("the beginning\n")
    assert outcome.log_tail.endswith("\nthe end\n")


def test_what_one_candidate_leaves_the_next_does_not_find(sandboxed: Any) -> None:
    places = "('/tmp/m', '/dev/shm/m', '/out/report', '/dev/mqueue/m')"
    sandboxed(
        f"for p in {places}:\n    try: open(p, 'w').write('marker')\n    except OSError: pass", outputs=()
    )
    outcome = sandboxed(f"import os; print([p for p in {places} if os.path.exists(p)])")
    assert outcome.log_tail == "[]\n"


def _when_running(engine: DockerEngine, run: str, action: Callable[[str], None]) -> threading.Thread:
    """Do `action` with the train container's id as soon as it runs."""

    def watch() -> None:
        end = time.monotonic() + 15
        while time.monotonic() < end:
            for item in engine.remnants(run):
                if item.kind == "container" and item.role == Role.TRAIN:
                    state = engine.client.inspect_container(item.id)["State"]
                    if state["Running"]:
                        action(item.id)
                        return
            time.sleep(0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_a_container_that_somebody_removes_is_lost(sandboxed: Any, engine: DockerEngine) -> None:
    thread = _when_running(
        engine, sandboxed.name, lambda found: engine.client.remove_container(found, force=True)
    )
    outcome = sandboxed("import time; time.sleep(60)")
    thread.join()
    assert (outcome.ending, outcome.fault) == (Ending.LOST, Fault.INFRASTRUCTURE)
    assert outcome.seconds < 20


def test_a_container_that_somebody_kills_is_lost_and_not_the_candidates_fault(
    sandboxed: Any, engine: DockerEngine
) -> None:
    thread = _when_running(engine, sandboxed.name, lambda found: engine.client.kill(found))
    outcome = sandboxed("import time; time.sleep(60)")
    thread.join()
    assert (outcome.ending, outcome.fault) == (Ending.LOST, Fault.INFRASTRUCTURE)


def test_an_interrupt_leaves_nothing_behind(sandboxed: Any, engine: DockerEngine) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(KeyboardInterrupt):
            sandboxed("import time; time.sleep(60)")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert engine.remnants(sandboxed.name) == []


def test_an_image_that_is_gone_starts_nothing(sandboxed: Any, engine: DockerEngine) -> None:
    import dataclasses

    job = dataclasses.replace(sandboxed.job("pass"), image="sha256:" + "0" * 64)
    outcome = engine.run(job)
    assert outcome.ending is Ending.REFUSED
    assert "autoresearch build" in outcome.detail


def test_a_gpu_that_the_engine_cannot_hand_out_starts_nothing(sandboxed: Any, engine: DockerEngine) -> None:
    import dataclasses

    if engine.dialect.gpu_driver is not None:
        pytest.skip("this engine hands out GPUs")
    job = sandboxed.job("pass")
    outcome = engine.run(
        dataclasses.replace(job, lease=dataclasses.replace(job.lease, gpu_uuid="GPU-00000000"))
    )
    assert outcome.ending is Ending.REFUSED
    assert "nvidia-container-toolkit" in outcome.detail


def test_a_container_starts_within_a_second(sandboxed: Any) -> None:
    """From the request to Python's first line, warm; the budget of a run is mostly training."""
    sandboxed("pass")
    started = time.time()
    outcome = sandboxed("import time; print(time.time())")
    assert float(outcome.log_tail) - started < 1.5
