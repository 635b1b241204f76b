"""What a candidate prints, whose user it is, and what it may ask the kernel for."""

HOST, LAUNCHER, CONFIGURATION = (
    "sandbox/host_config.py",
    "sandbox/launcher.py",
    "sandbox/configuration_check.py",
)
FLAGS = "tests/sandbox/test_host_config.py::test_the_engine_reads_nothing_of_what_is_printed"
T_LAUNCHER = "tests/sandbox/test_launcher.py::"
OTHER = "tests/sandbox/test_configuration_check.py::test_any_other_difference_refuses"

T_USER, T_INSIDE = "tests/sandbox/test_job_user.py::", "tests/sandbox/test_confinement.py::"
ATTACK = "tests/e2e/test_attacks.py::test_an_attack_gets_its_outcome_and_leaves_nothing"
REMAPPED = (
    "tests/sandbox/test_administrators_settings.py::test_how_many_users_an_engine_has_and_where_they_begin"
)

ROWS = [
    ("the engine reads no log", HOST, '{"Type": "none", "Config": {}}', '{"Type": "local", "Config": {}}', FLAGS),
    ("process 1 is the launcher", HOST, '"Init": False', '"Init": True', T_LAUNCHER + "test_no_pipe_of_the_engine_is_open_in_the_container"),
    ("the engine's pipes are closed", LAUNCHER, "os.dup2(null, stream)", "pass", T_LAUNCHER + "test_no_pipe_of_the_engine_is_open_in_the_container"),
    ("the log ends at its size", LAUNCHER, "HEAD + (seen - HEAD) % TAIL", "seen", T_LAUNCHER + "test_a_flood_of_anything_is_kept_within_the_file"),
    ("the beginning of a log is kept", LAUNCHER, "sanitise(kept[:head], max_chars=head)[:_HEAD_CHARS]", '""', T_LAUNCHER + "test_of_a_long_log_the_beginning_and_the_end_are_kept"),
    ("what was printed is kept at once", LAUNCHER, "os.pwrite(log, seen.to_bytes(SEEN, \"little\"), 0)", "status is not None and os.pwrite(log, seen.to_bytes(SEEN, \"little\"), 0)", T_LAUNCHER + "test_what_was_printed_before_the_deadline_is_there_whatever_was_done_to_process_one"),
    ("a signal does not end process 1", LAUNCHER, "(_signal.SIGINT, _signal.SIGPIPE", "(_signal.SIGPIPE", T_LAUNCHER + "test_what_was_printed_before_the_deadline_is_there_whatever_was_done_to_process_one"),
    ("the log is made harmless", LAUNCHER, "_ends(sanitise(kept[:seen], max_chars=log_bytes))", "_ends(kept[:seen].decode(errors='replace'))", T_LAUNCHER + "test_whatever_is_in_the_file_is_harmless_text_of_a_bounded_length"),
    ("a spoiled log spoils nothing else", LAUNCHER, "    except OSError:  # the command spoiled", "    except ValueError:  # the command spoiled", T_LAUNCHER + "test_a_job_that_spoils_its_log_loses_its_log_and_nothing_else"),
    ("orphans are reaped", LAUNCHER, "os.waitpid(-1, os.WNOHANG)", "os.waitpid(child, os.WNOHANG)", T_LAUNCHER + "test_orphans_are_reaped"),
    ("log driver compared", CONFIGURATION, 'if log.get("Type") != want["LogConfig"]["Type"]:', "if False:", OTHER),
    ("log compared (podman)", "sandbox/podman.py", 'log.get("Type") == want["LogConfig"]["Type"]', "True", "tests/sandbox/test_podman.py::test_any_other_report_refuses"),
    ("output is kept from the engine, measured", HOST, "launcher.command(python, job.command, job.limits.log_bytes, job.limits.wall_clock_s)", "job.command", ATTACK + "[resources-empty_lines]"),
    ("a user per job", "sandbox/job_user.py", 'lock.bind(f"\\0autoresearch-uid-{number}")', "pass", T_USER + "test_no_two_at_once_have_the_same"),
    ("nobody else's user", "sandbox/job_user.py", "(not remapped and _known(number))", "False", T_USER + "test_a_number_that_means_somebody_here_is_left_alone"),
    ("nobody else's subordinate user", "sandbox/job_user.py", "any(number in span for span in taken)", "False", T_USER + "test_a_number_that_means_somebody_here_is_left_alone"),
    ("volumes belong to the remapped user", HOST, "dialect.first_user + uid", "uid", REMAPPED),
    ("extra log options are no loosening", CONFIGURATION, 'if log.get("Type") != want["LogConfig"]["Type"]:', 'if log != want["LogConfig"]:', "tests/sandbox/test_configuration_check.py::test_what_an_administrators_defaults_add_is_no_loosening"),
    ("extra ulimits are no loosening", CONFIGURATION, 'if not _limits(want["Ulimits"]) <= _limits(', 'if _limits(want["Ulimits"]) != _limits(', "tests/sandbox/test_configuration_check.py::test_what_an_administrators_defaults_add_is_no_loosening"),
    *((f"limit of {name}", HOST, text, text.replace("8 * MIB", "16 * MIB") if "MIB" in text else "", T_INSIDE + "test_the_process_limits_are_set") for name, text in (("locked memory", '"memlock": 8 * MIB, '), ("message queues", '"msgqueue": 0, '), ("pending signals", ', "sigpending": 1024'))),
    *((f"seccomp: no {name}", "sandbox/seccomp.json", '"accept",', f'"accept", "{name}",', T_INSIDE + f"test_the_system_call_is_refused[{name}]") for name in ("sync", "syncfs", "inotify_init1", "mq_open")),
    ("seccomp: no MAP_HUGETLB", "sandbox/seccomp.json", '"value": 262144, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"', '"value": 262144, "valueTwo": 0, "op": "SCMP_CMP_NE"', T_INSIDE + "test_no_huge_page_of_the_machines_pool_can_be_taken"),
    ("seccomp: no MFD_HUGETLB", "sandbox/seccomp.json", '"index": 1, "value": 4, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"', '"index": 1, "value": 8, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"', T_INSIDE + "test_no_huge_page_of_the_machines_pool_can_be_taken"),
    ("seccomp: no merging of pages", "sandbox/seccomp.json", '"value": 12, "valueTwo": 0, "op": "SCMP_CMP_NE"', '"value": 13, "valueTwo": 0, "op": "SCMP_CMP_NE"', T_INSIDE + "test_its_pages_are_not_merged_with_others"),
    ("seccomp: nothing is written out", "sandbox/seccomp.json", '"errnoRet": 0', '"errnoRet": 1', T_INSIDE + "test_nothing_is_written_out_on_its_word"),
    ("the judge's profile is the narrower", "sandbox/seccomp.py", "profile(JUDGE_FILE if role in _ON_HIDDEN_DATA else FILE)", "profile(FILE)", "tests/sandbox/test_configuration_check.py::test_whoever_runs_a_strangers_program_on_hidden_text_has_the_judges_profile"),
    *((f"seccomp: no {name} for the judge", "sandbox/seccomp_judge.json", '"access",', f'"access", "{name}",', "tests/sandbox/test_configuration_check.py::test_the_judges_profile_allows_less_and_no_talk_through_shared_files") for name in ("fadvise64", "mincore", "preadv2", "flock")),
]  # fmt: skip
