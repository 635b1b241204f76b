"""What others on the machine were promised: nights alone, devices given back, broken ones left alone."""

T_WINDOW = "tests/search/test_nightly_window.py::"
WINDOW, GATE = "runner/nightly_window.py", "runner/search/window_gate.py"
LOOP, ATTEMPTS = "runner/search/loop.py", "runner/search/attempts.py"
NIGHTS = T_WINDOW + "test_a_run_trains_by_night_alone_and_its_budget_is_of_nights"
DST = T_WINDOW + "test_nights_in_which_daylight_saving_time_changes"

ROWS = [
    ("nothing is trained by day", GATE, "return until is not None and until - now >= needed", "return True", NIGHTS),
    ("what would not end by night is not begun", GATE, "and until - now >= needed", "", NIGHTS),
    ("more than half of a night is enough for any training", GATE, "min(self._budget.longest_s, self._window.length_s / 2)", "self._budget.longest_s", T_WINDOW + "test_trainings_that_take_more_than_half_of_the_night_begin_all_the_same"),
    ("nothing is asked for by day", LOOP, "if not self._gate.admits_training():", "if False:", T_WINDOW + "test_a_run_trains_by_night_alone_and_its_budget_is_of_nights"),
    ("the time is looked at again once there is a device", ATTEMPTS, "                if not self._gate.admits_training():\n                    raise", "                if False:\n                    raise", T_WINDOW + "test_a_training_whose_device_is_free_too_late_is_not_begun"),
    ("days are no part of a budget", WINDOW, "self._inside_s += self._window.open_s(now - passed, now)", "self._inside_s += passed", NIGHTS),
    ("a waiting run can be asked to end", GATE, "if self._asked_to_end():", "if False:", T_WINDOW + "test_a_waiting_run_ends_when_it_is_asked_to_and_goes_on_later"),
    ("a budget that is gone waits for no other night", GATE, "if not self._budget.allows_another():", "if False:", T_WINDOW + "test_a_budget_that_ends_with_the_night_does_not_wait_for_another"),
    ("a waiting run has begun nothing", ATTEMPTS, "            self._gate.wait()\n", "", T_WINDOW + "test_a_run_that_is_killed_while_it_waits_has_lost_nothing"),
    ("nights follow the clock on the wall", WINDOW, "datetime.combine(day + after, self.closes, self.zone).timestamp()", "begin + self.length_s", DST),
    ("a window that does not exist one night is passed over", WINDOW, "if now < begin < end)", "if now < begin)", T_WINDOW + "test_a_window_that_does_not_exist_one_night_opens_in_the_next"),
    ("a window in which nothing can be trained is refused", "runner/search/session.py", "if window is not None and window.length_s < 2 * expected:", "if False:", "tests/search/test_session.py::test_a_window_in_which_no_training_ends_is_refused"),
    ("a window that makes no sense is refused", WINDOW, "    if opens == closes:\n", "    if False:\n", T_WINDOW + "test_what_is_no_window_is_one_sentence"),
]  # fmt: skip
