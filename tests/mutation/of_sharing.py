"""What others on the machine were promised: nights alone, devices given back, broken ones left alone."""

T_WINDOW = "tests/search/test_nightly_window.py::"
WINDOW, GATE = "runner/nightly_window.py", "runner/search/window_gate.py"
LOOP, ATTEMPTS = "runner/search/loop.py", "runner/search/attempts.py"
NIGHTS = T_WINDOW + "test_a_run_trains_by_night_alone_and_its_budget_is_of_nights"
DST = T_WINDOW + "test_nights_in_which_daylight_saving_time_changes"
T_COURTESY, COURTESY = "tests/sandbox/test_courtesy.py::", "sandbox/courtesy.py"
TURNS = (
    T_COURTESY
    + "test_two_courteous_runs_alternate_and_without_courtesy_the_second_waits_for_the_first_to_end"
)
T_LOST = "tests/search/test_lost_attempts.py::test_killed_at_any_event_it_decides_the_same_on_the_same_seeds"
T_BROKEN = "tests/search/test_broken_gpus.py::"
BROKEN = T_BROKEN + "test_a_broken_gpu_of_four_costs_one_slot_and_is_named"

ROWS = [
    ("nothing is trained by day", GATE, "return until is not None and until - now >= needed", "return True", NIGHTS),
    ("what would not end by night is not begun", GATE, "and until - now >= needed", "", NIGHTS),
    ("more than half of a night is enough for any training", GATE, "min(self._budget.longest_s, self._window.length_s / 2)", "self._budget.longest_s", T_WINDOW + "test_trainings_that_take_more_than_half_of_the_night_begin_all_the_same"),
    ("nothing is asked for by day", LOOP, "if not self._gate.passed():", "if False:", NIGHTS),
    ("the time is looked at again once there is a device", ATTEMPTS, "                if not self._gate.admits_training():\n                    raise", "                if False:\n                    raise", T_WINDOW + "test_a_training_whose_device_is_free_too_late_is_not_begun"),
    ("days are no part of a budget", WINDOW, "self._inside_s += self._window.open_s(now - passed, now)", "self._inside_s += passed", NIGHTS),
    ("nobody is kept from a device by day", LOOP, "                    leases.stop_waiting()\n", "                    pass\n", T_WINDOW + "test_by_day_no_device_is_looked_at_and_others_see_nobody_wait"),
    ("a waiting run can be asked to end", GATE, "if self._asked_to_end():", "if False:", T_WINDOW + "test_a_waiting_run_ends_when_it_is_asked_to_and_goes_on_later"),
    ("a budget that is gone waits for no other night", GATE, "if not self._budget.allows_another():", "if False:", T_WINDOW + "test_a_budget_that_ends_with_the_night_does_not_wait_for_another"),
    ("nights follow the clock on the wall", WINDOW, "datetime.combine(day + after, self.closes, self.zone).timestamp()", "begin + self.length_s", DST),
    ("a window that does not exist one night is passed over", WINDOW, "if now < begin < end)", "if now < begin)", T_WINDOW + "test_a_window_that_does_not_exist_one_night_opens_in_the_next"),
    ("a window in which nothing can be trained is refused", WINDOW, "if self.length_s >= 2 * training_s:", "if True:", T_WINDOW + "test_a_window_must_hold_two_trainings"),
    ("a window that makes no sense is refused", WINDOW, "    if opens == closes:\n", "    if False:\n", T_WINDOW + "test_what_is_no_window_is_one_sentence"),
    ("a device that somebody waits for is offered", COURTESY, "self._given_back[device] = self._monotonic()", "pass", TURNS),
    ("nothing is offered without the option", COURTESY, "if self._offers and ", "if ", TURNS),
    ("who waits says so", COURTESY, "fcntl.flock(self._marks[device], fcntl.LOCK_SH | fcntl.LOCK_NB)", "pass", TURNS),
    ("who has it waits no more", "sandbox/lease.py", "                self._courtesy.taken(_CPUS)\n                self._courtesy.wait_no_more()\n", "                self._courtesy.taken(_CPUS)\n", T_COURTESY + "test_one_that_got_what_it_waited_for_leaves_no_mark"),
    ("who gives up waits no more", "sandbox/lease.py", "                self._courtesy.wait_no_more()\n                raise LeaseUnavailable(\n                    f\"no {self._count}", "                raise LeaseUnavailable(\n                    f\"no {self._count}", T_COURTESY + "test_one_that_gives_up_waiting_leaves_no_mark"),
    ("an offer ends", COURTESY, "self._monotonic() - since >= OFFER_S or ", "", T_COURTESY + "test_a_mark_of_one_that_never_takes_anything_is_worth_one_offer_in_half_an_hour"),
    ("an offer that nobody took is not repeated at once", COURTESY, "self._believes_from = self._monotonic() + UNBELIEVED_S", "pass", T_COURTESY + "test_a_mark_of_one_that_never_takes_anything_is_worth_one_offer_in_half_an_hour"),
    ("own threads are not others", COURTESY, "mark = open_lock(self._folder / f\"{device}.wanted\") if mine is None else mine", "mine = None\n            mark = open_lock(self._folder / f\"{device}.wanted\")", T_COURTESY + "test_a_runs_own_threads_are_not_others"),
    ("a mark outlives a look", COURTESY, "                        fcntl.flock(mine, fcntl.LOCK_SH | fcntl.LOCK_NB)", "                        pass", T_COURTESY + "test_a_mark_outlives_a_look_for_others"),
    ("three failures are enough for a GPU", ATTEMPTS, "if gpu and self._failures_on[gpu] >= MAX_INFRASTRUCTURE_FAILURES:", "if False:", BROKEN),
    ("a GPU's failures are its own", ATTEMPTS, "self._failures_on.pop(gpu, None)", "pass", T_BROKEN + "test_a_gpu_that_fails_now_and_then_stays"),
    ("a GPU's failures are not the slot's", ATTEMPTS, "if not gpu or evaluation.reason == Ending.ENGINE_FAILED:", "if True:", T_BROKEN + "test_several_broken_gpus_in_a_row_do_not_end_a_run_with_one_slot"),
    ("an engine's failures are the slot's", ATTEMPTS, "if not gpu or evaluation.reason == Ending.ENGINE_FAILED:", "if not gpu:", T_BROKEN + "test_an_engine_that_fails_on_every_gpu_is_given_up_after_three_times_in_a_slot"),
    ("a slot goes with its GPU", ATTEMPTS, "if left < self._slots.count:", "if False:", T_BROKEN + "test_when_the_last_gpu_is_left_out_the_run_ends_with_a_sentence"),
    ("no other slot goes with a GPU", ATTEMPTS, "if left < self._slots.count:", "if True:", T_BROKEN + "test_with_fewer_slots_than_gpus_no_slot_is_lost"),
    ("what is left out is not leased", "sandbox/lease.py", "return [uuid for uuid in turns if uuid not in self._left_out]", "return turns", BROKEN),
    ("the other GPUs go on with the baseline", ATTEMPTS, "(FewerGpus if left else EngineFails)", "EngineFails", T_BROKEN + "test_the_only_free_gpu_that_breaks_in_the_baseline_does_not_end_the_run"),
    ("a lost attempt gives its seed back", "runner/store/experiment_index.py", "if not a.lost or a.confirmation is not None", "", T_LOST),
    ("a lost attempt is no rerun", "runner/search/decider.py", " and not a.lost for a", " for a", "tests/search/test_lost_attempts.py::test_lost_attempts_of_the_best_script_leave_it_as_many_reruns"),
]  # fmt: skip
