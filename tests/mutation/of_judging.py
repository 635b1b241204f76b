"""The judge's defences against programs and leaks, and what is told of a score."""

from __future__ import annotations

OPS, WALK = "judge/inside/op_attributes.py", "judge/inside/op_allowlist.py"
COMPARATOR, REWRITE = "judge/inside/sort_comparators.py", "judge/inside/rewrite.py"
T_OPS = "tests/judge/test_op_attributes.py::"
BLIND = T_OPS + "test_what_a_backend_would_not_check_is_refused"
PROBE, CONTAINER = "judge/blind_probe.py", "judge/container.py"
T_JUDGE, T_PROBE = "tests/judge/test_judge.py::", "tests/judge/test_blind_probe.py::"
TOLD, T_TOLD = "runner/search/disclosure.py", "tests/search/test_disclosure.py::"

ROWS = [
    ("a sort only in a total order", OPS, "not sort_comparators.is_total_order(op)", "False", T_OPS + "test_a_sort_by_any_other_comparison_than_jaxs_own_is_refused"),
    ("a comparison is one of jax's own", COMPARATOR, "given == _expected(", "given >= 0 or _expected(", T_OPS + "test_a_sort_by_any_other_comparison_than_jaxs_own_is_refused"),
    ("a transform as long as its operand", OPS, "if not lengths or lengths != list(whole.type.shape)[-len(lengths) :] or min(lengths) < 1:", "if False:", BLIND),
    ("no cast between truth values and bytes", OPS, 'kind == "i1" or kind.startswith("complex")', 'kind.startswith("complex")', BLIND),
    ("no cast of complex numbers", OPS, 'kind == "i1" or kind.startswith("complex")', 'kind == "i1"', BLIND),
    ("no number that wraps around", OPS, "abs(number) > _LARGEST", "False", BLIND),
    ("no numbers of four bits", WALK, '"i1": 1, "i8": 1,', '"i1": 1, "i2": 1, "i4": 1, "ui2": 1, "ui4": 1, "i8": 1,', BLIND),
    ("only the op's own attributes", OPS, 'if "." not in name and name not in allowed:', "if False:", T_OPS + "test_an_attribute_that_is_not_the_ops_own_is_refused"),
    ("single numbers in a reduction", WALK, "if in_elements:\n                    raise", "if False:\n                    raise", T_OPS + "test_a_reduction_holds_single_numbers_only"),
    ("single numbers in what it calls", WALK, "if name in wide:", "if False:", T_OPS + "test_also_in_what_it_calls"),
    ("a function has a body", WALK, "if len(op.regions[0].blocks) != 1:", "if False:", "tests/judge/test_exported_program.py::test_what_holds_no_program_is_refused"),
    ("no module in a module", WALK, 'if op.name == "builtin.module" and depth > 0:', "if False:", "tests/judge/test_exported_program.py::test_what_holds_no_program_is_refused"),
    ("complex constants are counted", WALK, 'return "__elided__" not in op.get_asm(large_elements_limit=1, use_local_scope=True)', "return True", "tests/judge/test_exported_program.py::test_constants_of_complex_numbers_are_counted_and_one_value_repeated_is_free"),
    ("every sort is stable", REWRITE, '"stablehlo.sort": {"is_stable": True},', "", T_OPS + "test_a_sort_is_stable_whatever_it_says"),
    ("no promise about indices", REWRITE, '{"indices_are_sorted": False, "unique_indices": False}', "{}", T_OPS + "test_no_promise_is_believed_about_indices"),
    ("composites are written out", REWRITE, 'if op.name == "stablehlo.composite":', "if False:", T_OPS + "test_a_composite_under_a_known_name_gets_no_op_of_the_compilers"),
    ("every container has its own copy", CONTAINER, "shutil.copyfile(artifact / name, folder / name)", "(folder / name).hardlink_to(artifact / name)", T_JUDGE + "test_every_container_has_a_copy_of_the_artifact_of_its_own"),
    ("copies are removed", CONTAINER, "            shutil.rmtree(artifact, ignore_errors=True)\n", "", T_JUDGE + "test_every_container_has_a_copy_of_the_artifact_of_its_own"),
    ("suspects beside the best model", PROBE, "expected.append(reference)", "pass", T_JUDGE + "test_a_leak_on_frequent_targets_is_found_beside_the_best_models_losses"),
    ("fresh positions in the last container", PROBE, "min(fresh, len(others))", "0", T_JUDGE + "test_the_last_container_is_also_asked_where_nothing_was_suspected"),
    ("suspects are not told apart", PROBE, "rng.permutation(len(rows.tokens))[row].argsort", "np.arange(len(rows.tokens))[row].argsort", T_PROBE + "test_suspects_and_others_are_mixed"),
    ("the loop hands over the best script's losses", "runner/search/attempts.py", "reference=reference,", "", "tests/search/test_loop.py::test_a_script_is_judged_beside_the_losses_of_the_best_one"),
    ("losses by position are the host's", "runner/evaluation/pipeline.py", "touch(mode=0o600)", "touch(mode=0o644)", "tests/search/test_loop.py::test_a_script_is_judged_beside_the_losses_of_the_best_one"),
    ("no number above the ceiling", TOLD, "if value is None or not value <= self.ceiling:", "if value is None:", T_TOLD + "test_the_agent_is_told_no_number_of_a_script_that_writes_text_into_its_score"),
    ("scores are coarse", TOLD, "self.sigma / _STEPS_A_SIGMA", "0.0", T_TOLD + "test_a_score_lies_on_a_grid_no_finer_than_a_tenth_of_the_noise"),
    ("a difference of what was told", TOLD, "else round(mine - other, 6)", "else round(delta, 6)", T_TOLD + "test_a_difference_is_the_difference_of_what_was_told"),
    ("margins take few values", TOLD, "max(_at_most(value, _SIZES), FINEST)", "round(value, 6)", T_TOLD + "test_a_width_takes_few_values"),
    ("judging is told as a constant", "runner/search/time_budget.py", "int(self._limit_s // self._nominal_s) * self._slots - attempts", "int(self.left() // self._nominal_s)", T_TOLD + "test_what_judging_took_is_told_to_nobody"),
    ("a score has an end", "runner/evaluation/pipeline.py", "else min(scores)", "else verdict.val_bpb", T_TOLD + "test_a_model_worse_than_guessing_evenly_scores_as_guessing_evenly"),
    ("a script that runs again finds no weights", "runner/results/reproduction.py", "covers=(Mount(nothing, HOME),)", "covers=()", "tests/results/test_reproduction.py::test_a_script_that_runs_again_finds_nothing_of_its_snapshot"),
    ("a named base is the base", "runner/images/build.py", "and named in {None, image.labels.get(f\"{LABEL}.base\")}", "", "tests/images/test_build.py::test_images_on_another_base_than_the_named_one_are_built_anew"),
    ("a command gets no time", "runner/proposers/command.py", 'if f.name != "time_limit_s"', "", "tests/proposers/test_command.py::test_a_program_is_told_no_time"),
]  # fmt: skip
