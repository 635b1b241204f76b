"""Several trainings at once."""

T = "tests/search/test_slots.py::"
LOOP, ATTEMPTS, SLOTS, STAGE = (
    "runner/search/loop.py",
    "runner/search/attempts.py",
    "runner/search/slot_threads.py",
    "runner/search/proposal_stage.py",
)
KILLED = T + "test_killed_at_any_event_with_several_in_flight_it_goes_on"
BUSY = T + "test_sixteen_slots_are_busy_although_a_proposal_takes_a_minute"
LAST = T + "test_the_best_is_what_was_kept_last_and_not_what_has_the_highest_number"
MANY = T + "test_as_many_trainings_as_were_asked_for_and_no_more"
LOST = T + "test_an_engine_that_fails_in_one_slot_costs_the_run_one_slot"
CLOCK = T + "test_a_budget_is_wall_clock_however_many_slots_there_are"

ROWS = [
    ("a slot takes what no other has", LOOP, "if e.number not in self._claimed]", "]", MANY),
    ("no more than was asked for", LOOP, "index.trained + self._stage.waiting >= most", "index.trained >= most", T + "test_what_slots_wait_for_counts_towards_the_limit"),
    ("one slot is lost alone", LOOP, "            if not self._working:\n", "            if True:\n", LOST),
    ("the last slot lost ends the run", LOOP, "            if not self._working:\n", "            if False:\n", T + "test_when_every_slot_fails_the_run_ends_with_a_sentence"),
    ("failures are counted by slot", ATTEMPTS, "mine, gpu, detail = self._in_a_row[self._slots.mine],", "mine, gpu, detail = self._in_a_row[0],", LOST),
    ("an attempt is the one that was begun", ATTEMPTS, "if a.attempt == attempt)", ")", T + "test_each_of_several_runs_of_one_script_is_its_own"),
    ("commits in the order of decisions", SLOTS, "self._changed.wait_for(lambda: self._waiting[0] is place)", "pass", T + "test_work_in_order_is_done_in_the_order_of_its_places"),
    ("what fails ends the others", SLOTS, "        if self.ended:\n            self._lock.release()\n            raise Ended\n", "", T + "test_after_a_failure_no_other_slot_writes_anything"),
    ("the others' containers end", SLOTS, "        self._abandon()\n", "", T + "test_a_failure_ends_what_the_other_slots_run"),
    ("the best was kept last", "runner/store/experiment_index.py", '"kept": (lambda experiment: experiment.kept, _decision)', '"kept": (lambda experiment: experiment.kept, _number)', LAST),
    ("verbs show what was kept last", "runner/store/ledger_queries.py", "ORDER BY decision DESC LIMIT 1", "ORDER BY number DESC LIMIT 1", LAST),
    ("a number of its own", STAGE, "if n not in self._asked_for and", "if", BUSY),
    ("a proposal for each slot", STAGE, "Prefetch(proposer, start, slots)", "Prefetch(proposer, start, 1)", BUSY),
    ("the wall clock is charged once", "runner/search/attempts.py", "        self.budget.charge()\n        self.budget.learn(spent)\n", "        self.budget.charge(spent)\n        self.budget.learn(spent)\n", CLOCK),
    ("one repair at a time", "runner/llm/llm_proposer.py", "broken is None or broken.number in self._mending", "broken is None", "tests/llm/test_llm_proposer.py::test_two_slots_do_not_mend_the_same_script"),
    ("authors know of each other", STAGE, "others_asked=len(self._asked_for) - 1,", "", BUSY),
    ("a used device is waited for", LOOP, "if len(self._without_device) >= self._working", "if True", T + "test_a_slot_whose_device_others_use_waits_while_another_works"),
    ("no device at all ends the run", LOOP, "if len(self._without_device) >= self._working", "if False", T + "test_a_run_whose_devices_are_all_used_by_others_ends"),
    ("no experiment is taken without a device", LOOP, "not leases.available()", "False", T + "test_a_slot_whose_device_others_use_waits_while_another_works"),
    ("any slot's failure ends all at once", SLOTS, "            except BaseException as error:\n                self._fail(error)\n                raise\n", "            except BaseException:\n                raise\n", T + "test_whichever_slot_fails_ends_the_run_at_once"),
    ("a wait is no training", ATTEMPTS, "                leased = clock.monotonic()\n", "                pass\n", T + "test_a_wait_for_a_device_says_nothing_of_how_long_trainings_take"),
    ("an open confirmation is gone on with", "runner/search/confirmer.py", "        if self._open() is not None:  # its slot was lost\n", "        if False:\n", T + "test_what_a_lost_slot_was_confirming_is_confirmed_by_another"),
    ("what was withdrawn is not claimed", "runner/search/confirmer.py", "if gone := both - {e.number for e in index.kept}:", "if gone := set():", T + "test_a_script_that_was_withdrawn_meanwhile_is_not_confirmed"),
    ("commits follow decisions after a resume", "runner/search/recovery.py", "kept = recorder.index().kept", "kept = [e for e in recorder.experiments() if e.kept]", T + "test_a_resumed_run_commits_in_the_order_of_decisions"),
    ("money that others reserved is waited for", "runner/llm/metered_client.py", "if alone or self._clock.monotonic() >= deadline:", "if True:", "tests/llm/test_llm_proposer.py::test_a_call_waits_for_the_bills_of_others_before_the_money_counts_as_gone"),
    ("a migrated decision has its place", "runner/store/schema.py", "WHERE decided_after = 9223372036854775807;", "WHERE 0;", "tests/store/test_decisions_of_older_ledgers.py"),
]  # fmt: skip
