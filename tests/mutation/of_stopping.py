"""Hopeless trainings that are ended early, and the file that is read while they run."""

T = "tests/scoring/test_early_stopping.py::"
T_RUN = "tests/search/test_finished_trainings.py::"
T_FILE = "tests/sandbox/test_live_file.py::"
T_CLOCK = "tests/sandbox/test_wall_clock.py::"
RULE, CURVE, RUN = (
    "runner/scoring/early_stopping.py",
    "runner/scoring/learning_curve.py",
    "runner/search/finished_trainings.py",
)
FILE = "sandbox/live_file.py"
NO_PLAIN_FILE = T_FILE + "test_what_is_no_plain_file_is_not_read_and_holds_nobody_up"
BAD_READER = T_FILE + "test_a_reader_that_fails_tells_nothing_is_not_asked_again_and_takes_two_seconds"
BAD_LOSS = T + "test_a_loss_that_is_not_finite_ends_it_without_anything_learned"
EXPLODES = T + "test_a_loss_far_above_its_start_has_exploded"
NEVER = T_RUN + "test_baseline_and_best_script_are_read_along_and_never_ended"

ROWS = [
    ("no link is read", FILE, "os.O_NOFOLLOW | os.O_NONBLOCK", "os.O_NONBLOCK", NO_PLAIN_FILE),
    ("nothing waits for a writer", FILE, "os.O_NOFOLLOW | os.O_NONBLOCK", "os.O_NOFOLLOW", NO_PLAIN_FILE),
    ("no second name is read", FILE, " or opened.st_nlink != 1", "", NO_PLAIN_FILE),
    ("a piece is bounded", FILE, "min(block, most - at)", "most - at", T_FILE + "test_it_reads_on_where_it_stopped_and_only_so_much"),
    ("the whole is bounded", FILE, "min(block, most - at)", "block", T_FILE + "test_it_reads_on_where_it_stopped_and_only_so_much"),
    ("the host bounds a piece too", FILE, "if size > BLOCK_BYTES", "if False", BAD_READER),
    ("a broken reader is not asked again", FILE, "self._given_up = True", "pass", BAD_READER),
    ("a reader has two seconds", FILE, "_PATIENCE_S = 2.0", "_PATIENCE_S = 60.0", BAD_READER),
    ("a monitor reads a plain name", "sandbox/job_validation.py", "not _plain(job.monitor.name)", "False", "tests/conformance/test_engines.py::test_a_monitor_reads_no_path"),
    ("a reason to stop kills", "sandbox/deadline.py", "if why := self.reason_to_stop()", "if why := ''", T_CLOCK + "test_a_container_that_there_is_a_reason_to_stop_is_killed_at_the_next_look"),
    ("what ended by itself was not stopped", "sandbox/exit_cause.py", "if death.killed and death.stopped and not late", "if death.stopped and not late", T_CLOCK + "test_a_container_that_ends_before_the_kill_reaches_it_ended_by_itself"),
    ("what was stopped is not judged", "runner/evaluation/pipeline.py", "if outcome.ending is Ending.STOPPED_EARLY", "if False", T_RUN + "test_a_hopeless_training_is_ended_is_not_judged_and_costs_less"),
    ("enough must be finished", RULE, "if count < FEWEST_FINISHED", "if count < 3", T + "test_nothing_is_learned_from_too_few"),
    ("the error of the prediction counts", RULE, "return expected - tabled(REPEAT_QUANTILES, self.pairs - 2) * error", "return expected", T + "test_pairs_that_scatter_stop_nothing"),
    ("far from all pairs little is known", RULE, "1 + 1 / self.pairs + (x - self.mean_x) ** 2 / self.spread", "1 + 1 / self.pairs", T + "test_alike_trainings_teach_nothing_of_others_that_are_far_off"),
    ("the noise is the least error", RULE, "least = self.noise\n", "least = 0.0\n", T + "test_the_noise_of_a_run_is_the_least_error"),
    ("an early look knows no more", RULE, "least = max(least, forecast.residual)", "pass", T + "test_an_early_look_knows_no_more_than_a_late_one"),
    ("only losses of one kind are compared", RULE, "if self.reference is None or not same_scale(telemetry, self.reference)", "if self.reference is None", T + "test_a_loss_of_another_kind_is_not_compared"),
    ("other kinds teach nothing", RULE, "    if not same_scale(telemetry, reference):\n", "    if False:\n", T + "test_a_loss_of_another_kind_is_not_compared"),
    ("one bad report is not enough", RULE, "if not any(math.isfinite(loss) for loss in telemetry.last)", "if not all(math.isfinite(loss) for loss in telemetry.last)", BAD_LOSS),
    ("what is not finite ends", RULE, "            return NOT_FINITE\n", '            return ""\n', BAD_LOSS),
    ("it may overshoot at the beginning", RULE, "if far and telemetry.progress >= _EXPLODES_FROM", "if far", EXPLODES),
    ("its own start counts", RULE, "max(telemetry.first or math.inf, self.uniform)", "self.uniform", EXPLODES),
    ("a uniform guess counts", RULE, "max(telemetry.first or math.inf, self.uniform)", "(telemetry.first or math.inf)", EXPLODES),
    ("the sample is the run's", RULE, 'f"{run_seed}/{number}/early stopping"', 'f"{number}/early stopping"', T + "test_one_in_ten_is_in_the_sample_by_the_runs_seed_alone"),
    ("the sample runs to its end", RULE, '        return "" if self.sampled else self.reason\n', "        return self.reason\n", T + "test_a_sampled_training_goes_on_and_the_reason_is_remembered", True),
    ("a long line is passed over", CURVE, "if len(line) <= _LARGEST_LINE and", "if", T + "test_what_is_no_report_is_passed_over"),
    ("half a line is bounded", CURVE, "self._line = self._line[: _LARGEST_LINE + 1]", "pass", T + "test_a_flood_takes_little_memory"),
    ("deep lines are passed over", CURVE, "except (ValueError, OverflowError, RecursionError)", "except (ValueError, OverflowError)", T + "test_what_is_no_report_is_passed_over"),
    ("progress is a share", CURVE, "or not 0.0 <= progress <= 1.0", "", T + "test_what_is_no_report_is_passed_over"),
    ("sums cannot overflow", CURVE, "loss if abs(loss) <= _LARGEST_LOSS else math.inf", "loss", BAD_LOSS),
    ("time does not go back", CURVE, "if progress < self.progress", "if False", T + "test_time_does_not_go_back"),
    ("never the baseline", RUN, 'experiment.number > 0 and experiment.status == "open" and', 'experiment.status in {"open", "keep"} and', NEVER),
    ("never what has a score", RUN, " and not _has_score(experiment)", "", T_RUN + "test_a_script_that_has_a_score_is_not_ended_when_it_is_tried_again"),
    ("other code is another kind", RUN, "if e.facts.same_code_as(then.facts) == same_code", "if True", T_RUN + "test_other_code_is_compared_with_other_code_alone"),
    ("other conditions teach nothing", "runner/scoring/comparability.py", "if _conditions(item.settings) == conditions is not None", "if conditions is not None", T_RUN + "test_a_run_learns_from_earlier_ones_under_the_same_conditions"),
    ("beside a stranger it does not count", "runner/search/loop.py", "last.outcome == STOPPED_EARLY and not last.contended", "last.outcome == STOPPED_EARLY", T_RUN + "test_a_training_ended_beside_a_stranger_is_made_again"),
    ("a check is not monitored", "runner/evaluation/compile_check.py", "                    monitor=None,\n", "", T_RUN + "test_a_compile_check_is_not_read_along"),
]  # fmt: skip
