"""Small files that would ask for terabytes, for hours, or for what is not data-flow: refused before anything is compiled.

Each is read in a process of its own, since some kill the reader: that is `crashed` in its container.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from altered_programs import HEAD, LEAF, SCALAR, call_to, functions, inserted, one_by_one, rewritten

ONE = HEAD.splitlines()[0]


def lines(*parts: str) -> bytes:
    return inserted(ONE + "\n" + "\n".join(parts))


def doubling(levels: int) -> bytes:
    """Every concatenation is twice as long as the one before it."""
    steps, kind = (
        ["%d0 = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<1xf32>"],
        "tensor<1xf32>",
    )
    for n in range(levels):
        longer = f"tensor<{2 << n}xf32>"
        steps.append(
            f"%d{n + 1} = stablehlo.concatenate %d{n}, %d{n}, dim = 0 : ({kind}, {kind}) -> {longer}"
        )
        kind = longer
    return lines(*steps)


def regions(levels: int) -> bytes:
    """Branches in branches."""
    opening = "".join(f'%c{n} = "stablehlo.case"(%i) ({{\n' for n in range(levels))
    closing = "".join(
        f"stablehlo.return {'%a' if n == levels - 1 else f'%c{n + 1}'} : tensor<f32>\n}}) : (tensor<i32>) -> tensor<f32>\n"
        for n in reversed(range(levels))
    )
    return lines("%i = stablehlo.constant dense<0> : tensor<i32>", opening + closing)


def chain(length: int) -> bytes:
    names = ["%a", *(f"%s{n}" for n in range(length))]
    return lines(*(f"{new} = stablehlo.sine {old} : tensor<f32>" for old, new in itertools.pairwise(names)))


def dense(count: int) -> str:
    return "0x" + "".join(f"{(n * 2654435761) % 0xFFFFFFFF:08X}" for n in range(count))


def nested_attribute(levels: int) -> bytes:
    text = "[" * levels + "1" + "]" * levels
    return rewritten(
        lambda module: module.replace(
            "jax.uses_shape_polymorphism = false", f"jax.uses_shape_polymorphism = {text}"
        )
    )


HUGE = 1 << 40
TOO_LARGE: dict[str, Callable[[], bytes]] = {
    "a broadcast": lambda: lines(
        f"%h = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<{HUGE}xf32>"
    ),
    "a count": lambda: lines(f"%h = stablehlo.iota dim = 0 : tensor<{HUGE}xi32>"),
    "a product beyond 64 bits": lambda: lines(
        f"%h = stablehlo.iota dim = 0 : tensor<{HUGE}x{HUGE}x{HUGE}xi32>"
    ),
    "nothing, endlessly": lambda: lines(f"%h = stablehlo.iota dim = 1 : tensor<0x{HUGE}x{HUGE}xi32>"),
    "a pad": lambda: lines(
        "%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<1xf32>",
        f"%h = stablehlo.pad %v, %a, low = [{HUGE}], high = [0], interior = [0] : "
        f"(tensor<1xf32>, tensor<f32>) -> tensor<{HUGE + 1}xf32>",
    ),
    "concatenations that double": lambda: doubling(45),
    "a constant of one value": lambda: lines(f"%h = stablehlo.constant dense<0.5> : tensor<{HUGE}xf32>"),
    "a large constant": lambda: lines(
        f'%h = stablehlo.constant dense<"{dense(300_000)}"> : tensor<300000xf32>'
    ),
    "many constants": lambda: lines(
        *(f'%h{n} = stablehlo.constant dense<"{dense(5000)}"> : tensor<5000xf32>' for n in range(60))
    ),
    "ops": lambda: chain(200_001),
    "calls that double": lambda: functions([*(call_to(f"f{n + 1}") for n in range(60)), LEAF]),
    "calls for ever": lambda: functions([call_to("f1"), call_to("f2"), call_to("f0")]),
    "branches in branches": lambda: regions(70),
}


@pytest.fixture(scope="module")
def came(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What came of every bomb and every hidden call, read one by one."""
    folder = tmp_path_factory.mktemp("bombs")
    made = {**TOO_LARGE, **READERS, **{name: lambda n=name: hidden(n) for name in REGIONS}}
    for name, make in made.items():
        blob = make()
        assert len(blob) < 8 << 20, f"{name} is too large a file to be a bomb"
        (folder / name.replace(" ", "_")).write_bytes(blob)
    found = one_by_one(folder, *(folder / name.replace(" ", "_") for name in made))
    assert len(found) == len(made)
    return {Path(str(item["name"])).name.replace("_", " "): item for item in found}


