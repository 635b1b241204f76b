"""Reproduction that means something, and words that help."""

REPRODUCE, T_REPRODUCE = "runner/results/reproduction.py", "tests/results/test_reproduction.py::"
REPLAY, CLOCK = "runner/results/clock_replay.py", "trainer_jax/wallclock.py"
T_BAND = T_REPRODUCE + "test_a_score_counts_only_where_the_band_is_narrower_than_the_gain"
T_WHOLE = T_REPRODUCE + "test_only_a_whole_replay_says_that_weights_differ"
PROGRAM = "trainer_jax/program_check.py"
T_SENTENCE = (
    "tests/trainer/test_artifact_check.py::test_every_case_is_told_in_one_sentence_with_name_size_and_limit"
)
T_REFUSED = "tests/search/test_session.py::test_a_run_that_is_refused_hides_none_that_was_at_work"
T_WORKSPACE = "tests/cli/test_workspace_option.py::"
T_RULES = "tests/store/test_config_checks.py::"
T_SLIPS = "tests/cli/test_slips.py::"
T_HARNESS = "tests/trainer/test_harness.py::"

ROWS = [
    ("a band wider than the claimed gain is no PASS", REPRODUCE, "if band >= facts.gain else None", "if False else None", T_BAND),
    ("a band that is a large share of the score is no PASS", REPRODUCE, "if not band <= WIDEST_BAND * facts.mean_val_bpb else None", "if False else None", T_BAND),
    ("a replay that was cut short is not blamed", REPLAY, "if timed_out:", "if False:", T_WHOLE),
    ("a replay that ended early is not blamed", REPLAY, "if replayed.needed < recorded.needed or replayed.saves < recorded.saves:", "if False:", T_WHOLE),
    ("a replay past its tape is not blamed", REPLAY, "if replayed.needed > recorded.needed:", "if False:", T_WHOLE),
    ("a replay has the time its tape needs", REPRODUCE, "REPLAY_TIMES * wall_clock_s, REPLAY_LEAST_S", "wall_clock_s, 0.0", T_REPRODUCE + "test_a_replay_has_time_but_is_told_the_recorded_wall_clock"),
    ("a replay is told the recorded wall clock", REPRODUCE, "announced_wall_clock_s=facts.wall_clock_s", "announced_wall_clock_s=None", T_REPRODUCE + "test_a_replay_has_time_but_is_told_the_recorded_wall_clock"),
    ("a replay ends at the weights that counted", CLOCK, "os._exit(0)", "pass", T_HARNESS + "test_a_replay_gives_the_weights_that_counted_when_the_recorded_run_was_killed"),
    ("another processor is not blamed on the script", REPRODUCE, "elif _other_device(facts, evaluation, cpu_model):", "elif False:", T_REPRODUCE + "test_other_weights_from_another_processor_prove_nothing"),
    ("a kill between two names of the weights is known", REPLAY, "saving > saved)", "False)", T_REPRODUCE + "test_a_run_that_was_killed_while_it_replaced_its_weights_is_not_blamed"),
    ("scores of another judge are not compared", REPRODUCE, "if not exact and facts.judge_version not in {None, JUDGE_VERSION}:", "if False:", T_REPRODUCE + "test_scores_of_another_judge_are_not_compared_but_weights_are"),
    ("data sets are known by their manifest", "runner/results/data_lookup.py", "return manifest_sha256(folder / _MANIFEST) == sha256", "return (folder / _MANIFEST).exists()", T_REPRODUCE + "test_the_data_set_is_found_wherever_it_was_moved"),
    ("the printed command is quoted", "runner/report/reproduce_command.py", "shlex.join(words)", '" ".join(words)', T_REPRODUCE + "test_the_printed_command_names_what_the_run_was_told"),
    ("constants are weighed at the export", PROGRAM, "if constants > CONSTANT_BYTES:", "if False:", T_SENTENCE),
    ("a program for several devices is told at the export", PROGRAM, "if exported.nr_devices != 1:", "if False:", T_SENTENCE),
    ("calls of calls are counted at the export", PROGRAM, "if total > OPS or height > DEPTH:", "if False:", T_SENTENCE),
    ("ops and custom calls are looked at at the export", PROGRAM, "        _check_op(op)\n", "", T_SENTENCE),
    ("the shape of the logits is told at the export", "trainer_jax/harness.py", "        program_check.check_logits(out, (*tokens.shape, _meta()[\"vocab_size\"]))\n", "", T_SENTENCE),
    ("leaves are looked at at the export", "trainer_jax/harness.py", "    artifact_check.check_leaves(names, leaves, OUT)\n", "", T_SENTENCE),
    ("NaN is told at the save", "trainer_jax/harness.py", "    artifact_check.check_values(names, host)\n", "", T_SENTENCE),
    ("other params than the exported are told at the save", "trainer_jax/harness.py", "    artifact_check.check_same(_handed_over.get(\"export\", found), found)\n", "", T_SENTENCE),
    ("what is said beforehand is what the judge holds to", "trainer_jax/program_check.py", "OPS, DEPTH = 200_000, 64", "OPS, DEPTH = 200_000, 63", "tests/trainer/test_artifact_check.py::test_its_limits_and_its_list_are_the_judges_own"),
    ("a path that is wrong is a sentence", "runner/cli/error_reporting.py", "if isinstance(error, OSError) and error.errno in _PATH_ERRORS:", "if False:", T_SLIPS + "test_a_slip_is_a_sentence_and_a_code"),
    ("a budget has an end", "runner/durations.py", "if seconds > LONGEST_S:", "if False:", T_SLIPS + "test_a_slip_is_a_sentence_and_a_code"),
    ("what is no tag is told before the engine is asked", "runner/results/snapshot.py", "if not re.fullmatch(", "if not re.match(r'', tag) and re.match(", T_SLIPS + "test_what_is_no_tag_is_told_before_the_engine_is_asked"),
    ("numbers of the configuration are numbers that make sense", "runner/store/config_checks.py", '"" if least <= value <= most else f"{value!s:.80}', '"" if True else f"{value!s:.80}', T_RULES + "test_a_value_that_makes_no_sense_is_refused_with_file_key_and_what_is_allowed"),
    ("names of the configuration are known names", "runner/store/config_checks.py", 'return "" if value in names', 'return "" if True', T_RULES + "test_a_value_that_makes_no_sense_is_refused_with_file_key_and_what_is_allowed"),
    ("a refused URL is not repeated", "runner/store/config_checks.py", 'return "this is no URL', 'return f"{value} is no URL', T_RULES + "test_a_secret_in_a_url_is_not_repeated"),
    ("an empty text is refused", "runner/cli/conversion.py", "if any(isinstance(word, str) and not word.strip() for word in words):", "if False:", T_SLIPS + "test_no_option_or_argument_of_any_verb_takes_an_empty_text"),
    ("numbers of experiments end where the ledger's do", "runner/results/kept_experiment.py", "if len(name) > _DIGITS or int(name) > LARGEST_NUMBER:", "if False:", T_SLIPS + "test_a_number_that_no_ledger_can_hold_is_refused"),
    ("numbers of experiments end where the ledger's do, for verbs that read", "runner/cli/options.py", "min=0, max=LARGEST_NUMBER", "min=0", T_SLIPS + "test_a_slip_is_a_sentence_and_a_code"),
    ("a file that cannot be written has the name that was given", "runner/store/user_files.py", "raise OSError(error.errno, error.strerror, str(target)) from error", "raise", T_SLIPS + "test_a_file_that_cannot_be_written_has_the_name_that_was_given"),
    ("a proposer that repeats itself is named", "runner/search/endings.py", "if 2 * again > len(last):", "if False:", "tests/search/test_endings.py::test_a_proposer_that_repeats_itself_is_named_with_how_often_and_what_to_do"),
    ("a runner at work on another run is not at work on this one", "runner/cli/experiment_rows.py", " and ledger.run().id == run.id", "", T_WORKSPACE + "test_only_the_run_that_was_begun_or_resumed_last_can_be_at_work"),
    ("the run that was resumed last is the newest", "runner/store/ledger.py", "self.change_settings(run, {**self.run(run).settings, SESSION: self.next_session()})", "pass", T_WORKSPACE + "test_only_the_run_that_was_begun_or_resumed_last_can_be_at_work"),
    ("a configuration that cannot be used is not replaced by the defaults", "runner/store/workspace.py", "return Config() if folder is None and around(Path.cwd()) is None else", "return Config() if folder is None else", T_WORKSPACE + "test_a_configuration_that_cannot_be_used_is_not_replaced_by_the_defaults"),
    ("a limit above what the machine has is refused", "runner/evaluation/device_selection.py", "if host.engine_is_local and int(config.memory_gb * GIB) > host.memory_bytes:", "if False:", "tests/evaluation/test_device_selection.py::test_a_limit_above_what_the_machine_has_is_refused_with_its_key"),
    ("a byte order mark is no part of a script", "runner/store/workspace.py", ".removeprefix(_BOM)", "", T_SLIPS + "test_a_byte_order_mark_is_no_part_of_a_file"),
    ("another program's database is no ledger", "runner/store/ledger.py", 'self._db.execute("SELECT id, settings FROM runs LIMIT 0")', "pass", T_SLIPS + "test_a_ledger_that_is_none_is_named"),
    ("no title is a formula", "runner/report/tsv.py", "if cell.startswith(_FORMULA) else cell", "if False else cell", "tests/report/test_exports.py::test_no_title_is_a_formula"),
    ("the last words of a script are marked as data", "runner/llm/digest.py", 'return f"\\n| {one_line', 'return f" {one_line', "tests/report/test_exports.py::test_the_last_words_of_a_failed_script_are_marked_as_data"),
    ("a run that was refused is not the newest", "runner/store/ledger_queries.py", "if item.finished_at is None or item.id in begun] or found", "] or found", T_REFUSED),
    ("a run that was refused is over", "runner/search/session.py", "ledger.finish_run(run.id, now=clock.time(), reason=why)", "pass", T_REFUSED),
    ("below a sentence about data there is no traceback", "runner/data/dataset_lock.py", "_descriptor = -1  # until", "_descriptor: int  # until", "tests/data/test_dataset_lock.py::test_where_there_is_no_data_nothing_but_the_sentence_is_said"),
    ("who waits for CPUs says so", "sandbox/lease.py", "                self._waiting(\n                    f\"waiting for {self._count}", "                str(\n                    f\"waiting for {self._count}", "tests/sandbox/test_leases.py::test_we_wait_as_long_as_we_were_told_and_say_so_once"),
    ("zero is a length that was said", "runner/cli/data.py", "length if seq_len is None else seq_len", "seq_len or length", T_SLIPS + "test_a_slip_is_a_sentence_and_a_code"),
    ("a model that would not be asked is refused", "runner/cli/run.py", "if proposer not in MODELS and names:", "if False:", T_SLIPS + "test_a_slip_is_a_sentence_and_a_code"),
    ("a model in the configuration is asked", "runner/store/config.py", 'if content.get("model") and "proposer" not in content:', "if False:", T_SLIPS + "test_a_model_in_the_configuration_is_asked_as_one_on_the_command_line_is"),
    ("what is left open is said to be", "runner/search/loop.py", 'self.recorder.emit("left_open", number=experiment.number, asked=reason == ASKED)', "pass", "tests/search/test_loop.py::test_a_run_does_not_end_with_an_experiment_left_open_without_saying_so"),
    ("one busy moment does not end a run", "runner/search/baseline.py", "cut_short <= MAX_CUT_SHORT", "False", "tests/search/test_loop.py::test_one_baseline_training_that_a_busy_machine_cut_short_does_not_end_the_run"),
    ("a baseline that never fits ends the run", "runner/search/baseline.py", "cut_short <= MAX_CUT_SHORT", "cut_short <= 99", "tests/search/test_loop.py::test_a_baseline_that_never_fits_into_its_wall_clock_does"),
    ("noise larger than the score decides nothing", "runner/scoring/adopt_or_rerun.py", "if 2 * _CLEAR * estimate.error >= best_score:", "if False:", "tests/search/test_loop.py::test_where_the_noise_is_larger_than_the_score_nothing_is_decided"),
    ("damage that is met is a sentence", "runner/store/ledger_queries.py", "raise damaged(self.path, error) from error", "raise", "tests/store/test_damage.py::test_a_verb_that_meets_damage_says_so_in_one_sentence"),
    ("doctor reads the whole ledger", "runner/cli/doctor.py", "Ledger(path, read_only=True, check=True)", "Ledger(path, read_only=True)", "tests/store/test_damage.py::test_doctor_reads_the_whole_ledger"),
    ("a run checks its ledger first", "runner/search/session.py", "Ledger(workspace.ledger, check=True)", "Ledger(workspace.ledger)", "tests/store/test_damage.py::test_a_run_does_not_go_on_with_a_damaged_ledger"),
    ("another's writes are not missed", "runner/store/ledger_queries.py", "        if (now := self._changes()) != self._seen_changes:\n", "        if (now := self._changes()) != self._seen_changes and False:\n", "tests/store/test_ledger.py::test_what_is_remembered_is_what_is_written"),
    ("what was written is read again", "runner/store/ledger_queries.py", "self._stale |= {(run, number) for number in numbers}", "pass", "tests/store/test_ledger.py::test_what_is_remembered_is_what_is_written"),
]  # fmt: skip
