"""The watchdog of the wall clock."""

T = "tests/sandbox/test_watchdog.py::"
T_CLOCK = "tests/sandbox/test_wall_clock.py::"
PROCESS, CONTAINER, CLIENT = (
    "sandbox/watchdog/watchdog.py",
    "sandbox/watchdog/kill_at_deadline.py",
    "sandbox/watchdog/client.py",
)
LATE = T_CLOCK + "test_a_container_that_nobody_ended_in_time_is_late_whatever_it_says"

T_SLOW = "tests/sandbox/test_slow_deaths.py::"
REACHED = T_SLOW + "test_it_was_killed_when_the_signal_had_reached_all_of_it_and_not_when_the_engine_answered"
DOOMED = T_SLOW + "test_all_of_it_is_doomed_only_when_every_thread_is"
WAITED = T_SLOW + "test_what_is_on_its_way_out_is_waited_for_and_what_stands_still_is_not"

ROWS = [
    (
        "where nobody is left, a container ends itself",
        "sandbox/launcher.py",
        "        os._exit(137)",
        "        pass",
        "tests/sandbox/test_launcher.py::test_a_container_whose_runner_and_watchdog_are_gone_ends_itself",
    ),
    (
        "where nobody is left, a holder ends itself",
        "sandbox/host_config.py",
        "signal.alarm({longest}); ",
        "",
        "tests/sandbox/test_host_config.py::test_the_holder_is_as_locked_and_has_no_input_and_an_end",
    ),
    (
        "it was killed when the signal had reached it",
        CONTAINER,
        "seen = time.monotonic()\n",
        "pass\n",
        REACHED,
    ),
    (
        "every thread is doomed",
        "sandbox/cgroup.py",
        "return all(_is_dying",
        "return any(_is_dying",
        DOOMED,
    ),
    (
        "what is on its way out is waited for",
        "sandbox/deadline.py",
        "end, computed = self.monotonic() + _KILL_PATIENCE_S, now",
        "pass",
        WAITED,
    ),
    (
        "what stands still is not waited for",
        "sandbox/deadline.py",
        "> computed + _WORK_S",
        "> -1.0",
        WAITED,
    ),
    (
        "the watchdog kills at the deadline",
        CONTAINER,
        "            self._end()\n",
        "",
        T + "test_a_stopped_runner_does_not_stop_the_clock",
    ),
    (
        "it kills again what did not run yet",
        CONTAINER,
        "(seen.begun and not seen.running)",
        "not seen.running",
        T_CLOCK + "test_a_container_that_is_started_after_its_deadline_is_killed_all_the_same",
    ),
    (
        "it says when it died",
        CONTAINER,
        "            self.died_at = time.monotonic()\n",
        "            self.died_at = time.monotonic() + 60\n",
        T + "test_a_script_that_ends_while_the_runner_is_stopped_ended_when_it_did",
    ),
    (
        "it clears up after the runner",
        PROCESS,
        "        self._clear()\n",
        "",
        T + "test_after_kill_9_nothing_of_the_runner_is_left_and_nothing_else_is_touched",
    ),
    (
        "only the dead runner's",
        "sandbox/watchdog/api.py",
        'f"dev.autoresearch.owner={owner}"',
        '"dev.autoresearch.owner"',
        T + "test_after_kill_9_nothing_of_the_runner_is_left_and_nothing_else_is_touched",
    ),
    (
        "it ignores the terminal's signals",
        PROCESS,
        "signal.signal(number, signal.SIG_IGN)",
        "pass",
        T + "test_neither_hang_up_nor_ctrl_c_nor_sigterm_ends_a_watchdog_at_work",
    ),
    (
        "SIGTERM does not end it at work",
        PROCESS,
        "        if not self.busy:\n            os._exit(0)",
        "        os._exit(0)",
        T + "test_neither_hang_up_nor_ctrl_c_nor_sigterm_ends_a_watchdog_at_work",
    ),
    (
        "a killed watchdog is replaced",
        "sandbox/docker_engine.py",
        "clock.replace_if_gone",
        "lambda: None",
        T + "test_a_watchdog_that_is_killed_is_replaced",
    ),
    (
        "the new one learns what runs",
        CLIENT,
        "for name, kept in self._registered.items():",
        "for name, kept in {}.items():",
        T + "test_a_watchdog_that_is_killed_is_replaced",
    ),
    (
        "without a watchdog nothing starts",
        "sandbox/docker_engine.py",
        "except (NoWatchdog, NoEndpoint) as error:\n            return",
        "except (NoWatchdog, NoEndpoint) as error:\n            self._watchdog = None\n            raise",
        T + "test_without_a_watchdog_nothing_is_started",
    ),
    (
        "no key in the watchdog",
        CLIENT,
        "env=_ENVIRONMENT",
        "env=None",
        T + "test_the_watchdog_is_small_and_holds_no_key",
    ),
    (
        "what is late has no score",
        "sandbox/exit_cause.py",
        "    if late:\n",
        "    if False:\n",
        T + "test_what_lived_beyond_its_deadline_is_nobodys_fault_and_no_score",
    ),
    (
        "killed late is late",
        "sandbox/exit_cause.py",
        "if death.killed and not late:",
        "if death.killed:",
        LATE,
    ),
    (
        "a late death after a kill in time is none",
        "sandbox/deadline.py",
        "_earlier(self.killed_at, self.died_at)\n",
        "self.died_at\n",
        T_CLOCK + "test_a_container_that_was_killed_in_time_may_take_its_time_to_die",
    ),
    (
        "the watchdog's record counts",
        "sandbox/deadline.py",
        "died_at=_earlier(self.died_at, record.died_at)",
        "died_at=self.died_at",
        T_CLOCK + "test_when_it_was_killed_and_died_is_what_watchdog_or_runner_saw_first",
    ),
]
