"""The CPU budget of a training, and who is seen to take its CPUs."""

T = "tests/evaluation/test_contended_trainings.py::"
T_CLOCK = "tests/trainer/test_cpu_clock.py::"
USE, CONTENTION = "sandbox/cpu_use.py", "runner/evaluation/contention.py"
ATTEMPTS = "runner/search/attempts.py"

ROWS = [
    ("contention does not shorten a training", "trainer_jax/wallclock.py", "return max(wall, self._limit * self._cpu_seconds() / self._cpu_budget)", "return wall", T_CLOCK + "test_a_busy_machine_makes_a_training_longer_and_not_smaller"),
    ("and it is saved before the kill", "trainer_jax/wallclock.py", "return max(wall, self._limit * self._cpu_seconds() / self._cpu_budget)", "return self._limit * self._cpu_seconds() / self._cpu_budget", T_CLOCK + "test_what_is_used_up_first_ends_the_training"),
    ("a count of the whole machine is not the container's", "trainer_jax/cpu_time.py", "<= found() <= most", "<= found()", T_CLOCK + "test_the_containers_own_cgroup_tells_its_cpu_time"),
    ("a container's own threads are not others", USE, "max(busy - own, 0.0)", "busy", T + "test_what_a_containers_own_threads_do_is_not_others_use"),
    ("stolen time was taken by others", USE, "numbers[:_GUEST]", "numbers[:_GUEST - 1]", T + "test_time_that_the_hypervisor_took_was_taken_by_others"),
    ("others on the CPUs are seen", CONTENTION, "if use.others_share >= OTHERS_SHARE:", "if False:", T + "test_a_contended_training_does_not_count_and_is_made_again"),
    ("a training cut short by others is seen", CONTENTION, "if 0.0 < missing <= use.others_s:", "if False:", T + "test_what_others_had_of_the_cpus_decides"),
    ("a script that sleeps is not contended", CONTENTION, "if 0.0 < missing <= use.others_s:", "if 0.0 < missing:", T + "test_what_others_had_of_the_cpus_decides"),
    ("no retries without limit", ATTEMPTS, "if mine.contended > MAX_CONTENDED and not", "if False and not", T + "test_on_a_machine_that_stays_busy_trainings_count_after_two_retries"),
    ("a busy machine is said", CONTENTION, "if share < OTHERS_SHARE:", "if True:", T + "test_a_busy_machine_is_said_before_the_first_training"),
    ("beside strangers nothing counts", ATTEMPTS, " and not evaluation.beside_strangers:", ":", T + "test_beside_strangers_on_its_gpu_no_training_ever_counts"),
]  # fmt: skip
