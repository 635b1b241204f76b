"""Defences of tasks: what a stage sees, what a scorer may do and say, and what is told of it."""

from __future__ import annotations

READ, STAGES, SCORING = "runner/tasks/read_task.py", "runner/tasks/stages.py", "runner/tasks/scoring_stage.py"
DATA, EVALUATION, INSIDE = (
    "runner/tasks/preparation.py",
    "runner/tasks/evaluation.py",
    "runner/tasks/inside/run_scorer.py",
)
T_READ, T_EVALUATION = "tests/tasks/test_read_task.py::", "tests/tasks/test_evaluation.py::"
T_SCORING, T_DATA = "tests/tasks/test_scoring_stage.py::", "tests/tasks/test_preparation.py::"
SENTENCES = T_READ + "test_what_is_wrong_with_a_task_is_one_sentence"
PRINTED = T_SCORING + "test_anything_else_is_the_tasks_fault"

ROWS = [
    ("no link in a task's folder", READ, "    _refuse_links(folder)\n", "", T_READ + "test_a_link_in_a_task_is_refused"),
    ("no path leaves a task's folder", "runner/tasks/toml_table.py", "0 < len(path) <= 200 and all(is_file_name(part) for part in path.split(\"/\"))", "0 < len(path) <= 200", SENTENCES),
    ("a hidden input is a plain name", "runner/tasks/toml_table.py", "            if not NAME.fullmatch(one):\n", "            if False:\n", SENTENCES),
    ("an output is a plain name", READ, "if not is_file_name(name):", "if False:", SENTENCES),
    ("outputs fit into memory", READ, "if total + _SPARE > memory:", "if False:", SENTENCES),
    ("an unknown key of a task is refused", "runner/tasks/toml_table.py", "if key not in keys:", "if False:", SENTENCES),
    ("changed task data are refused", EVALUATION, "        self.data.require_unchanged()\n", "", T_EVALUATION + "test_changed_data_stop_an_evaluation"),
    ("a file that was added to task data is noticed", DATA, "path for path in {*now, *self.files} if", "path for path in self.files if", T_DATA + "test_a_file_that_was_added_since_is_noticed"),
    ("task data are closed to other users", DATA, "path.mkdir(mode=0o700)", "path.mkdir(mode=0o755)", T_DATA + "test_others_of_the_machine_cannot_enter_and_containers_can_read"),
    ("no link in prepared data", DATA, "if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):", "if False:", T_DATA + "test_what_is_wrong_with_prepared_data_is_one_sentence"),
    ("a stage sees public data only if it says so", STAGES, "if stage.public:", "if True:", T_EVALUATION + "test_a_stage_sees_copies_of_exactly_what_it_declares"),
    ("stages share no inode", STAGES, "shutil.copyfile(source, target, follow_symlinks=False)", "target.hardlink_to(source)", T_EVALUATION + "test_a_stage_sees_copies_of_exactly_what_it_declares"),
    ("copies for a stage are removed", STAGES, "shutil.rmtree(top, ignore_errors=True)", "top.rename(top.with_name(f\"inputs-{stage.name}\"))", T_EVALUATION + "test_a_stage_sees_copies_of_exactly_what_it_declares"),
    ("stages have the narrower profile", "sandbox/seccomp.py", "Role.JUDGE_SCORE, Role.STAGE}", "Role.JUDGE_SCORE}", "tests/sandbox/test_configuration_check.py::test_whoever_runs_a_strangers_program_on_hidden_text_has_the_judges_profile"),
    ("what a stage prints about hidden data is not told", EVALUATION, "NOT_SHOWN if stage.name in self.task.secret_stages else outcome.log_tail", "outcome.log_tail", T_EVALUATION + "test_what_a_stage_prints_that_saw_hidden_data_is_not_told_to_the_agent"),
    ("what is made from hidden data is secret", "runner/tasks/definition.py", "stage.hidden or any(item.stage in secret for item in stage.inputs)", "stage.hidden", T_READ + "test_what_is_made_from_hidden_inputs_is_secret_too"),
    ("a task's score has an end", EVALUATION, "self.task.metric.bounded(score.score)", "score.score", T_EVALUATION + "test_a_score_is_never_worse_than_the_worst"),
    ("a stage that failed has no score", EVALUATION, "    if outcome.exit_code != 0:\n", "    if False:\n", T_EVALUATION + "test_a_stage_that_wrote_all_and_failed_has_no_score"),
    ("an unkillable stage's CPUs are left alone", EVALUATION, "if outcome.ending is Ending.UNKILLABLE:", "if False:", T_EVALUATION + "test_cpus_of_a_container_that_cannot_be_killed_are_not_used_again"),
    ("a failed scorer is the task's fault", SCORING, "    if outcome.exit_code != 0:\n", "    if False:\n", T_SCORING + "test_a_scorer_that_fails_is_never_charged_to_the_idea"),
    ("no NaN in a score", SCORING, "if not math.isfinite(number):", "if False:", PRINTED),
    ("details are declared", SCORING, "if unknown := sorted(set(value) - set(scorer.details)):", "if unknown := []:", PRINTED),
    ("reasons are declared", SCORING, "if found[\"invalid\"] not in scorer.reasons:", "if False:", PRINTED),
    ("details are short", SCORING, "one_line(each, max_chars=MOST_DETAIL_CHARS)", "each", T_SCORING + "test_a_long_detail_is_cut"),
    ("details are sanitised", SCORING, "one_line(each, max_chars=MOST_DETAIL_CHARS)", "each[:MOST_DETAIL_CHARS]", T_SCORING + "test_a_score_with_items_and_details_is_read"),
    ("the scorer runs in the judge's image", EVALUATION, "run_scorer(self.engine, self.judge_image,", "run_scorer(self.engine, self.candidate_image,", T_SCORING + "test_the_scorer_sees_private_data_in_the_judges_image_and_the_candidate_never_does"),
    ("the scorer runs nothing of the candidate's", "runner/tasks/inside/run_scorer.py", "    guard()\n    runpy", "    runpy", "tests/tasks/test_real_engine.py::test_a_scorer_that_would_run_what_the_candidate_wrote_is_stopped"),
]  # fmt: skip
