"""Reproduction that means something, and words that help."""

REPRODUCE, T_REPRODUCE = "runner/reproduce.py", "tests/runner/test_reproduce.py::"
REPLAY, CLOCK = "runner/replay.py", "trainer_jax/wallclock.py"
T_BAND = T_REPRODUCE + "test_a_score_counts_only_where_the_band_is_narrower_than_the_gain"
T_WHOLE = T_REPRODUCE + "test_only_a_whole_replay_says_that_weights_differ"
T_HARNESS = "tests/trainer/test_harness.py::"

ROWS = [
    ("a band wider than the claimed gain is no PASS", REPRODUCE, "if band >= facts.gain else None", "if False else None", T_BAND),
    ("a band that is a large share of the score is no PASS", REPRODUCE, "if not band <= WIDEST_BAND * facts.mean_val_bpb else None", "if False else None", T_BAND),
    ("a replay that was cut short is not blamed", REPLAY, "if timed_out:", "if False:", T_WHOLE),
    ("a replay that ended early is not blamed", REPLAY, "if replayed.needed < recorded.needed or replayed.saves < recorded.saves:", "if False:", T_WHOLE),
    ("a replay past its tape is not blamed", REPLAY, "if replayed.needed > recorded.needed:", "if False:", T_WHOLE),
    ("a replay has the time its tape needs", REPRODUCE, "REPLAY_TIMES * wall_clock_s, REPLAY_LEAST_S", "wall_clock_s, 0.0", T_REPRODUCE + "test_a_replay_has_time_but_is_told_the_recorded_wall_clock"),
    ("a replay is told the recorded wall clock", REPRODUCE, "told_wall_clock_s=facts.wall_clock_s", "told_wall_clock_s=None", T_REPRODUCE + "test_a_replay_has_time_but_is_told_the_recorded_wall_clock"),
    ("a replay ends at the weights that counted", CLOCK, "os._exit(0)", "pass", T_HARNESS + "test_a_replay_gives_the_weights_that_counted_when_the_recorded_run_was_killed"),
    ("another processor is not blamed on the script", REPRODUCE, "elif _other_device(facts, trip, cpu_model):", "elif False:", T_REPRODUCE + "test_other_weights_from_another_processor_prove_nothing"),
    ("a kill between two names of the weights is known", REPLAY, "saving > saved)", "False)", T_REPRODUCE + "test_a_run_that_was_killed_while_it_replaced_its_weights_is_not_blamed"),
    ("scores of another judge are not compared", REPRODUCE, "if not exact and facts.judge_version not in {None, JUDGE_VERSION}:", "if False:", T_REPRODUCE + "test_scores_of_another_judge_are_not_compared_but_weights_are"),
    ("data sets are known by their manifest", "runner/locate.py", "return manifest_sha256(folder / _MANIFEST) == sha256", "return (folder / _MANIFEST).exists()", T_REPRODUCE + "test_the_data_set_is_found_wherever_it_was_moved"),
    ("the printed command is quoted", "runner/report/command.py", "shlex.join(words)", '" ".join(words)', T_REPRODUCE + "test_the_printed_command_names_what_the_run_was_told"),
]  # fmt: skip
