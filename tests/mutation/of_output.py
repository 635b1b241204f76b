"""What a candidate prints, whose user it is, and what it may ask the kernel for."""

HOST, LAUNCHER, POSTURE = "sandbox/host_config.py", "sandbox/launcher.py", "sandbox/posture.py"
FLAGS = "tests/sandbox/test_host_config.py::test_the_engine_reads_nothing_of_what_is_printed"
T_LAUNCHER = "tests/sandbox/test_launcher.py::"
OTHER = "tests/sandbox/test_posture.py::test_any_other_difference_refuses"

ROWS = [
    ("the engine reads no log", HOST, '{"Type": "none", "Config": {}}', '{"Type": "local", "Config": {}}', FLAGS),
    ("process 1 is the launcher", HOST, '"Init": False', '"Init": True', T_LAUNCHER + "test_no_pipe_of_the_engine_is_open_in_the_container"),
    ("the engine's pipes are closed", LAUNCHER, "os.dup2(null, stream)", "pass", T_LAUNCHER + "test_no_pipe_of_the_engine_is_open_in_the_container"),
    ("the log ends at its size", LAUNCHER, "HEAD + (seen - HEAD) % TAIL", "seen", T_LAUNCHER + "test_a_flood_of_anything_is_kept_within_the_file"),
    ("one that is left behind keeps nothing alive", LAUNCHER, "while left > 0 and (block := read()):", "while block := read():", T_LAUNCHER + "test_one_that_is_left_behind_and_floods_keeps_nothing_alive"),
    ("the beginning of a log is kept", LAUNCHER, "sanitise(kept[:head], max_chars=head)[:_HEAD_CHARS]", '""', T_LAUNCHER + "test_of_a_long_log_the_beginning_and_the_end_are_kept"),
    ("what was printed is kept at once", LAUNCHER, "os.pwrite(log, seen.to_bytes(SEEN, \"little\"), 0)", "status is not None and os.pwrite(log, seen.to_bytes(SEEN, \"little\"), 0)", T_LAUNCHER + "test_what_was_printed_before_the_deadline_is_there_whatever_was_done_to_process_one"),
    ("a signal does not end process 1", LAUNCHER, "(_signal.SIGINT, _signal.SIGPIPE", "(_signal.SIGPIPE", T_LAUNCHER + "test_what_was_printed_before_the_deadline_is_there_whatever_was_done_to_process_one"),
    ("the log is made harmless", LAUNCHER, "_ends(sanitise(kept[:seen], max_chars=log_bytes))", "_ends(kept[:seen].decode(errors='replace'))", T_LAUNCHER + "test_whatever_is_in_the_file_is_harmless_text_of_a_bounded_length"),
    ("a spoiled log spoils nothing else", LAUNCHER, "    except OSError:  # the command spoiled", "    except ValueError:  # the command spoiled", T_LAUNCHER + "test_a_job_that_spoils_its_log_loses_its_log_and_nothing_else"),
    ("orphans are reaped", LAUNCHER, "os.waitpid(-1, os.WNOHANG)", "os.waitpid(child, os.WNOHANG)", T_LAUNCHER + "test_orphans_are_reaped"),
    ("log driver compared", POSTURE, 'if log.get("Type") != want["LogConfig"]["Type"]:', "if False:", OTHER),
    ("log compared (podman)", "sandbox/podman.py", 'log.get("Type") == want["LogConfig"]["Type"]', "True", "tests/sandbox/test_podman.py::test_any_other_report_refuses"),
]  # fmt: skip
