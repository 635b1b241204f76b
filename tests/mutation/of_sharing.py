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

ROWS = [
    ("nothing is trained by day", GATE, "return until is not None and until - now >= needed", "return True", NIGHTS),
    ("what would not end by night is not begun", GATE, "and until - now >= needed", "", NIGHTS),
    ("more than half of a night is enough for any training", GATE, "min(self._budget.longest_s, self._window.length_s / 2)", "self._budget.longest_s", T_WINDOW + "test_trainings_that_take_more_than_half_of_the_night_begin_all_the_same"),
    ("nothing is asked for by day", LOOP, "if not self._gate.admits_training():", "if False:", T_WINDOW + "test_a_run_trains_by_night_alone_and_its_budget_is_of_nights"),
    ("the time is looked at again once there is a device", ATTEMPTS, "                if not self._gate.admits_training():\n                    raise", "                if False:\n                    raise", T_WINDOW + "test_a_training_whose_device_is_free_too_late_is_not_begun"),
    ("days are no part of a budget", WINDOW, "self._inside_s += self._window.open_s(now - passed, now)", "self._inside_s += passed", NIGHTS),
    ("a waiting run can be asked to end", GATE, "if self._asked_to_end():", "if False:", T_WINDOW + "test_a_waiting_run_ends_when_it_is_asked_to_and_goes_on_later"),
    ("a budget that is gone waits for no other night", GATE, "if not self._budget.allows_another():", "if False:", T_WINDOW + "test_a_budget_that_ends_with_the_night_does_not_wait_for_another"),
    ("nights follow the clock on the wall", WINDOW, "datetime.combine(day + after, self.closes, self.zone).timestamp()", "begin + self.length_s", DST),
    ("a window that does not exist one night is passed over", WINDOW, "if now < begin < end)", "if now < begin)", T_WINDOW + "test_a_window_that_does_not_exist_one_night_opens_in_the_next"),
    ("a window in which nothing can be trained is refused", "runner/search/session.py", "if window is not None and window.length_s < 2 * expected:", "if False:", "tests/search/test_session.py::test_a_window_in_which_no_training_ends_is_refused"),
    ("a window that makes no sense is refused", WINDOW, "    if opens == closes:\n", "    if False:\n", T_WINDOW + "test_what_is_no_window_is_one_sentence"),
    ("a device that somebody waits for is offered", COURTESY, "self._given_back[device] = self._monotonic()", "pass", TURNS),
    ("nothing is offered without the option", COURTESY, "if self._offers and ", "if ", TURNS),
    ("who waits says so", COURTESY, "fcntl.flock(self._marks[device], fcntl.LOCK_SH | fcntl.LOCK_NB)", "pass", TURNS),
    ("who has it waits no more", "sandbox/lease.py", "                self._courtesy.taken(_CPUS)\n                self._courtesy.wait_no_more()\n", "                self._courtesy.taken(_CPUS)\n", T_COURTESY + "test_taking_turns_costs_seconds"),
    ("who gives up waits no more", "sandbox/lease.py", "                self._courtesy.wait_no_more()\n                raise LeaseUnavailable(\n                    f\"no {self._count}", "                raise LeaseUnavailable(\n                    f\"no {self._count}", T_COURTESY + "test_one_that_gives_up_waiting_leaves_no_mark"),
    ("an offer ends", COURTESY, "self._monotonic() - since >= OFFER_S or ", "", T_COURTESY + "test_a_mark_of_one_that_never_takes_anything_is_worth_one_offer_in_half_an_hour"),
    ("an offer that nobody took is not repeated at once", COURTESY, "self._believes_from = self._monotonic() + UNBELIEVED_S", "pass", T_COURTESY + "test_a_mark_of_one_that_never_takes_anything_is_worth_one_offer_in_half_an_hour"),
    ("own threads are not others", COURTESY, "mark = open_lock(self._folder / f\"{device}.wanted\") if mine is None else mine", "mine = None\n            mark = open_lock(self._folder / f\"{device}.wanted\")", T_COURTESY + "test_a_runs_own_threads_are_not_others"),
    ("a mark outlives a look", COURTESY, "                        fcntl.flock(mine, fcntl.LOCK_SH | fcntl.LOCK_NB)", "                        pass", T_COURTESY + "test_a_runs_own_threads_are_not_others"),
]  # fmt: skip
