"""Which GPUs are ours, and what is refused before anything trains on one."""

T = "tests/evaluation/test_devices.py::"
T_VISIBLE, T_NVML = "tests/sandbox/test_visible_gpus.py::", "tests/sandbox/test_nvml.py::"
T_FAULTS, PIPELINE = "tests/evaluation/test_gpu_faults.py::", "runner/evaluation/pipeline.py"
DEVICES, VISIBLE, SETUP = (
    "runner/evaluation/devices.py",
    "sandbox/visible_gpus.py",
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
    ("clients of MPS are processes", "sandbox/nvml.py", "found += self._nvml", "self._nvml", T_NVML + "test_processes_are_those_of_cuda_and_of_mps"),
    ("a GPU does not wait for CPUs", SETUP, ", may_share=True", "", T + "test_a_training_on_a_gpu_does_not_wait_for_cpus_that_others_hold"),
]  # fmt: skip
