"""Reads an exported program and checks it before anything is compiled.

`jax.export.deserialize` checks none of this: its documentation says that the blob must be trusted. The exporter's own checks ran
in the candidate's container. The file has two parts: the frame (avals, trees, devices) and the module. They may contradict each
other, so their signatures are compared.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from jax.interpreters import mlir
from jaxlib.mlir.dialects import stablehlo

from judge.inside import op_allowlist
from judge.inside.refusal import Refused
from judge.inside.rewrite import withdraw_promises

LOGITS = {"float32", "bfloat16", "float16"}
READ_CPU_S = 30.0
"""CPU seconds for reading a program. MLIR's reader never ends on some damaged files, and only a signal ends it. SIGPROF kills the
process (reason `crashed`) long before the container's wall clock. The largest program allowed takes a few seconds."""


def load(path: Path, weights: dict[str, np.ndarray], question: dict[str, Any]) -> export.Exported:
    """The program in `path`, checked against the names, shapes and dtypes of `weights` and the B, T, V and limits in `question`
    (request.json). Promises to the compiler are withdrawn. Raises Refused, MemoryError."""
    limits = question["limits"]
    if not path.is_file() or path.stat().st_size == 0:
        raise Refused("model_malformed", "empty")
    if path.stat().st_size > limits["model_bytes"]:
        raise Refused("program_too_large", "file size")
    signal.setitimer(signal.ITIMER_PROF, READ_CPU_S)
    try:
        program = export.deserialize(bytearray(path.read_bytes()))
        # The same context and reader as in Exported.call: the module that is checked is the one that runs, without its promises.
        with mlir.make_ir_context():
            module = program.mlir_module(serialized=False)
            _check_frame(program)
            _check_signature(program, weights, question)
            inputs, results = op_allowlist.check(module, limits)
            if withdraw_promises(module):
                module.operation.verify()
                blob = stablehlo.serialize_portable_artifact(module, stablehlo.get_current_version())
                program = replace(program, mlir_module_serialized=blob)
    except (Refused, MemoryError):
        raise
    except Exception as error:  # of any type: these readers were not written for hostile input
        raise Refused("model_malformed", f"{type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    kept = [program.in_avals[index] for index in program.module_kept_var_idx]
    if inputs != [_tensor(aval) for aval in kept] or results != [_tensor(aval) for aval in program.out_avals]:
        raise Refused("signature", "the module is not what its frame says")
    return program


def _check_frame(program: export.Exported) -> None:
    """One device of this platform, no effects, no derivatives, no symbolic shapes. Raises Refused."""
    if program.nr_devices != 1 or program.ordered_effects or program.unordered_effects or program.has_vjp():
        raise Refused("forbidden_op", "devices, effects or derivatives")
    if program.uses_global_constants or program.platforms != (export.default_export_platform(),):
        raise Refused("signature", f"platforms {program.platforms}")
    kept = program.module_kept_var_idx
    if list(kept) != sorted(set(kept)) or not set(kept) <= set(range(len(program.in_avals))):
        raise Refused("model_malformed", "kept arguments")
    if any(aval.memory_space != jax.memory.Space.Device for aval in (*program.in_avals, *program.out_avals)):
        raise Refused("forbidden_op", "memory space")


def _check_signature(
    program: export.Exported, weights: dict[str, np.ndarray], question: dict[str, Any]
) -> None:
    """f(params, int32[B, T]) -> floating[B, T, V], where `params` is a flat dict of exactly the weights in the file. Raises
    Refused."""
    shape = (question["batch"], question["seq_len"])
    leaf = jax.tree_util.tree_structure(0)
    arguments = program.in_tree.children()
    if (
        len(arguments) != 2
        or arguments[1] != jax.tree_util.tree_structure({})
        or len(arguments[0].children()) != 2
        or arguments[0].children()[1] != leaf
        or program.out_tree != leaf
        or len(program.out_avals) != 1
    ):
        raise Refused("signature", "not f(params, tokens) -> logits")
    tokens, logits = program.in_avals[-1], program.out_avals[0]
    if tokens.shape != shape or tokens.dtype != np.int32:
        raise Refused("signature", f"tokens are {tokens}")
    if logits.shape != (*shape, question["vocab_size"]) or logits.dtype.name not in LOGITS:
        raise Refused("signature", f"logits are {logits}")
    # jax sorts the keys of a dict, so the weights are in the order of their names
    names = sorted(weights)
    if program.in_tree != jax.tree_util.tree_structure(((dict.fromkeys(names, 0), 0), {})):
        raise Refused("params_mismatch", "names")
    for name, aval in zip(names, program.in_avals[:-1], strict=True):
        if aval.shape != weights[name].shape or aval.dtype != weights[name].dtype:
            raise Refused("params_mismatch", name)


def _tensor(aval: Any) -> tuple[tuple[int, ...], str]:
    """Shape and MLIR element type, as in `op_allowlist.tensor`."""
    names = {"bool": "i1", "bfloat16": "bf16"}
    name = aval.dtype.name
    return aval.shape, names.get(name, name.replace("uint", "ui").replace("int", "i").replace("float", "f"))