READERS: dict[str, Callable[[], bytes]] = {
    "an attribute in attributes": lambda: nested_attribute(2000),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_bomb_is_refused_at_little_cost(name: str, came: dict[str, dict[str, object]]) -> None:
    found = came[name]
    assert found["came"] == "program_too_large"
    assert float(str(found["seconds"])) < 20
    assert int(str(found["kib"])) < 1 << 20


@pytest.mark.parametrize("name", READERS)
def test_what_is_hard_to_read_is_refused_or_ends_its_own_process(
    name: str, came: dict[str, dict[str, object]]
) -> None:
    found = came[name]
    assert found["came"] in {"program_too_large", "forbidden_op", "model_malformed", "signal 11", "signal 6"}
    assert int(str(found["kib"])) < 1 << 20


# ---- a call that jax.export would not have written, in every place that holds ops ------------------------------
CALL = f'%x{{n}} = stablehlo.custom_call @"xla_ffi_python_cpu_callback"(%y{{n}}) : {SCALAR}'
PAIR = "^bb0(%y{n}: tensor<f32>, %z{n}: tensor<f32>):\n"
BODY = PAIR + CALL + "\nstablehlo.return %x{n} : tensor<f32>\n"
VECTOR = "%v = stablehlo.broadcast_in_dim %a, dims = [] : (tensor<f32>) -> tensor<4xf32>\n"
LESS = "%t = stablehlo.compare LT, %x0, %z0 : (tensor<f32>, tensor<f32>) -> tensor<i1>\nstablehlo.return %t : tensor<i1>"
REGIONS = {
    "in main": "%y0 = stablehlo.sine %a : tensor<f32>\n" + CALL,
    "in a loop's condition": '%r = "stablehlo.while"(%a) ({\n^bb0(%y0: tensor<f32>):\n' + CALL
    + "\n%t = stablehlo.compare LT, %x0, %y0 : (tensor<f32>, tensor<f32>) -> tensor<i1>\n"
    "stablehlo.return %t : tensor<i1>\n}, {\n^bb0(%w: tensor<f32>):\nstablehlo.return %w : tensor<f32>\n}) : " + SCALAR,
    "in a loop's body": '%r = "stablehlo.while"(%a) ({\n^bb0(%w: tensor<f32>):\n'
    "%t = stablehlo.compare LT, %w, %w : (tensor<f32>, tensor<f32>) -> tensor<i1>\n"
    "stablehlo.return %t : tensor<i1>\n}, {\n^bb0(%y0: tensor<f32>):\n" + CALL
    + "\nstablehlo.return %x0 : tensor<f32>\n}) : " + SCALAR,
    "in a branch": "%i = stablehlo.constant dense<0> : tensor<i32>\n"
    '%r = "stablehlo.case"(%i) ({\n%y0 = stablehlo.sine %a : tensor<f32>\n' + CALL
    + "\nstablehlo.return %x0 : tensor<f32>\n}) : (tensor<i32>) -> tensor<f32>",
    "in a reduction": VECTOR + '%r = "stablehlo.reduce"(%v, %a) <{dimensions = array<i64: 0>}> ({\n' + BODY
    + "}) : (tensor<4xf32>, tensor<f32>) -> tensor<f32>",
    "in a window": VECTOR + '%r = "stablehlo.reduce_window"(%v, %a) <{window_dimensions = array<i64: 2>}> ({\n' + BODY
    + "}) : (tensor<4xf32>, tensor<f32>) -> tensor<3xf32>",
    "in a comparison": VECTOR + '%r = "stablehlo.sort"(%v) <{dimension = 0 : i64}> ({\n' + PAIR + CALL + "\n" + LESS
    + "\n}) : (tensor<4xf32>) -> tensor<4xf32>",
}  # fmt: skip


def hidden(name: str) -> bytes:
    return lines(REGIONS[name].replace("{n}", "0"))


@pytest.mark.parametrize("name", REGIONS)
def test_a_call_made_by_hand_is_found_in_every_region(name: str, came: dict[str, dict[str, object]]) -> None:
    assert came[name]["came"] == "forbidden_op"


def test_the_same_regions_without_the_call_are_loaded(tmp_path: Path) -> None:
    """Else they might be refused for what surrounds the call; a comparison may hold nothing but jax's own."""
    blobs, plain_too = [], [text for name, text in REGIONS.items() if name != "in a comparison"]
    for number, text in enumerate(plain_too):
        plain = re.sub(
            r'stablehlo\.custom_call @"\w+"\((%y0)\) : .*',
            r"stablehlo.sine \1 : tensor<f32>",
            text.replace("{n}", "0"),
        )
        assert "custom_call" not in plain
        blobs.append(tmp_path / str(number))
        blobs[-1].write_bytes(lines(plain))

    assert [item["came"] for item in one_by_one(tmp_path, *blobs)] == ["loaded"] * len(plain_too)
