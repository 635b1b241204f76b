"""Disk as a budget."""

T = "tests/search/test_disk_budget.py::"
KEEPS = T + "test_of_a_kept_script_one_set_of_weights_stays_and_of_any_other_none"

ROWS = [
    (
        "weights of what was decided go",
        "runner/search/recorder.py",
        "decide(self.run_id, number, **columns)\n        remove_unneeded_weights(self.experiment(number))",
        "decide(self.run_id, number, **columns)",
        KEEPS,
    ),
    (
        "weights of further runs go",
        "runner/results/garbage_collection.py",
        "experiment.counted[:1] if experiment.kept or",
        "experiment.attempts if experiment.kept or",
        KEEPS,
    ),
    (
        "weights of what failed go",
        "runner/results/garbage_collection.py",
        'if experiment.kept or experiment.status == "open" else ()',
        "",
        T + "test_of_a_kept_script_one_set_of_weights_stays_and_of_any_other_none",
    ),
    (
        "an attempt the engine lost leaves nothing",
        "runner/search/attempts.py",
        "            remove_all_but_log(folder)\n        remove_unneeded_weights",
        "            pass\n        remove_unneeded_weights",
        T + "test_an_attempt_that_is_lost_to_the_engine_leaves_its_script_and_its_log",
    ),
    (
        "what a killed runner left goes on resume",
        "runner/search/recovery.py",
        "        remove_unneeded_weights(experiment)\n",
        "        pass\n",
        T + "test_what_a_killed_runner_had_no_time_to_remove_goes_on_resume",
    ),
    (
        "nothing begins below the floor",
        "runner/store/disk_floor.py",
        "if free < floor_gb * GB:",
        "if False:",
        T + "test_below_the_floor_nothing_begins_and_with_room_it_goes_on",
    ),
    (
        "nothing begins above the cap",
        "runner/search/disk_budget.py",
        "if self._held() >= most and (held := self.held()) >= most:",
        "if False:",
        T + "test_a_run_that_holds_its_share_asks_for_no_proposal",
    ),
    (
        "asked before a proposal",
        "runner/search/loop.py",
        "        self.attempts.require_space()\n",
        "",
        T + "test_a_run_that_holds_its_share_asks_for_no_proposal",
    ),
    (
        "snapshots count",
        "runner/search/disk_budget.py",
        "max(image.bytes - self.base, 0)",
        "0",
        T + "test_snapshots_count_by_what_they_add_to_their_base",
    ),
]
