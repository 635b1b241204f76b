"""What keeps the promises on machines of every kind."""

from __future__ import annotations

GIT, ENDPOINT, CLIENT = "runner/results/git_plumbing.py", "sandbox/endpoint.py", "sandbox/api_client.py"
T_GIT, T_END = "tests/results/test_git_lineage.py::", "tests/sandbox/test_endpoint.py::"
T_PRE, T_IN, T_LEDGER = (
    "tests/search/test_preflight.py::",
    "tests/sandbox/test_mounts.py::",
    "tests/store/test_ledger.py::",
)
TRAPS = T_GIT + "test_nothing_that_a_repository_has_configured_is_run"

ROWS = [
    ("no hooks", GIT, '"core.hooksPath=/dev/null",', "", TRAPS),
    ("no transport", GIT, '"GIT_NO_LAZY_FETCH": "1",\n    "GIT_ALLOW_PROTOCOL": "none",', "", TRAPS),
    ("the rights of the repository's owner", GIT, "return Repository(folder, status.st_uid, status.st_gid)", "return Repository(folder)", T_GIT + "test_in_somebody_elses_repository_root_has_no_more_rights_than_they"),
    ("nobody's repository but one's own", GIT, "if status.st_uid == os.geteuid():", "if True:", T_GIT + "test_anybody_else_is_refused_a_repository_that_is_not_theirs"),
    ("no git variables of the caller", GIT, 'env={"PATH"', 'env={**os.environ, "PATH"', T_GIT + "test_a_callers_git_variables_are_not_followed"),
    ("either hash format", "runner/results/git_lineage.py", '"update-ref", branch, commit, parent)', '"update-ref", branch, commit, parent or "0" * 40)', T_GIT + "test_either_hash_format_is_written"),
    ("commits are tried", "runner/results/git_lineage.py", 'repository.git("update-ref", probe, commit)', "pass", T_GIT + "test_a_branch_in_the_way_a_lock_and_a_broken_repository_are_found_out_before"),
    ("contexts are followed", ENDPOINT, "if name and name != _DEFAULT:", "if False:", T_END + "test_the_docker_commands_order_is_followed"),
    ("no engine that cannot work", ENDPOINT, 'if kind in {"unix", "tcp", "http", "https"}:', "if True:", T_END + "test_an_engine_that_cannot_mount_our_folders_is_a_sentence"),
    ("a build asks no credential helper", CLIENT, "def _set_auth_headers(", "def _unused(", T_END + "test_a_build_needs_and_reads_no_credentials"),
    ("no .netrc", CLIENT, "self.trust_env = False", "self.trust_env = True", T_END + "test_a_netrc_says_nothing_to_a_local_engine"),
    ("a folder that is mounted has a mode of its own", "sandbox/mounts.py", "path.chmod(0o755)", "pass", T_IN + "test_modes_of_inputs_do_not_come_from_the_umask"),
    ("a file that is mounted has a mode of its own", "sandbox/mounts.py", "path.chmod(0o644)", "pass", T_IN + "test_modes_of_inputs_do_not_come_from_the_umask"),
    ("an unreadable input is nobody's crash", "sandbox/docker_engine.py", "if found := unreadable(job.mounts):", "if False and (found := ''):", T_IN + "test_an_input_that_cannot_be_read_is_nobodys_crash"),
    ("folders of an image have modes of their own", "sandbox/images.py", 'for folder in sorted(parents - {"."}):', "for folder in ():", T_IN + "test_modes_in_an_image_do_not_come_from_the_umask"),
    ("paths begin at the workspace", "runner/store/filesystem.py", "return str(path.relative_to(root)) if", "return str(path) if", T_LEDGER + "test_paths_begin_at_the_workspace_so_that_it_may_be_moved"),
    ("older paths, too", "runner/store/schema.py", "UPDATE attempts SET folder = '.autoresearch", "UPDATE attempts SET folder = '/autoresearch", T_LEDGER + "test_paths_of_an_older_ledger_are_found_in_a_workspace_that_was_moved"),
    ("a commit is tried first", "runner/search/preflight.py", "    git_lineage.try_out(", "    str(", T_PRE + "test_a_repository_that_takes_no_commit_is_said_before_the_first_training"),
    ("a snapshot is tried first", "runner/search/preflight.py", "    _try_snapshot(pipeline.engine, base, run)", "    pass", T_PRE + "test_an_engine_that_cannot_build_is_said_before_the_first_training"),
    ("the data are tried first", "runner/search/preflight.py", "    _try_data(pipeline, state)", "    pass", T_PRE + "test_data_that_a_container_cannot_read_are_said_before_the_first_training"),
    ("the workspace is tried first", "runner/search/preflight.py", "        _try_write(folder)", "        pass", T_PRE + "test_a_workspace_that_cannot_be_written_is_said_before_the_first_training"),
    ("what is gone does not stop a run for ever", "runner/search/recovery.py", "if missing := promotion.missing_files(experiment):", "if False:", T_PRE + "test_a_kept_row_whose_files_are_gone_is_said_once_and_the_run_goes_on"),
]  # fmt: skip
