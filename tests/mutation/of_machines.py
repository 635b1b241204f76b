"""What keeps the promises on machines of every kind."""

from __future__ import annotations

GIT, ENDPOINT, CLIENT = "runner/git.py", "sandbox/endpoint.py", "sandbox/client.py"
T_GIT, T_END = "tests/runner/test_lineage.py::", "tests/sandbox/test_endpoint.py::"
TRAPS = T_GIT + "test_nothing_that_a_repository_has_configured_is_run"

ROWS = [
    ("no hooks", GIT, '"core.hooksPath=/dev/null",', "", TRAPS),
    ("no transport", GIT, '"GIT_NO_LAZY_FETCH": "1",\n    "GIT_ALLOW_PROTOCOL": "none",', "", TRAPS),
    ("the rights of the repository's owner", GIT, "return Repository(folder, status.st_uid, status.st_gid)", "return Repository(folder)", T_GIT + "test_in_somebody_elses_repository_root_has_no_more_rights_than_they"),
    ("nobody's repository but one's own", GIT, "if status.st_uid == os.geteuid():", "if True:", T_GIT + "test_anybody_else_is_refused_a_repository_that_is_not_theirs"),
    ("no git variables of the caller", GIT, 'env={"PATH"', 'env={**os.environ, "PATH"', T_GIT + "test_a_callers_git_variables_are_not_followed"),
    ("either hash format", "runner/lineage.py", '"update-ref", branch, commit, parent)', '"update-ref", branch, commit, parent or "0" * 40)', T_GIT + "test_either_hash_format_is_written"),
    ("commits are tried", "runner/lineage.py", 'repository.git("update-ref", trial, commit)', "pass", T_GIT + "test_a_branch_in_the_way_a_lock_and_a_broken_repository_are_found_out_before"),
    ("contexts are followed", ENDPOINT, "if name and name != _DEFAULT:", "if False:", T_END + "test_the_docker_commands_order_is_followed"),
    ("no engine that cannot work", ENDPOINT, 'if kind in {"unix", "tcp", "http", "https"}:', "if True:", T_END + "test_an_engine_that_cannot_mount_our_folders_is_a_sentence"),
    ("a build asks no credential helper", CLIENT, "def _set_auth_headers(", "def _unused(", T_END + "test_a_build_needs_and_reads_no_credentials"),
    ("no .netrc", CLIENT, "self.trust_env = False", "self.trust_env = True", T_END + "test_a_netrc_says_nothing_to_a_local_engine"),
]  # fmt: skip
