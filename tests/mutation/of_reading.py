"""What keeps a proposal's text from hurting the runner."""

from __future__ import annotations

CHILD, PROCESS, ANSWERS, SYNTAX = (
    f"runner/parsing/{name}.py" for name in ("worker", "client", "answers", "python_parser")
)
LIMITS, THINKING, TEXTS = (
    f"tests/parsing/test_{name}.py::" for name in ("limits", "thinking", "hostile_texts")
)
WORD = LIMITS + "test_whatever_a_text_does_is_a_word_and_the_next_is_read"
LOOK = LIMITS + "test_a_reading_sees_no_environment_no_descriptor_and_can_make_nothing"
OUTSIDE = THINKING + "test_only_what_stands_outside_is_the_answer"
NIGHT = TEXTS + "test_whatever_a_proposer_raises_or_returns_is_an_experiment_and_the_run_goes_on"

ROWS = [
    ("CPU time of a reading", CHILD, "(resource.RLIMIT_CPU, CPU_S),", "(resource.RLIMIT_CPU, 600),", WORD),
    ("memory of a reading", CHILD, "(resource.RLIMIT_AS, MEMORY_BYTES),", "(resource.RLIMIT_AS, 64 << 30),", WORD),
    ("wall time of a reading", CHILD, "deadline = time.monotonic() + WALL_S", "deadline = time.monotonic() + 60 * WALL_S",
     LIMITS + "test_the_child_itself_ends_a_text_that_sleeps"),
    ("size of a reply", CHILD, "or len(said) > MAX_REPLY", "or len(said) > 1 << 40", WORD),
    ("a reading opens no file", CHILD, "resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))", "pass", LOOK),
    ("a reading is nobody", CHILD, "os.setresuid(_NOBODY, _NOBODY, _NOBODY)", "pass", LOOK),
    ("a reading holds no other descriptor", CHILD, "os.closerange(1, 64)", "pass", LOOK),
    ("a reading has no environment", PROCESS, "env={},", "env=None,", LIMITS + "test_the_child_is_started_without_an_environment"),
    ("a reading dies with the runner", CHILD, "if runner.fileno() in ready and not runner.recv(1, socket.MSG_PEEK):", "if False:", LIMITS + "test_a_reading_dies_with_the_runner"),
    ("a signal ends the waiting", PROCESS, "        except BaseException:  # a signal: what the child says next is the reply to nobody\n            self._kill()\n            raise\n", "", LIMITS + "test_a_signal_ends_the_waiting_and_the_next_text_gets_its_own_reply"),
    ("a reply is validated", PROCESS, "found = known.facts_of(self._ask(\"facts\", text))", "found = Facts(**self._ask(\"facts\", text))  # type: ignore", WORD),
    ("thinking before a closing mark", ANSWERS, "                kept.clear()", "                pass", OUTSIDE),
    ("thinking that is never closed", ANSWERS, "    if not thinking:\n        kept.append(text[at:])", "    kept.append(text[at:])", OUTSIDE),
    ("text counts towards complexity", SYNTAX, "nodes=nodes + max(0, len(_BLANKS.sub(b\"  \", lines)) - BYTES_A_NODE * nodes)", "nodes=nodes", TEXTS + "test_a_script_hidden_in_text_is_not_a_simple_script"),
    ("only UTF-8 is read", SYNTAX, "if encoding not in {\"utf-8\", \"utf-8-sig\"}:", "if False:", TEXTS + "test_a_script_in_another_encoding_is_refused"),
    ("what a proposer raises is a failed proposal", "runner/proposers/validation.py", "    except Exception as error:\n        notice", "    except ZeroDivisionError as error:\n        notice", NIGHT),
    ("what a proposer returns is bounded", "runner/proposers/validation.py", "return bounded(proposer.propose(context))", "return proposer.propose(context)", NIGHT),
    ("facts are read once", "runner/search/proposal_stage.py", "if experiment.facts == UNREAD and experiment.source:", "if False:", TEXTS + "test_the_facts_of_an_older_ledger_are_read_once"),
    ("an answer is marked before it is read", "runner/store/ledger.py", "self._set_reading(call, \"begun\")", "pass", "tests/llm/test_llm_proposer.py::test_an_answer_whose_reading_ended_the_runner_is_not_read_again"),
    ("patterns are linear", ANSWERS, "_FENCE = re.compile(r\"(`{3,}|~{3,})[ \\t]*([\\w+-]*)\")", "_FENCE = re.compile(r\"\\s*(`{3,}|~{3,})\\s*([\\w+-]*)\\s*\")", "tests/parsing/test_patterns.py::test_a_pattern_takes_time_in_proportion_to_the_text"),
]  # fmt: skip
