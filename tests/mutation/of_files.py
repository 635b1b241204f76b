"""What keeps the user's files, the run's images and the budget where a workspace is copied or a name is taken."""

T_OWN, T_COMMAND = "tests/store/test_user_files.py::", "tests/proposers/test_command.py::"
T_SESSION, T_BILL = "tests/search/test_session.py::", "tests/llm/test_usage.py::"
BILL = "runner/llm/usage.py"
ROWS = [
    ("text without tokens is no bill", BILL, "if answered and not max(readings):", "if False:", T_BILL + "test_an_answer_with_text_and_without_tokens_is_no_bill"),
    ("dollars that a gateway charged", "runner/llm/prices.py", "+ self.request, usage.usd)", "+ self.request, 0.0)", T_BILL + "test_what_a_gateway_says_it_charged_is_the_least_that_is_booked"),
    ("an amount that is none", BILL, "return float(value) if sensible else 0.0", "return float(value or 0)", T_BILL + "test_dollars_that_are_no_amount_are_not_believed"),
    ("a run that is over asks nothing", "runner/search/session.py", "asks = metered if loop.over() is None else None", "asks = metered", T_SESSION + "test_a_run_that_has_come_to_its_end_pays_for_no_question_when_it_is_resumed"),
    ("the program's end is its answer's", "runner/proposers/command.py", "waiting.unregister(ended)", "pass", T_COMMAND + "test_an_answer_is_there_when_the_program_has_ended_whoever_still_holds_its_pipes"),
    ("notes have a length", "runner/store/workspace.py", "_text(self.notes, MAX_NOTES_CHARS)", "_text(self.notes)", T_OWN + "test_notes_longer_than_a_model_may_write_are_not_sent_to_one"),
    ("the user's file is set aside", "runner/store/user_files.py", "target.rename(aside)", "pass", T_OWN + "test_notes_of_a_person_are_set_aside_and_those_of_the_model_replaced"),
    ("a link is the user's", "runner/store/user_files.py", "if path.is_symlink() or not path.is_file():", "if not path.is_file():", T_OWN + "test_a_link_that_was_put_in_place_of_ours_is_the_users"),
    ("the report is no reason", "runner/search/session.py", "except OSError as error:\n        loop.recorder.emit", "except ZeroDivisionError as error:\n        loop.recorder.emit", T_SESSION + "test_a_report_that_cannot_be_written_is_not_how_a_run_ended"),
    ("a copy does not go on", "runner/search/session.py", "require_at_home(workspace.ledger, run.id, run.settings)", "pass", T_SESSION + "test_a_copy_of_a_workspace_does_not_go_on_with_the_run_of_the_first_and_a_moved_one_does"),
    ("a copy removes no image", "runner/results/garbage_collection.py", "if other_home(ledger.path, run.id, run.settings) is not None:", "if False:", "tests/results/test_garbage_collection.py::test_a_copy_of_a_workspace_removes_no_image_of_the_first"),
    ("a baseline within the budget", "runner/search/baseline.py", "if self._attempts.budget.left() <= 0:", "if False:", T_SESSION + "test_a_baseline_is_not_gone_on_with_when_the_budget_is_gone"),
    ("what came while data was made", "runner/data/output_folder.py", "if (found := _foreign(old / \"replaced\", ours)) is not None:", "if (found := None) is not None:", "tests/data/test_dataset_lock.py::test_what_is_put_into_the_folder_while_it_is_made_stays"),
    ("another folder's unfinished data", "runner/data/output_folder.py", "[a-z0-9_]+", "[a-z0-9_.]+", "tests/data/test_dataset_lock.py::test_two_folders_of_which_one_begins_like_the_other_do_not_meet"),
    ("the ledger is no script", "runner/results/apply.py", "if target.is_relative_to(ledger.path.parent.resolve()):", "if False:", "tests/results/test_export.py::test_neither_the_ledgers_folder_nor_a_pipe_becomes_a_script"),
]  # fmt: skip
