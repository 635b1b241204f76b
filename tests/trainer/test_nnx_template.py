"""The template `nnx` is train.py with modules: the same constants and functions, logits and optimizer steps."""

from __future__ import annotations

import ast
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "trainer_jax"
PLAIN, TEMPLATE = FOLDER / "train.py", FOLDER / "train_nnx.py"
NAMES = {
    "embed_VxD": "embed_VxD",
    "unembed_DxV": "unembed_DxV",
    "qkv_Lx3xDxE": "attention/qkv_3xDxE",
    "attention_out_LxExD": "attention/out_ExD",
    "mlp_in_LxDxF": "mlp/in_DxF",
    "mlp_out_LxFxD": "mlp/out_FxD",
    "residual_L": "residual",
    "x0_L": "x0",
}
"""Of train.py's weights in a block of the template, where they are stacked; the others are in `as_modules`."""


def two_layers(script: Path, folder: Path) -> ModuleType:
    """Its names, without training; one layer of each kind."""
    source = script.read_text()
    assert "\nDEPTH = 4 " in source
    copy = folder / script.name
    copy.write_text(source.replace("\nDEPTH = 4 ", "\nDEPTH = 2 "))
    spec = importlib.util.spec_from_file_location(script.stem, copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def both(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    folder = tmp_path_factory.mktemp("out")
    os.environ["AUTORESEARCH_DATA"] = str(dataset / "train")
    os.environ["AUTORESEARCH_OUT"] = str(folder)
    return two_layers(PLAIN, folder), two_layers(TEMPLATE, folder)


def flat(params: Any) -> dict[str, np.ndarray]:
    named = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(w) for path, w in named}


def as_modules(plain: Any, train: ModuleType) -> dict[str, np.ndarray]:
    """train.py's weights under the template's names."""
    found = dict[str, np.ndarray]()
    for name, modules_name in NAMES.items():
        if "_L" not in name:
            found[modules_name] = np.asarray(plain[name])
        for layer in range(train.DEPTH) if "_L" in name else ():
            found[f"blocks/{layer}/{modules_name}"] = np.asarray(plain[name][layer])
    for layer in range(train.DEPTH):
        for number, module in enumerate(("attention", "mlp")):
            found[f"blocks/{layer}/{module}/conv/w_JxD"] = np.asarray(plain["conv_Lx2xJxD"][layer, number])
    for number, layer in enumerate(train.VALUE_LAYERS):
        place = f"blocks/{layer}/attention"
        found[f"{place}/value_gate_GxH"] = np.asarray(plain["value_gate_LxGxH"][number])
        found[f"{place}/value_embed_VxE"] = np.asarray(plain["value_embed_VxE"][str(layer)])
    return {f"{name}/value": array for name, array in found.items()}


@pytest.fixture(scope="module")
def weights(both: tuple[ModuleType, ModuleType]) -> tuple[Any, Any]:
    """The same for both; no matrix is zero, which would let no gradient through."""
    train, template = both
    leaves, tree = jax.tree.flatten(jax.jit(train.init_params)(jax.random.key(0)))
    random = np.random.default_rng(0)
    plain = jax.tree.unflatten(tree, [w + 0.05 * random.standard_normal(w.shape, np.float32) for w in leaves])
    fresh = jax.jit(template.init_params)(jax.random.key(0))
    found = as_modules(plain, train)
    assert {name: w.shape for name, w in flat(fresh).items()} == {name: w.shape for name, w in found.items()}
    return plain, jax.tree.unflatten(jax.tree.structure(fresh), [found[name] for name in flat(fresh)])


def test_the_logits_are_those_of_the_plain_version(
    both: tuple[ModuleType, ModuleType], weights: tuple[Any, Any]
) -> None:
    tokens = np.random.default_rng(1).integers(0, both[0].V, (2, both[0].T)).astype(np.int32)
    plain, modules = (jax.jit(m.forward)(w, tokens) for m, w in zip(both, weights, strict=True))
    np.testing.assert_allclose(modules, plain, atol=1e-5)


def test_an_optimizer_step_is_that_of_the_plain_version(
    both: tuple[ModuleType, ModuleType], weights: tuple[Any, Any]
) -> None:
    rows = np.random.default_rng(2).integers(0, both[0].V, (both[0].BATCH, both[0].T + 1)).astype(np.int32)
    rows[:, ::11] = both[0].harness.bos_id
    updated, losses = [], []
    for module, params in zip(both, weights, strict=True):
        optimizer = module.make_optimizer()
        step, _, shared_out = module.make_step(optimizer)
        given = jax.tree.map(np.array, params), optimizer.init(params)
        after, _, loss = step(*given, jax.device_put(rows, shared_out), np.float32(0.6))
        updated.append(after)
        losses.append(float(loss))
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    before, modules = flat(weights[1]), flat(updated[1])
    for name, plain in as_modules(updated[0], both[0]).items():
        changed = np.linalg.norm(plain - before[name])
        assert changed > 0, name
        assert np.linalg.norm(modules[name] - plain) < 1e-4 * changed, name


def definitions(script: Path) -> dict[str, str]:
    """Its constants and functions by name, as normalised text."""
    found = dict[str, str]()
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = ast.unparse(node)
        elif isinstance(node, ast.Assign | ast.If):
            found[ast.unparse(node).split("=")[0]] = ast.unparse(node)
    return found


def test_what_has_no_module_is_word_for_word_the_plain_version() -> None:
    plain, template = definitions(PLAIN), definitions(TEMPLATE)
    of_modules = {"attention_layer", "mlp", "short_conv", "stream"}
    written_anew = {"init_params", "forward", "loss_fn", "make_optimizer"}
    assert plain.keys() - template.keys() == of_modules
    assert {name for name in plain.keys() & template.keys() if plain[name] != template[name]} == written_anew


def test_a_tuner_finds_the_same_constants() -> None:
    plain, template = (
        [line for line in script.read_text().splitlines() if "  # tune: " in line]
        for script in (PLAIN, TEMPLATE)
    )
    assert template == plain
    assert len(plain) > 20
