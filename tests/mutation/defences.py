"""Every defence, how to take it away, and the test that must notice.

A row is (what, file, text, replacement, test). The text occurs once in the file, else another place than the one that is meant
might be changed. A module `of_AREA.py` beside this one adds its `ROWS` as the group AREA.
No row may make a hostile program dangerous to the machine it is tried on: limits are loosened, bombs are bounded.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import NamedTuple


class Defence(NamedTuple):
    what: str
    file: str
    text: str
    replacement: str
    test: str
    every: bool = False
    """Replace every occurrence: for a defence that is there twice."""


ROOT = Path(__file__).parents[2]
HOST, CONFIGURATION, COLLECT = (
    "sandbox/host_config.py",
    "sandbox/configuration_check.py",
    "sandbox/collect.py",
)
T_INSIDE, T_FLAGS = "tests/sandbox/test_confinement.py::", "tests/sandbox/test_host_config.py::"
T_LIES = "tests/sandbox/test_lying_streams.py::"
T_POSTURE, T_BORDER = "tests/sandbox/test_configuration_check.py::", "tests/sandbox/test_border.py::"
T_ENDINGS, T_CLOCK = "tests/sandbox/test_exit_cause.py::", "tests/sandbox/test_wall_clock.py::"
T_REAP, T_LEASE = "tests/sandbox/test_reaping.py::", "tests/sandbox/test_leases.py::"
ROOT_WRITES = "test_the_root_and_the_inputs_cannot_be_written"
TMPFS = "test_what_can_be_written_is_a_small_tmpfs_without_programs"
ENFORCED = "tests/sandbox/test_prerequisites.py::test_the_real_engine_holds_every_limit"
FLAG = T_FLAGS + "test_the_flag_is_asked_for"

FLAGS = [
    ("no network", '"NetworkMode": "none"', '"NetworkMode": "host"', FLAG),
    ("network disabled", '"NetworkDisabled": True', '"NetworkDisabled": False', T_FLAGS),
    ("read-only root", '"ReadonlyRootfs": True', '"ReadonlyRootfs": False', ENFORCED),
    ("not privileged", '"Privileged": False', '"Privileged": True', FLAG),
    ("no capabilities", '"CapDrop": ["ALL"]', '"CapDrop": ["NET_RAW"]', ENFORCED),
    ("no new privileges", '"no-new-privileges:true", ', "", ENFORCED),
    ("seccomp profile", "seccomp={profile}", "seccomp=unconfined", ENFORCED),
    ("private IPC", '"IpcMode": "private"', '"IpcMode": "shareable"', FLAG),
    ("private cgroup names", '"CgroupnsMode": "private"', '"CgroupnsMode": "host"', FLAG),
    ("process limit", '"PidsLimit": limits.pids', '"PidsLimit": 150', T_FLAGS + "test_processes_end_at_the_limit_and_not_later"),
    ("memory limit", '"Memory": limits.memory_bytes', '"Memory": 2 * limits.memory_bytes', T_FLAGS + "test_memory_ends_at_the_limit_and_not_later"),
    ("no swap", '"MemorySwap": limits.memory_bytes', '"MemorySwap": 2 * limits.memory_bytes', FLAG),
    ("OOM killer on", '"OomKillDisable": False', '"OomKillDisable": True', FLAG),
    ("first to go when memory is short", '"OomScoreAdj": 500', '"OomScoreAdj": 0', T_FLAGS + "test_what_can_be_seen_of_them_is_seen_inside"),
    ("size of /dev/shm", '"ShmSize": limits.shm_bytes', '"ShmSize": 8 << 20', ENFORCED),
    ("size of /tmp", "size={size},", "size=8m,", ENFORCED),
    ("inodes of /tmp", "size={size},nr_inodes={inodes}", "size={size},nr_inodes=5000", T_FLAGS + "test_files_in_tmp_end_at_the_limit_while_there_is_room"),
    ("/tmp: no programs", "rw,noexec,nosuid,nodev,mode", "rw,exec,nosuid,nodev,mode", T_INSIDE + TMPFS),
    ("/tmp: no setuid", "rw,noexec,nosuid,nodev,mode", "rw,noexec,suid,nodev,mode", T_INSIDE + TMPFS),
    ("/tmp: no devices", "rw,noexec,nosuid,nodev,mode", "rw,noexec,nosuid,dev,mode", T_INSIDE + TMPFS),
    ("no core dumps", '"core", "Soft": 0, "Hard": 0', '"core", "Soft": 9, "Hard": 9', T_INSIDE + "test_the_process_limits_are_set"),
    ("open files", '"Soft": limits.open_files, "Hard": limits.open_files', '"Soft": 9999, "Hard": 9999', T_INSIDE + "test_the_process_limits_are_set"),
    ("file size", '{"Name": "fsize", "Soft": limits.out_bytes, "Hard": limits.out_bytes},', "", ENFORCED),
    ("never restarted", '{"Name": "no", "MaximumRetryCount": 0}', '{"Name": "on-failure", "MaximumRetryCount": 3}', FLAG),
    ("kept until looked at", '"AutoRemove": False', '"AutoRemove": True', FLAG),
    ("leased CPUs only", '",".join(str(cpu) for cpu in lease.cpus)', '""', T_INSIDE + "test_the_process_limits_are_set"),
    ("CPU time", '"NanoCpus": len(lease.cpus) * 1_000_000_000', '"NanoCpus": 0', FLAG),
    ("other users go first", '"CpuShares": 512', '"CpuShares": 1024', FLAG),
    ("a user without rights", 'f"{uid}:{uid}"', '"0:0"', T_INSIDE + "test_it_is_nobody"),
    ("no other environment", '[f"{name}={value}" for name, value in environment.items()]', '[*(f"{name}={value}" for name, value in environment.items()), "KEY=x"]', T_INSIDE + "test_its_environment_is_exactly_what_it_was_given"),
    ("no health check", '"Healthcheck": {"Test": ["NONE"]}', '"Healthcheck": None', T_FLAGS),
    ("stopped with SIGKILL", '"StopSignal": "SIGKILL"', '"StopSignal": "SIGTERM"', T_FLAGS),
    ("inputs read-only", '"ReadOnly": True,', '"ReadOnly": False,', T_INSIDE + ROOT_WRITES),
    ("mounts do not spread", '"Propagation": "rprivate"', '"Propagation": "rshared"', T_FLAGS + "test_a_mount_neither_follows_the_hosts_mounts_nor_brings_those_below_it"),
    ("nothing below a mount", '"NonRecursive": True', '"NonRecursive": False', T_FLAGS + "test_a_mount_neither_follows_the_hosts_mounts_nor_brings_those_below_it"),
    ("/out copies nothing", '"NoCopy": True', '"NoCopy": False', T_FLAGS + "test_nothing_is_copied_from_the_image_into_the_output"),
    ("size of /out", "_tmpfs(limits.out_bytes,", "_tmpfs(8 * limits.out_bytes,", ENFORCED),
    ("inodes of /out", "limits.out_bytes, limits.out_inodes", "limits.out_bytes, 999", ENFORCED),
    ("/out: no setuid, devices, programs", "},nosuid,nodev,noexec", "}", T_INSIDE + TMPFS),
    ("holder reads only", "_mounts(volume, read_only=True)", "_mounts(volume, read_only=False)", T_FLAGS + "test_the_holder_is_as_locked_and_has_no_input_and_an_end"),
    ("GPU by UUID", '"DeviceIDs": [uuid]', '"Count": -1', T_POSTURE + "test_a_gpu_is_asked_for_by_uuid"),
    ("GPU: compute only", '[["gpu", "compute", "utility"]]', '[["gpu", "graphics"]]', T_POSTURE + "test_a_gpu_gets_no_graphics"),
]  # fmt: skip

LIMIT, OTHER = (
    T_POSTURE + "test_a_limit_that_was_dropped_refuses",
    T_POSTURE + "test_any_other_difference_refuses",
)
COMPARISONS = [
    ("every limit compared", "_plain(have.get(key)) != _plain(value)", "False", LIMIT),
    ("nothing beyond what was asked", "for key in _MUST_BE_EMPTY if have.get(key)", "for key in _MUST_BE_EMPTY if False", OTHER),
    ("capabilities compared", '!= ["ALL"]', "== 5", OTHER),
    ("no-new-privileges compared", "if not any(option in {", "if False and any(option in {", OTHER),
    ("seccomp profile compared", "if len(given) != 1 or not _same_json(given[0], asked)", "if False", OTHER),
    ("nothing unconfined", 'if any("unconfined" in option', 'if False and any("unconfined" in option', OTHER),
    ("/proc stays masked", "if have.get(key) == []", "if False", OTHER),
    ("user and command compared", "if config.get(key) != asked[key]", "if False", OTHER),
    ("image compared", 'if str(reported.get("Image", "")).removeprefix("sha256:") !=', 'if "" and asked["Image"] !=', OTHER),
    ("labels compared", 'if not asked["Labels"].items() <=', 'if False and asked["Labels"].items() <=', OTHER),
    ("mounts compared", 'if _mounts(reported.get("Mounts") or []) != _asked_mounts(want["Mounts"])', "if False", OTHER),
    ("inputs compared as read-only", 'bool(m.get("RW")),', 'bool(m.get("RW")) and m.get("Type") == "volume",', OTHER),
    ("environment compared", "if name not in _IMAGES_OWN_VARIABLES", "if False", OTHER),
    ("environment whole", "for entry in asked if entry not in reported", "for entry in asked if False", OTHER),
    ("ulimits compared", 'if not _limits(want["Ulimits"]) <= _limits(have.get("Ulimits") or [])', "if False", OTHER),
    ("devices compared", 'if _devices(have.get("DeviceRequests") or []) !=', 'if False and [] !=', OTHER),
]  # fmt: skip

COLLECTED = [
    ("symlinks refused", "if stat.S_ISLNK(found.st_mode)", "if False", T_BORDER + "test_a_symlink_named_like_the_artifact_is_refused"),
    ("only regular files", "stat.S_ISREG(", "bool(", T_BORDER + "test_a_fifo_named_like_the_artifact_is_refused_at_once"),
    ("second names refused", "if opened.st_nlink != 1", "if False", T_BORDER + "test_a_file_with_a_second_name_is_refused"),
    ("size cap in the holder", "if opened.st_size > cap", "if False", T_BORDER + "test_one_byte_too_many_is_refused"),
    ("holes refused", "if opened.st_blocks * 512 < opened.st_size - 4096", "if False", T_BORDER + "test_a_file_of_holes_is_refused"),
    ("only the asked name", 'if header.get("name") != output.name', "if False", T_LIES + "test_one_lie_is_enough"),
    ("size cap on the host", "not 0 <= size <= output.max_bytes", "not 0 <= size", T_LIES + "test_one_lie_is_enough"),
    ("header cap on the host", "if len(self._buffer) > _MAX_HEADER", "if False", T_LIES + "test_a_header_without_an_end_is_not_read_for_ever"),
    ("nothing is replaced", "os.O_EXCL", "os.O_TRUNC", T_BORDER + "test_a_collected_file_never_replaces_another"),
    ("half a file is removed", "        path.unlink()\n        raise", "        raise", T_BORDER + "test_a_broken_stream_is_refused_and_leaves_nothing"),
]  # fmt: skip

ENGINE = "sandbox/docker_engine.py"
LIFE = [
    ("waiting for a proposal is charged", "runner/search/time_budget.py", " - (self._clock.monotonic() - self._started - self._recorded)", "", "tests/search/test_time_budget.py::test_the_wait_for_a_proposal_that_is_not_trained_is_charged"),
    ("a script that failed is no new one", "runner/search/proposal_stage.py", "() if repeat else index.fingerprints", "()", "tests/search/test_time_budget.py::test_a_variant_that_differs_in_no_computation_is_not_trained_again"),
    ("charged before it is written down", "runner/search/attempts.py", "        self.budget.charge()\n        self.budget.learn(spent)\n        ledger.finish_attempt(run, number, attempt, evaluation, now=clock.time())\n", "        ledger.finish_attempt(run, number, attempt, evaluation, now=clock.time())\n        self.budget.charge()\n        self.budget.learn(spent)\n", "tests/search/test_time_budget.py::test_what_was_run_is_charged_whatever_was_written_last"),
    ("the place of a decision is looked up", "runner/store/schema.py", "    CREATE INDEX experiments_by_decision ON experiments (run, decision);\n", "", "tests/search/test_long_run.py::test_a_step_of_a_run_three_times_as_long_does_hardly_more"),
    ("what was confirmed is looked up", "runner/store/schema.py", "    CREATE INDEX confirmed ON confirmations (run, candidate) WHERE verdict = 'confirmed';\n", "", "tests/search/test_long_run.py::test_a_step_of_a_run_three_times_as_long_does_hardly_more"),
    ("a GPU's lock is the kernel's", "sandbox/lock_files.py", "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)", "tests/sandbox/test_leases.py::test_two_processes_never_share_a_gpu_and_a_killed_one_leaves_it_free"),
    ("the bomb was killed, not ended", "sandbox/enforcement_check.py", " and bomb.exit_code == _KILLED", "", "tests/sandbox/test_prerequisites.py::test_memory_is_held_where_the_bomb_was_killed_and_not_where_it_ended"),
    ("the bomb is bounded", "sandbox/enforcement_check.py", "in range(64)]", "in range(128)]", "tests/sandbox/test_prerequisites.py::test_the_memory_bomb_ends_by_itself"),
    ("killed at the deadline", "sandbox/deadline.py", "if self._sent_kill() and killed_at is None", "if False", T_CLOCK + "test_a_container_is_killed_at_the_deadline_and_not_before_or_after"),
    ("with SIGKILL", "sandbox/deadline.py", 'signal="SIGKILL"', 'signal="SIGTERM"', T_CLOCK + "test_a_container_is_killed_at_the_deadline_and_not_before_or_after"),
    ("killed again while it lives", "sandbox/deadline.py", "if self.monotonic() >= end", "if True", T_CLOCK + "test_a_container_that_survives_sigkill_is_reported_and_was_killed_again_and_again"),
    ("dead only when the engine says so", "sandbox/deadline.py", "if self._running():", "if False:", T_CLOCK + "test_processes_left_in_the_cgroup_count_as_alive"),
    ("dead only when its cgroup is empty", "sandbox/deadline.py", "return self.local and cgroup.processes(self.container) > 0", "return False", T_CLOCK + "test_processes_left_in_the_cgroup_count_as_alive"),
    ("an engine that is away is waited for", "sandbox/deadline.py", "while self.monotonic() < end:\n            self.sleep", "while False:\n            self.sleep", T_CLOCK + "test_a_container_that_lives_through_an_engine_restart_keeps_its_deadline"),
    ("death while the engine was away is a loss", "sandbox/exit_cause.py", "if death.interrupted", "if False", T_CLOCK + "test_a_death_while_the_engine_was_away_is_nobodys_fault"),
    ("a stranger's kill is not the candidate's fault", "sandbox/exit_cause.py", 'if happened & {"kill", "stop", "restart"}', "if False", T_ENDINGS + "test_a_container_that_somebody_kills_is_lost_and_not_the_candidates_fault"),
    ("out of memory is told apart", "sandbox/exit_cause.py", 'if state.get("OOMKilled"):\n        if code != 0', "if False:\n        if code != 0", T_ENDINGS + "test_a_child_that_ran_out_of_memory_is_noted_and_the_parents_answer_counts"),
    ("refusal starts nothing (candidate)", ENGINE, "if found := self._differences(*container)", "if found := ''", T_POSTURE + "test_a_real_engine_that_drops_a_limit_of_the_candidate_alone_starts_it_not"),
    ("refusal starts nothing (holder)", ENGINE, "if found := self._differences(*holder)", "if found := ''", T_POSTURE + "test_a_real_engine_that_drops_a_limit_starts_nothing"),
    ("containers are removed", ENGINE, "self._remove(reaper.remove_container, name)", "pass", T_ENDINGS + "test_a_script_that_ends_well_is_collected"),
    ("volumes are removed", ENGINE, "self._remove(reaper.remove_volume, name)", "pass", T_ENDINGS + "test_a_script_that_ends_well_is_collected"),
    ("leftovers go before the next job", ENGINE, "        self._remove_what_is_left()\n        asked_at", "        asked_at", "tests/sandbox/test_outages.py::test_what_could_not_be_removed_is_removed_before_the_next_job"),
    ("malformed jobs are refused", ENGINE, "refuse_malformed(job)\n", "pass\n", "tests/conformance/test_engines.py::test_a_tag_is_refused"),
    ("tags are refused", "sandbox/job_validation.py", "if not _IMAGE_ID.fullmatch(job.image)", "if False", T_POSTURE + "test_a_malformed_job_is_refused_with_a_sentence"),
    ("no mount over the container's own folders", "sandbox/job_validation.py", "or str(target) in _TAKEN", "", T_POSTURE + "test_a_malformed_job_is_refused_with_a_sentence"),
    ("outputs are plain names", "sandbox/job_validation.py", 'and "/" not in name', "", T_POSTURE + "test_a_malformed_job_is_refused_with_a_sentence"),
    ("no limit is zero", "sandbox/job_validation.py", "if not getattr(limits, name) > 0", "if False", T_POSTURE + "test_a_malformed_job_is_refused_with_a_sentence"),
    ("only our user's containers", "sandbox/reaper.py", "and owner.uid == self.uid", "", T_REAP + "test_another_users_containers_are_never_touched"),
    ("only containers with an owner", "sandbox/owner.py", "if len(parts) != 4 or not all(", "if len(parts) != 4 and not all(", T_REAP + "test_a_label_that_names_no_owner_is_not_ours"),
    ("a living owner's container stays", "sandbox/reaper.py", "owner.dead(engine_is_local=self.local)", "True", T_REAP + "test_a_living_owner_before_the_deadline_is_left_alone"),
    ("past the deadline it goes", "sandbox/reaper.py", "if item.deadline < now", "if False", T_REAP + "test_what_is_past_its_deadline_goes_though_the_owner_lives"),
    ("a recycled process number is not the owner", "sandbox/owner.py", "return _start_time(self.pid) != self.start_time", "return _start_time(self.pid) is None", T_REAP + "test_what_a_dead_owner_left_goes_though_the_number_lives_on"),
    ("a zombie is no owner", "sandbox/owner.py", 'None if fields[0] in {"Z", "X"} else', "", T_REAP + "test_a_zombie_owner_is_dead"),
    ("an owner elsewhere is not judged", "sandbox/owner.py", "return engine_is_local", "return True", T_REAP + "test_an_owner_on_another_machine_has_until_the_deadline"),
    ("one holder of a CPU", "sandbox/lock_files.py", "fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)", T_LEASE + "test_two_processes_never_share_a_cpu"),
    ("one holder of a GPU", "sandbox/lease.py", "                self._courtesy.taken_by_others(f\"gpu-{uuid}\")\n                continue", "                lock = os.open('/dev/null', 0)", T_LEASE + "test_a_gpu_is_leased_to_one_at_a_time"),
    ("locks are no links", "sandbox/lock_files.py", "| os.O_NOFOLLOW", "", T_LEASE + "test_a_symlink_in_the_lock_folder_is_not_followed"),
    ("a stranger's GPU is waited for", "sandbox/lease.py", "return not self._probe.processes(uuid) and", "return", T_LEASE + "test_a_gpu_with_a_strangers_process_is_waited_for"),
    ("a stranger beside us is seen", "sandbox/lease.py", "return replace(lease, contended=True)", "return lease", "tests/faults/test_contention.py::test_a_measurement_beside_a_stranger_is_marked_and_does_not_count"),
    ("and is asked about", "runner/evaluation/pipeline.py", "self.leases.with_contention(lease)", "lease", "tests/faults/test_contention.py::test_a_measurement_beside_a_stranger_is_marked_and_does_not_count"),
    ("quarantine holds", "sandbox/lease.py", 'if path.with_suffix(".quarantined").exists()', "if False", T_LEASE + "test_what_a_container_would_not_let_go_of_is_not_leased_again"),
    ("what survives SIGKILL is quarantined", "runner/evaluation/pipeline.py", "if outcome.ending is Ending.UNKILLABLE", "if False", "tests/faults/test_contention.py::test_what_survived_sigkill_keeps_its_gpu_and_its_cpus_out_of_use"),
]  # fmt: skip

WALK, T_PROGRAM = "judge/inside/op_allowlist.py", "tests/judge/test_exported_program.py::"
JUDGE = [
    ("only data-flow", WALK, "if op.name not in ALLOWED_OPS", "if False", T_PROGRAM + "test_an_op_that_is_no_data_flow_is_refused"),
    ("no custom call", WALK, "    if op.name not in ALLOWED_OPS", '    if op.name == "stablehlo.custom_call":\n        return\n    if op.name not in ALLOWED_OPS', T_PROGRAM + "test_a_custom_call_is_refused_whatever_its_name"),
    ("no foreign composite", WALK, 'if not name.startswith("chlo.")', "if False", T_PROGRAM + "test_a_forbidden_op_is_found_wherever_it_hides"),
    ("no word to the compiler", WALK, "if name not in ALLOWED_ATTRIBUTES or", "if False and", T_PROGRAM + "test_an_attribute_that_talks_to_the_compiler_is_refused"),
    ("ops capped", WALK, 'if count > limits["ops"] or', "if", T_PROGRAM + "test_ops_that_nothing_calls_are_counted_too"),
    ("depth capped", WALK, ' or depth > limits["depth"]', "", T_PROGRAM + "test_regions_in_regions_are_counted"),
    ("tensors capped", WALK, 'if size > limits["tensor_bytes"]', "if False", T_PROGRAM + "test_a_program_beyond_a_cap_is_refused"),
    ("constants capped", WALK, 'if constants > limits["constant_bytes"]', "if False", T_PROGRAM + "test_a_program_beyond_a_cap_is_refused"),
    ("a reader that never ends is ended", "judge/inside/exported_program.py", "signal.setitimer(signal.ITIMER_PROF, READ_CPU_S)", "signal.setitimer(signal.ITIMER_PROF, 0)", "tests/judge/test_fuzz_program.py::test_a_reader_that_never_ends_is_ended"),
    ("what is empty is capped too", WALK, "math.prod(max(length, 1) for length in shape)", "math.prod(shape)", "tests/judge/test_bombs.py::test_a_bomb_is_refused_at_little_cost"),
    ("calls written out are capped", WALK, 'if ops[name] > limits["ops"] or', "if", T_PROGRAM + "test_calls_that_double_at_every_level_are_counted_written_out"),
    ("chains of calls are capped", WALK, 'or height[name] > limits["depth"]', "", T_PROGRAM + "test_a_long_chain_of_calls_is_refused"),
    ("fixed shapes only", WALK, "if not kind.has_static_shape or", "if", T_PROGRAM + "test_what_is_no_tensor_of_a_fixed_shape_is_refused"),
    ("the judge's own shapes", "judge/inside/exported_program.py", "if logits.shape != (*shape, question[\"vocab_size\"]) or", "if", T_PROGRAM + "test_another_signature_is_refused"),
    ("weights are the program's", "judge/inside/exported_program.py", "if aval.shape != weights[name].shape or", "if", T_PROGRAM + "test_weights_that_are_not_the_programs_are_refused"),
    ("no derivative, effect or device", "judge/inside/exported_program.py", "or program.has_vjp()", "", T_PROGRAM + "test_a_program_that_brings_its_derivative_is_refused"),
    ("the module is what its frame says", "judge/inside/exported_program.py", "if inputs != [_tensor(aval) for aval in kept] or", "if", T_PROGRAM + "test_a_module_that_takes_other_weights_than_its_frame_says_is_refused"),
    ("finite weights", "judge/inside/safetensors_reader.py", "if dtype.kind not in \"iub\" and not np.isfinite(array).all()", "if False", "tests/judge/test_safetensors_reader.py::test_weights_that_are_not_finite_are_refused"),
    ("no duplicate names", "judge/inside/safetensors_reader.py", "if len(dict(pairs)) != len(pairs)", "if False", "tests/judge/test_safetensors_reader.py::test_a_malformed_file_is_refused"),
    ("no hole or overlap", "judge/inside/safetensors_reader.py", "if begin != at or", "if", "tests/judge/test_safetensors_reader.py::test_a_malformed_file_is_refused"),
    ("the same answer twice", "judge/inside/forward.py", "if not np.array_equal(first, nats)", "if False", "tests/judge/test_forward.py::test_a_program_that_answers_twice_differently_is_refused"),
    ("no single position may differ", "judge/agreement.py", "difference.max() <= MAX_NATS and", "", "tests/judge/test_blind_probe.py::test_the_two_scores_agree_or_do_not"),
    ("nor the mean", "judge/agreement.py", "and difference.mean() <= MEAN_NATS", "", "tests/judge/test_blind_probe.py::test_the_two_scores_agree_or_do_not"),
    ("tolerance of one position", "judge/agreement.py", "MAX_NATS = 0.01", "MAX_NATS = 10.0", "tests/judge/test_blind_probe.py::test_the_two_scores_agree_or_do_not"),
    ("tolerance of the mean", "judge/agreement.py", "MEAN_NATS = 0.0005", "MEAN_NATS = 0.5", "tests/judge/test_blind_probe.py::test_the_two_scores_agree_or_do_not"),
    ("what follows a cut is hidden", "judge/blind_probe.py", "(np.arange(length) <= cut[:, None])", "(np.arange(length) <= length)", "tests/judge/test_blind_probe.py::test_what_follows_a_cut_is_not_in_its_batch"),
    ("what looks too good is asked again", "judge/blind_probe.py", "np.argsort(-gain, kind", "np.argsort(gain, kind", "tests/judge/test_judge.py::test_a_few_losses_that_are_too_good_are_asked_again_in_a_third_container"),
    ("the two containers are compared", "judge/judge.py", "return agreement.agrees(", "return True or agreement.agrees(", "tests/judge/test_judge.py::test_losses_that_were_forged_in_the_second_container_are_found"),
    ("no negative loss", "judge/container.py", "if (nats < 0).any()", "if False", "tests/judge/test_judge.py::test_a_negative_loss_is_not_scored"),
    ("exact size of the answer", "judge/container.py", "found.bytes != shape[0] * shape[1] * 4", "False", "tests/judge/test_judge.py::test_an_array_of_another_size_is_a_crash"),
    ("finite answers", "judge/container.py", "return array if np.isfinite(array).all() else Verdict(reason=Reason.NOT_FINITE)", "return array", "tests/judge/test_judge.py::test_a_number_that_is_not_finite_is_not_scored"),
    ("a closed answer", "judge/container.py", 'if set(answer) == {"schema", "reason"} and', "if", "tests/judge/test_judge.py::test_a_forged_result_is_a_crash"),
    ("hidden text is removed", "judge/container.py", '(question / "rows.bin").unlink(missing_ok=True)', "pass", "tests/judge/test_judge.py::test_the_hidden_text_does_not_stay_on_disk"),
]  # fmt: skip

FORBIDDEN = """ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd io_uring_setup io_uring_enter userfaultfd
perf_event_open bpf keyctl add_key request_key mount umount2 pivot_root move_mount open_tree fsopen unshare setns
init_module finit_module kexec_load reboot swapon settimeofday clock_settime chroot open_by_handle_at""".split()
T_PROFILE = T_POSTURE + "test_the_seccomp_profile_is_an_allow_list_without_the_known_dangers"


def _seccomp() -> list[Defence]:
    """The same file with one thing more allowed in it."""
    file = "sandbox/seccomp.json"
    found = [
        Defence(f"seccomp: no {name}", file, '"accept",', f'"accept", "{name}",', T_PROFILE)
        for name in FORBIDDEN
    ]
    rules = json.loads((ROOT / file).read_text())["syscalls"]
    socket = (
        '"names": ["socket"],\n      "action": "SCMP_ACT_ALLOW",\n      "args": [{"index": 0, "value": 1,'
    )
    namespaces = next(r["args"][0]["value"] for r in rules if r["names"] == ["clone"])
    return [
        *found,
        Defence("seccomp: an allow-list", file, '"defaultAction": "SCMP_ACT_ERRNO"', '"defaultAction": "SCMP_ACT_ALLOW"', ENFORCED),
        Defence("seccomp: no new namespace", file, f'"value": {namespaces}', '"value": 0', T_INSIDE + "test_clone3_is_unknown_and_clone_makes_no_namespace"),
        Defence("seccomp: clone3 is unknown", file, '"clone3"],\n      "action": "SCMP_ACT_ERRNO"', '"clone3"],\n      "action": "SCMP_ACT_ALLOW"', T_INSIDE + "test_clone3_is_unknown_and_clone_makes_no_namespace"),
        Defence("seccomp: no netlink", file, socket, socket.replace('"value": 1,', '"value": 16,'), T_INSIDE + "test_no_socket_family_but_unix"),
        Defence("seccomp: no IP sockets", file, socket, socket.replace('"value": 1,', '"value": 2,'), T_INSIDE + "test_no_socket_family_but_unix"),
        Defence("seccomp: no file locks", file, '"value": 1034,', '"value": 37,', T_INSIDE + "test_no_file_can_be_locked"),
        Defence("seccomp: no vsock", file, socket, socket.replace('"value": 1,', '"value": 40,'), T_INSIDE + "test_no_socket_family_but_unix"),
        Defence("seccomp: no crypto sockets", file, socket, socket.replace('"value": 1,', '"value": 38,'), T_INSIDE + "test_no_socket_family_but_unix"),
    ]  # fmt: skip


T_PODMAN = "tests/sandbox/test_podman.py::"
OTHER_REPORT = T_PODMAN + "test_any_other_report_refuses"
IN_PODMAN = [
    ("size of /out, in pages", "nr_blocks={max(size // os", "nr_blocks={1 + max(size // os", T_PODMAN + "test_the_size_of_the_output_is_said_in_pages_and_not_rounded_up"),
    ("IPC compared", 'says.get("IpcMode") in {"private", "shareable"}', "True", OTHER_REPORT),
    ("cgroup names compared", 'says.get("CgroupMode") == _cgroup_names(cgroup_v1)', "True", OTHER_REPORT),
    ("no capabilities, effective", 'not own.get("EffectiveCaps") and ', "", OTHER_REPORT),
    ("no capabilities, ever", ' and not own.get("BoundingCaps")', "", OTHER_REPORT),
    ("seccomp and no-new-privileges compared", 'set(says.get("SecurityOpt") or []) == {"no-new-privileges", _security(want)[1]}', "True", OTHER_REPORT),
    ("every tmpfs compared", '_sets(says.get("Tmpfs")) == _sets(_tmpfs(want), "rprivate")', "True", OTHER_REPORT),
    ("ulimits compared", '_limits(says.get("Ulimits")) == _limits([*want["Ulimits"], _NPROC])', "True", OTHER_REPORT),
    ("mount options compared", 'if sorted(map(_bind_as_set, says.get("Binds") or [])) == sorted(map(_bind, want["Mounts"])):', "if True:", OTHER_REPORT),
    ("other namespaces compared", 'if says.get(key) == "private":', "if True:", OTHER_REPORT),
    ("only the variables it is known to add", "if entry not in _ADDED_VARIABLES", 'if entry.partition("=")[0] not in {"TERM", "container", "HOSTNAME"}', OTHER_REPORT),
]  # fmt: skip

T_KEPT, T_STOP, T_CLEAR = (
    "tests/results/test_export.py::",
    "tests/search/test_stop_request.py::",
    "tests/results/test_garbage_collection.py::",
)
T_SESSION, T_CONFIRM = "tests/search/test_session.py::", "tests/scoring/test_confirmation.py::"
ALIKE = T_SESSION + "test_a_run_does_not_go_on_with_another_data_set_and_says_when_the_images_are_others"
RUNS = [
    ("claimed only beyond the noise", "runner/scoring/confirmation.py", "confirmed=delta < -must_exceed)", "confirmed=delta < 0)", T_CONFIRM + "test_a_script_that_changes_nothing_is_hardly_ever_confirmed"),
    ("a noise that the pairs show counts", "runner/scoring/confirmation.py", "squares += math.fsum(", "squares += 0.0 * math.fsum(", T_CONFIRM + "test_a_noise_that_the_pairs_show_counts"),
    ("the documents count in a claim", "runner/scoring/confirmation.py", "CLAIM_QUANTILES[241] * sampling_error)", "0.0)", "tests/search/test_score_probing.py::test_what_was_climbed_by_feedback_is_not_claimed"),
    ("claims rest on new runs", "runner/search/confirmer.py", "first_seed=first_unused(self._seed, index.seeds),", "first_seed=0,", "tests/search/test_confirmer.py::test_a_confirmation_is_made_of_new_runs_of_both_under_one_seed"),
    ("a script that ignores its seed claims nothing", "runner/search/confirmer.py", "elif any(ignores_seed(index[n]) for n in (confirmation.candidate, confirmation.reference)):", "elif False:", "tests/search/test_confirmer.py::test_a_script_that_ignores_its_seed_claims_nothing"),
    ("a script that fails when it runs again claims nothing", "runner/search/confirmer.py", "if failures(index[number], confirmation.id) >= MAX_FAILURES:", "if False:", "tests/search/test_confirmer.py::test_a_script_that_fails_when_it_runs_again_claims_nothing"),
    ("no proposal makes the noise of a claim smaller", "runner/scoring/repeat_noise.py", "return found and Noise(max(found.sigma, own.spread), found.freedom)", "return _floor(groups)", "tests/search/test_confirmer.py::test_scripts_that_hardly_heed_their_seed_make_no_claim_easier"),
    ("what was scored is decided after a kill", "runner/search/loop.py", "if scores(experiment):", "if False:", "tests/search/test_confirmer.py::test_a_runner_killed_between_score_and_decision_decides_it_although_the_budget_is_gone"),
    ("an older version's best script is the best", "runner/search/decider.py", "return [Concluded(found, experiment.delta or 0.0, UNKNOWN_VARIANCE, adopted)] if adopted else []", "return []", "tests/search/test_decider.py::test_a_run_that_an_older_version_began_goes_on_from_its_best_script"),
    ("time is kept for the claim", "runner/search/loop.py", "more_trainings(after=self._confirmer.reserve())", "more_trainings()", "tests/search/test_confirmer.py::test_the_budget_keeps_time_for_it"),
    ("the best script is not its luckiest score", "runner/scoring/kalman_filter.py", "            self._mean[0] += mean\n", "            self._mean[0] += innovation.mean() + mean\n", "tests/scoring/test_kalman_filter.py::test_an_adopted_script_counts_as_what_is_believed_of_it_and_not_as_its_lucky_score"),
    ("one seed order for all scripts", "runner/search/seeds.py", "return max(counted, key=lambda a: a.order).seed if counted else common_seed(run_seed, 0)", "return best.number + len(counted)", "tests/search/test_loop.py::test_every_script_meets_the_same_seeds_in_the_same_order"),
    ("little known, wide interval", "runner/scoring/quantiles.py", "return table[max((known for known in table if known <= freedom), default=1)]", "return table[241]", "tests/scoring/test_repeat_noise.py::test_what_is_known_of_the_noise_widens_every_interval"),
    ("measured alike before and after", "runner/scoring/comparability.py", "if name in _NAMES]:", "if not name]:", ALIKE),
    ("other images are told", "runner/search/session.py", "    if other_images:\n", "    if False:\n", ALIKE),
    ("a resumed run has its count", "runner/search/session.py", 'settings.get("max_experiments") if most is None else most', "most", T_SESSION + "test_a_resumed_run_has_the_budget_and_the_count_it_was_started_with"),
    ("one at work in a workspace", "runner/store/workspace_lock.py", "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", "tests/store/test_workspace_lock.py::test_two_at_work_in_one_workspace_is_refused_and_kill_nine_frees_it"),
    ("no stranger is signalled", "runner/search/stop_request.py", "if self._descriptor is not None and self._owner.dead(", "if False and self._owner.dead(", T_STOP + "test_whoever_has_the_number_now_is_never_signalled"),
    ("one signal and no second", "runner/search/stop_request.py", "if not _ends_cleanly(self._owner.pid):", "if False:", T_STOP + "test_a_runner_that_is_clearing_up_is_left_to_it"),
    ("a request is for one process", "runner/search/stop_request.py", "return self._path.read_text().strip() == str(self._owner)", "return bool(self._path.read_text())", T_STOP + "test_what_was_asked_of_another_process_is_not_obeyed"),
    ("an old request is cleared", "runner/search/stop_request.py", "        self._path.unlink(missing_ok=True)\n        return self", "        return self", T_STOP + "test_an_old_request_is_cleared_before_a_runner_begins"),
    ("nohup is heard", "runner/cli/signals.py", "if name is not signal.SIGHUP or before[name] is not signal.SIG_IGN:", "if True:", "tests/cli/test_signals.py::test_under_nohup_the_end_of_the_terminal_ends_nothing"),
    ("watch says that the runner died", "runner/display/follow.py", 'raise NotRunning("the runner died', 'return print("the runner died', "tests/display/test_follow.py::test_a_runner_that_dies_without_a_last_event_is_said_to_have_died"),
    ("watch knows its runner", "runner/display/follow.py", 'event.data.get("owner") == str(runner.owner)', "True", "tests/display/test_follow.py::test_an_earlier_runners_launch_is_not_taken_for_this_ones"),
    ("an engine's failure is not the script's noise", "runner/evaluation/calibration.py", "if evaluation.outcome is EvaluationOutcome.INFRASTRUCTURE:", "if False:", "tests/evaluation/test_calibration.py::test_a_script_that_cannot_be_scored_and_an_engine_that_fails_are_told_apart"),
    ("a run beside a stranger does not count", "runner/evaluation/calibration.py", "if not evaluation.contended:", "if True:", "tests/evaluation/test_calibration.py::test_a_run_beside_a_stranger_does_not_count"),
    ("exported as judged", "runner/results/export.py", "if known is not None and hashes[name] != known:", "if False:", T_KEPT + "test_a_file_that_is_not_the_one_that_was_judged_is_not_exported"),
    ("exported with its data's manifest", "runner/results/export.py", "if data_sha256 is not None and hashes[MANIFEST] != data_sha256:", "if False:", T_KEPT + "test_the_manifest_of_another_data_set_is_not_exported"),
    ("an export overwrites nothing", "runner/results/export.py", "if folder.exists() or folder.is_symlink():", "if False:", T_KEPT + "test_an_export_never_overwrites"),
    ("unsaved changes stay", "runner/results/apply.py", "if not force:", "if False:", T_KEPT + "test_unsaved_changes_are_not_overwritten_and_force_keeps_a_copy"),
    ("what is overwritten has a copy", "runner/results/apply.py", "return ledger.has_script(hashlib.sha256(content).hexdigest()) or git_lineage.committed(file, content)", "return True", T_KEPT + "test_unsaved_changes_are_not_overwritten_and_force_keeps_a_copy"),
    ("a kept row keeps its weights", "runner/results/garbage_collection.py", " and a not in needed]", "]", T_CLEAR + "test_a_kept_row_keeps_all_it_needs_and_the_run_goes_on_after_it"),
    ("an open experiment keeps everything", "runner/results/garbage_collection.py", ' or experiment.status == "open"', "", T_CLEAR + "test_an_open_experiment_keeps_everything"),
    ("no image of somebody else's goes", "runner/results/garbage_collection.py", "and all(tag.startswith(", "and any(tag.startswith(", T_CLEAR + "test_an_image_that_may_be_somebody_elses_stays"),
    ("no image goes while one is awaited", "runner/results/garbage_collection.py", "not e.image for e in kept", "False for e in kept", T_CLEAR + "test_while_a_kept_row_waits_for_its_image_none_goes"),
    ("unused options are named", "runner/cli/run.py", "if given := [", "if not [", "tests/cli/test_cli.py::test_bad_input_is_one_sentence_and_a_documented_code"),
]  # fmt: skip

GROUPS: dict[str, list[Defence]] = {
    "flags": [Defence(what, HOST, text, new, test) for what, text, new, test in FLAGS],
    "configuration": [Defence(what, CONFIGURATION, text, new, test) for what, text, new, test in COMPARISONS],
    "podman": [Defence(what, "sandbox/podman.py", text, new, test) for what, text, new, test in IN_PODMAN],
    "seccomp": _seccomp(),
    "collector": [
        Defence(what, COLLECT, text, new, test, every=what == "only regular files")
        for what, text, new, test in COLLECTED
    ],
    "life": [Defence(*row) for row in LIFE],
    "judge": [Defence(*row) for row in JUDGE],
    "runs": [Defence(*row) for row in RUNS],
    **{
        path.stem.removeprefix("of_"): [Defence(*row) for row in importlib.import_module(path.stem).ROWS]
        for path in sorted(Path(__file__).parent.glob("of_*.py"))
    },
}
