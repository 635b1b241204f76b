"""What every engine promises, asked of the real one and of the pretended one with the same words."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from behaviours import Bench, Candidate

from sandbox.engine import ImageMissing, SandboxError
from sandbox.fake_engine import Script
from sandbox.outcome import Ending, Fault, Refusal
from sandbox.owner import this_process
from sandbox.spec import Limits, Monitor, Output


def write_a(folder: Path) -> None:
    (folder / "a").write_bytes(b"content")


GOOD = Candidate("open('/out/a', 'wb').write(b'content'); open('/out/other', 'w').write('x')", write_a)


def test_an_output_is_collected_whole_and_hashed_and_nothing_else_is(bench: Bench) -> None:
    job = bench.job(GOOD)
    outcome = bench.engine.run(job)
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 0, Fault.NONE)
    found = outcome.files["a"]
    assert found.path == job.destination / "a"
    assert found.path.read_bytes() == b"content"
    assert (found.bytes, found.sha256) == (7, hashlib.sha256(b"content").hexdigest())
    assert found.path.stat().st_mode & 0o777 == 0o644
    assert outcome.refusals == {"b": Refusal.MISSING}
    assert [path.name for path in job.destination.iterdir()] == ["a"]


def test_what_lies_in_the_destination_already_is_left_alone(bench: Bench) -> None:
    job = bench.job(GOOD)
    (job.destination / "train.py").write_text("source")
    bench.engine.run(job)
    assert (job.destination / "train.py").read_text() == "source"


def test_an_exit_code_is_passed_on(bench: Bench) -> None:
    outcome = bench.run(Candidate("raise SystemExit(3)", lambda _: Script(exit_code=3)))
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.EXITED, 3, Fault.CANDIDATE)


def test_the_log_is_harmless(bench: Bench) -> None:
    raw = b"\x1b[31mred\x1b[0m\x00\xff\xe2\x80\xae\n"
    outcome = bench.run(Candidate(f"import os; os.write(1, {raw!r})", lambda _: Script(log=raw)))
    assert outcome.log_tail == "red\ufffd\n"


def test_a_timeout_keeps_what_was_saved(bench: Bench) -> None:
    slow = Candidate(
        "import time; open('/out/a', 'wb').write(b'content'); time.sleep(60)",
        lambda folder: write_a(folder) or Script(Ending.TIMED_OUT),
    )
    outcome = bench.run(slow, limits=Limits(wall_clock_s=1.0, memory_bytes=1 << 27))
    assert (outcome.ending, outcome.fault) == (Ending.TIMED_OUT, Fault.CANDIDATE)
    assert "a" in outcome.files
    assert 1.0 <= outcome.seconds < 4


WRITES = Candidate(
    "import time\n"
    "for number in range(40):\n"
    "    print(number, file=open('/out/a', 'a'), flush=True)\n"
    "    time.sleep(0.5)",
    lambda folder: (
        (folder / "a").write_text("".join(f"{n}\n" for n in range(40))),
        Script(seconds=20.0),
    )[1],
)
FOUR = Limits(wall_clock_s=4, memory_bytes=1 << 27, pids=32, out_bytes=8 << 20)


def test_a_monitor_reads_along_and_ends_the_container_with_a_sentence(bench: Bench) -> None:
    seen: list[bytes] = []

    def see(added: bytes) -> str:
        seen.append(added)
        return "enough is\nenough" if b"3\n" in b"".join(seen) else ""

    outcome = bench.run(WRITES, monitor=Monitor("a", see))
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.STOPPED_EARLY, 137, Fault.CANDIDATE)
    assert outcome.detail == "enough is enough"
    assert outcome.seconds < 12
    assert b"".join(seen).startswith(b"0\n1\n2\n3\n")
    assert outcome.files["a"].path.read_bytes().startswith(b"".join(seen)), "what it had written is collected"


def test_a_monitor_that_has_no_reason_changes_nothing(bench: Bench) -> None:
    seen: list[bytes] = []

    def see(added: bytes) -> str:
        seen.append(added)
        return ""

    slow = Candidate(WRITES.program, lambda folder: (WRITES.pretend(folder), Script(Ending.TIMED_OUT))[1])
    outcome = bench.run(slow, limits=FOUR, monitor=Monitor("a", see))
    assert outcome.ending is Ending.TIMED_OUT
    assert b"".join(seen).startswith(b"0\n1\n")


def test_a_monitor_reads_no_path(bench: Bench) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        bench.run(GOOD, monitor=Monitor("../etc/passwd", lambda _: ""))


def test_out_of_memory_is_told_from_a_timeout(bench: Bench) -> None:
    hog = Candidate(
        "x = []\nwhile True: x.append(bytearray(b'x' * (8 << 20)))", lambda _: Script(Ending.OUT_OF_MEMORY)
    )
    outcome = bench.run(hog)
    assert (outcome.ending, outcome.exit_code, outcome.fault) == (Ending.OUT_OF_MEMORY, 137, Fault.CANDIDATE)


@pytest.mark.parametrize(
    ("program", "pretend", "refusal"),
    [
        (
            "import os; os.symlink('/etc/passwd', '/out/a')",
            lambda f: (f / "a").symlink_to("/etc/passwd"),
            "symlink",
        ),
        ("import os; os.mkfifo('/out/a')", lambda f: os.mkfifo(f / "a"), "not_regular"),
        ("import os; os.mkdir('/out/a')", lambda f: (f / "a").mkdir(), "not_regular"),
        (
            "import os; open('/out/x', 'w'); os.link('/out/x', '/out/a')",
            lambda f: ((f / "x").touch(), os.link(f / "x", f / "a")),
            "hard_linked",
        ),
        (
            "open('/out/a', 'wb').write(b'x' * 1001)",
            lambda f: (f / "a").write_bytes(b"x" * 1001),
            "too_large",
        ),
    ],
)
def test_what_is_no_plain_file_is_refused(
    bench: Bench, program: str, pretend: Callable[[Path], object], refusal: str
) -> None:
    job = bench.job(Candidate(program, pretend))
    outcome = bench.engine.run(job)
    assert outcome.refusals["a"] == refusal
    assert outcome.files == {}
    assert list(job.destination.iterdir()) == []


def test_a_file_of_holes_is_refused(bench: Bench) -> None:
    holes = Candidate(
        "open('/out/a', 'wb').truncate(900000)", lambda f: (f / "a").open("wb").truncate(900000)
    )
    assert bench.run(holes, outputs=(Output("a", 1 << 20),)).refusals == {"a": Refusal.SPARSE}


@pytest.mark.parametrize("image", ["autoresearch/candidate:cpu", "latest", "", "sha256:12"])
def test_a_tag_is_refused(bench: Bench, image: str) -> None:
    with pytest.raises(ValueError, match="content id"):
        bench.run(GOOD, image=image)


def test_a_missing_image_starts_nothing(bench: Bench) -> None:
    outcome = bench.run(GOOD, image="sha256:" + "0" * 64)
    assert (outcome.ending, outcome.fault) == (Ending.REFUSED, Fault.INFRASTRUCTURE)
    assert "autoresearch build" in outcome.detail


def test_an_output_never_replaces_a_file(bench: Bench) -> None:
    job = bench.job(GOOD)
    (job.destination / "a").write_text("precious")
    with pytest.raises(ValueError, match="already"):
        bench.engine.run(job)
    assert (job.destination / "a").read_text() == "precious"


def test_reaping_finds_nothing_after_a_run(bench: Bench) -> None:
    bench.run(GOOD)
    assert [i for i in bench.engine.reap(now=time.time() + 1e6, dry_run=True) if i.run == bench.name] == []


def test_a_build_is_found_by_id_tag_and_label_and_removed(bench: Bench) -> None:
    lines: list[str] = []
    image = bench.engine.build(bench.build(), lines.append)
    assert image.id.startswith("sha256:")
    assert lines
    tag = f"autoresearch/test-{bench.name}:1"
    assert bench.engine.image(image.id).id == bench.engine.image(tag).id == image.id
    assert [found.id for found in bench.engine.images({"dev.autoresearch.test": bench.name})] == [image.id]
    assert bench.engine.images({"dev.autoresearch.test": "nobody"}) == []
    bench.engine.remove_image(image.id)
    bench.engine.remove_image(image.id)  # gone already: no error
    with pytest.raises(ImageMissing, match="autoresearch build"):
        bench.engine.image(tag)


def test_the_files_of_an_image_are_read_and_nothing_of_it_runs_or_stays(bench: Bench) -> None:
    content = b"text of " + bench.name.encode()
    image = bench.engine.build(bench.build(files={"note": content}))
    with bench.engine.image_archive(image.id) as archive, tarfile.open(fileobj=archive, mode="r|") as tar:
        found = [
            file.read()
            for member in tar
            if member.name.rpartition("/")[2] == "note" and (file := tar.extractfile(member)) is not None
        ]
    assert found == [content]
    with bench.engine.image_archive(image.id) as archive:
        archive.read(10)  # who stops early leaves nothing either
    ours = [item for item in bench.engine.remnants() if item.owner == str(this_process())]
    assert [item for item in ours if item.role == "files"] == []
    bench.engine.remove_image(image.id)
    with pytest.raises(ImageMissing), bench.engine.image_archive(image.id):
        pass


def test_two_tags_are_one_image_and_a_tag_moves(bench: Bench) -> None:
    tags = tuple(f"autoresearch/test-{bench.name}:{number}" for number in (1, 2))
    image = bench.engine.build(bench.build(tags=tags))
    assert set(bench.engine.image(image.id).tags) == set(tags)
    other = bench.engine.build(bench.build(files={"note": b"changed"}, tags=tags[:1]))
    assert other.id != image.id
    assert bench.engine.image(tags[0]).id == other.id
    assert bench.engine.image(tags[1]).id == image.id


def test_a_reference_that_no_registry_has_is_an_error_in_a_sentence(bench: Bench) -> None:
    with pytest.raises(SandboxError) as failure:
        bench.engine.pull("localhost:1/no/such:image")
    assert "\n" not in str(failure.value)


def test_what_cannot_be_held_is_not_run_at_all(bench: Bench) -> None:
    """An engine either runs a job as it was asked, or says that it did not; there is nothing between."""
    outcome = bench.run(GOOD)
    if outcome.fault is Fault.INFRASTRUCTURE:
        assert outcome.detail
        assert outcome.files == {}
    else:
        assert outcome.exit_code == 0
        assert "a" in outcome.files
