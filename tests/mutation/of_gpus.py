"""Which GPUs are ours, and what is refused before anything trains on one."""

T = "tests/evaluation/test_device_selection.py::"
T_VISIBLE, T_NVML = "tests/sandbox/test_permitted_gpus.py::", "tests/sandbox/test_nvml.py::"
T_CANARY, CANARY = "tests/evaluation/test_canary.py::", "runner/evaluation/canary.py"
T_CONTENDED, T_USE = "tests/evaluation/test_contended_trainings.py::", "tests/sandbox/test_gpu_use.py::"
CONTENTION = "runner/evaluation/contention.py"
T_FAULTS, PIPELINE = "tests/evaluation/test_gpu_faults.py::", "runner/evaluation/pipeline.py"
DEVICES, VISIBLE, SETUP = (
    "runner/evaluation/device_selection.py",
    "sandbox/permitted_gpus.py",
    "runner/evaluation/setup.py",
)

ROWS = [
    ("what the environment permits is asked", DEVICES, "permitted(found, host.environment, host.slurm_rules_here)", "Permission(tuple(found))", T + "test_without_a_gpu_it_is_the_cpu_and_the_reason_is_said"),
    ("a named GPU must be permitted", DEVICES, "if any(gpu not in permission.gpus for gpu in named):", "if False:", T + "test_gpus_that_are_not_there_or_not_ours_are_one_sentence"),
    ("an invalid entry ends the list", VISIBLE, "            break\n", "            continue\n", T_VISIBLE + "test_cuda_visible_devices_means_what_it_means_to_cuda"),
    ("a beginning of several UUIDs names none", VISIBLE, "if len(matching) != 1:", "if not matching:", T_VISIBLE + "test_cuda_visible_devices_means_what_it_means_to_cuda"),
    ("a split GPU is its first part to CUDA", VISIBLE, "(parts if whole else parts[:1])", "parts", T_VISIBLE + "test_cuda_visible_devices_means_what_it_means_to_cuda"),
    ("a Slurm job without GPUs gets none", VISIBLE, "if SLURM_JOB in environment:", "if False:", T_VISIBLE + "test_a_slurm_job_gets_its_own_gpus"),
    ("nothing of Slurm's outside of an allocation", VISIBLE, "if gpus and slurm_rules_here():", "if False:", T_VISIBLE + "test_on_a_node_of_slurm_nothing_is_taken_outside_of_an_allocation"),
    ("kinds of GPUs are not mixed", DEVICES, "if len(models) == 1:", "if True:", T + "test_gpus_of_several_kinds_are_never_mixed"),
    ("without the toolkit it is the CPU", DEVICES, "if host.gpu_driver is None:", "if False:", T + "test_without_a_gpu_it_is_the_cpu_and_the_reason_is_said"),
    ("the driver decides the variant", DEVICES, "driver.cuda >= (13, 0) and ", "", T + "test_the_variant_is_what_the_driver_runs"),
    ("trainings at once fit the host's memory", DEVICES, "slots = max(1, min(asked, memory_of_all // (memory or LEAST_BYTES)))", "slots = asked", T + "test_trainings_at_once_fit_the_hosts_memory"),
    ("data for the other device are refused", SETUP, "    if (vocabulary, length) != sizes[GPU if kind == CPU else CPU]:\n", "    if True:\n", T + "test_data_for_the_other_kind_of_device_are_refused"),
    ("a run is not resumed on another device", "runner/scoring/comparability.py", ', "device": "kind of device"}', "}", "tests/search/test_session.py::test_a_run_is_not_resumed_on_another_kind_of_device"),
    ("no comparison with another kind of device", "runner/cli/reproduce.py", 'if facts.device not in {"", here}:', "if False:", "tests/results/test_reproduction.py::test_what_was_trained_on_another_kind_of_device_is_not_compared"),
    ("a run on CPUs stays on them", "runner/search/session.py", 'config = replace(config, gpus="none")', "pass", "tests/search/test_session.py::test_a_run_that_began_on_the_cpu_stays_there"),
    ("a lost GPU hides no other one", "sandbox/nvml.py", "            except nvml.NVMLError:  # it fell", "            except ZeroDivisionError:  # it fell", T_NVML + "test_a_gpu_that_fell_off_the_bus_hides_no_other_one_and_is_an_error_in_a_sentence"),
    ("no training on the CPU in place of a GPU", "runner/evaluation/pipeline.py", 'environment["JAX_PLATFORMS"] = "cuda"', "pass", "tests/evaluation/test_environment.py::test_compiling_for_a_gpu_does_not_use_up_the_wall_clock"),
    ("the GPU is looked at before a training", PIPELINE, "if (broken := self._broken_gpu(ids, job.lease)) is not None:\n            return broken", "if False:\n            return broken", T_FAULTS + "test_a_container_without_exactly_its_gpu_is_nobodys_fault_and_nothing_is_trained"),
    ("another GPU than the leased one is seen", "sandbox/gpu_check.py", "if uuids != [leased]:", "if leased not in uuids:", T_FAULTS + "test_a_container_without_exactly_its_gpu_is_nobodys_fault_and_nothing_is_trained"),
    ("CUDA must start", "sandbox/gpu_check.py", 'if cuda := seen["cuda"]:', "if cuda := 0:", T_FAULTS + "test_a_container_without_exactly_its_gpu_is_nobodys_fault_and_nothing_is_trained"),
    ("the GPU is looked at after a failure", PIPELINE, "artifact(outcome)[0] in _OF_A_LOST_GPU", "False", T_FAULTS + "test_a_script_that_failed_on_a_gpu_that_broke_is_not_blamed"),
    ("a judge without a GPU is no verdict", PIPELINE, "if verdict.reason is Reason.CRASHED and lease.gpu_uuid is not None:", "if False:", T_FAULTS + "test_a_model_whose_judge_got_no_gpu_is_judged_once_more"),
    ("nor is one whose GPU broke", PIPELINE, "if verdict.reason is Reason.CRASHED and (broken :=", "if False and (broken :=", T_FAULTS + "test_a_model_is_not_blamed_for_a_gpu_that_broke_before_it_was_judged"),
    ("GPUs take turns", "sandbox/lease.py", "for uuid in self._turns():", "for uuid in self._uuids:", "tests/sandbox/test_leases.py::test_gpus_take_turns_so_that_a_broken_one_does_not_get_every_training"),
    ("strangers on a GPU are seen", CONTENTION, "    if beside_strangers(use):", "    if False:", T_CONTENDED + "test_what_happened_on_its_gpu_decides"),
    ("a slowed GPU does not decide", CONTENTION, "if use.slowed_share >= SLOWED_SHARE:", "if False:", T_CONTENDED + "test_a_training_beside_strangers_on_its_gpu_is_made_again_and_what_was_seen_is_kept"),
    ("a power cap is no harm", "sandbox/nvml.py", "    0x8: ", "    0x4: \"at its power limit\",\n    0x8: ", T_NVML + "test_the_state_of_a_gpu_names_what_a_measurement_suffers_from"),
    ("whose a process is, says its cgroup", "sandbox/gpu_use.py", "return container in (proc", "return True or (proc", T_USE + "test_the_cgroup_says_whose_a_process_is"),
    ("a process that has ended is no stranger", "sandbox/gpu_use.py", "    except ProcessLookupError:\n        return None", "    except ProcessLookupError:\n        return False", T_USE + "test_a_process_that_has_ended_is_nobodys_and_a_hidden_one_a_strangers"),
    ("a GPU with somebody's memory is not free", "sandbox/lease.py", "and self._probe.state(uuid).used_bytes < _USED_BYTES", "", "tests/sandbox/test_leases.py::test_a_gpu_whose_memory_is_in_use_or_that_does_not_answer_is_not_free"),
    ("a wrong attention is seen", CANARY, "if not error < _INACCURATE:", "if False:", T_CANARY + "test_every_red_line_says_what_to_do"),
    ("a slow GPU is seen", CANARY, "slow = rate < _SLOW * peak", "slow = False", T_CANARY + "test_every_red_line_says_what_to_do"),
    ("JAX on the CPU is no GPU", CANARY, 'if said.get("platform") != "gpu" or ', "if ", T_CANARY + "test_every_red_line_says_what_to_do"),
    ("memory errors are seen", CANARY, "if state.ecc_errors:", "if False:", T_CANARY + "test_what_the_driver_knows_is_said"),
    ("the canary looks at the window", "trainer_jax/canary.py", "behind < WINDOW", "behind <= WINDOW", "tests/trainer/test_canary.py::test_the_formula_sees_a_window_and_no_future"),
    ("failures of the hardware are told from a program's", "sandbox/gpu_host.py", " if int(number) in _SERIOUS", " if int(number)", T_CANARY + "test_failures_of_the_hardware_are_read_from_the_kernels_log_and_those_of_programs_are_not"),
    ("no part of a GPU under gVisor", "sandbox/gpu_host.py", "    if split:\n", "    if False:\n", T_CANARY + "test_a_driver_that_gvisor_does_not_know_is_said"),
    ("what gVisor cannot hand out is refused before a training", SETUP, "if why := refused_by_runtime(engine, devices, probe):", "if why := \"\":", "tests/gpus/test_found_gpus.py::test_what_gvisor_cannot_hand_out_is_refused_before_anything_trains"),
    ("positions that may mean two GPUs are refused", VISIBLE, "if _is_ambiguous(cuda, gpus, environment.get(ORDER, \"\")):", "if False:", T_VISIBLE + "test_positions_among_several_kinds_of_gpus_are_refused_without_the_order_of_the_bus"),
    ("positions that mean one thing are not refused", VISIBLE, "0 < len(positions) < len(_wholes(gpus))", "len(positions) > 0", T_VISIBLE + "test_uuids_none_and_all_are_safe_in_any_order"),
    ("what a container forbids is said", VISIBLE, "for why in (shown.why, narrowed.why) if why", "for why in (narrowed.why,) if why", T + "test_a_gpu_that_a_container_may_not_use_names_the_variable"),
    ("gVisor's list of drivers is asked", "sandbox/gpu_host.py", "if not known or version in known:", "if True:", T_CANARY + "test_a_driver_that_gvisor_does_not_know_is_said"),
    ("no GPU without a lease, whatever the image asks for", "sandbox/host_config.py", 'return {} if uuid else {"NVIDIA_VISIBLE_DEVICES": "void"}', "return {}", "tests/sandbox/test_configuration_check.py::test_a_container_without_a_gpu_says_so_whatever_its_image_says"),
    ("clients of MPS are processes", "sandbox/nvml.py", "found += self._nvml", "self._nvml", T_NVML + "test_processes_are_those_of_cuda_and_of_mps"),
    ("a GPU does not wait for CPUs", SETUP, "patience_s=patience_s, may_share=True", "patience_s=patience_s", T + "test_a_training_on_a_gpu_does_not_wait_for_cpus_that_others_hold"),
]  # fmt: skip
