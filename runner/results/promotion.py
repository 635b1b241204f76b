"""Promotes a kept experiment: the sealed test score, the snapshot image, the commit. Each step can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge.judge import JUDGE_VERSION
from runner.clock import Clock
from runner.evaluation.pipeline import MODEL, PARAMS, Ids, Pipeline
from runner.protocols import Conditions
from runner.results import git_lineage
from runner.results.snapshot import SCRIPT, SnapshotContents, build_snapshot, snapshot_tag
from runner.scoring.repeat_noise import Noise
from runner.scoring.scores import mean
from runner.store.records import Experiment
from sandbox.engine import Image, ImageMissing, SandboxError

_TRIES, _PAUSE_S = 3, 5.0


@dataclass(frozen=True, slots=True)
class Promotion:
    pipeline: Pipeline
    base: Image
    data: Path
    workspace: Path
    clock: Clock
    conditions: Conditions = field(default_factory=Conditions)

    def is_complete(self, experiment: Experiment) -> bool:
        """Whether image and commit are recorded and the image is still there (somebody may have pruned it)."""
        if not (experiment.image and experiment.git_commit):
            return False
        try:
            return self.pipeline.engine.image(experiment.image).id == experiment.image
        except ImageMissing:
            return False

    def missing_files(self, experiment: Experiment) -> list[str]:
        """Files without which `keep` cannot freeze it: their paths. Somebody, or a `gc` of another copy, removed them."""
        first = experiment.counted[0]
        return [
            str(first.folder / name)
            for name in (SCRIPT, PARAMS, MODEL)
            if not (first.folder / name).is_file()
        ]

    def promote(self, experiment: Experiment, noise: Noise, gain: float = 0.0) -> dict[str, Any]:
        """The ledger's columns for a kept experiment. An engine that fails is asked again, twice, after a pause. `gain` is by how
        many bits per byte it is expected to be better than the last confirmed script: what its image claims.

        Raises SandboxError or PrerequisiteMissing; a resumed run then keeps it again.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._promote(experiment, noise, gain)
            except SandboxError:
                self.clock.sleep(_PAUSE_S)
        return self._promote(experiment, noise, gain)

    def _promote(self, experiment: Experiment, noise: Noise, gain: float) -> dict[str, Any]:
        first = experiment.counted[0]
        assert first.val_bpb is not None
        assert first.params_sha256 is not None
        test_bpb = experiment.test_bpb
        if test_bpb is None:  # sealed: asked once, and only of what is kept
            with self.pipeline.leases.acquire() as lease:
                ids = Ids(experiment.run, str(experiment.number), first.attempt)
                verdict = self.pipeline.judged(first.folder, ids, lease, split="test")
            if verdict.infrastructure:
                raise SandboxError(f"the test score could not be had: {verdict.infrastructure}")
            test_bpb = verdict.val_bpb
        now = self.clock.time()
        kept = SnapshotContents(
            run=experiment.run,
            number=experiment.number,
            title=experiment.title,
            seed=first.seed,
            val_bpb=first.val_bpb,
            mean_val_bpb=mean(experiment),
            repeats=len(experiment.counted),
            sigma=noise.sigma,
            freedom=noise.freedom,
            gain=gain,
            test_bpb=test_bpb,
            limits=self.pipeline.limits,
            preset=self.pipeline.preset,
            cpu_share=self.pipeline.cpu_share,
            conditions=self.conditions,
            params_sha256=first.params_sha256,
            judge_version=JUDGE_VERSION,
            kept_at=now,
        )
        image = build_snapshot(
            self.pipeline.engine, self.base, kept, first.folder, self.data / "manifest.json"
        )
        message = f"{experiment.title}\n\nval_bpb {kept.mean_val_bpb:.6f} over {kept.repeats} runs\nimage {image.id}\n"
        source = (first.folder / "train.py").read_bytes()
        commit = git_lineage.record(self.workspace, experiment.run, source, message, at=now)
        tag = snapshot_tag(experiment.run, experiment.number)
        return {"image": image.id, "tag": tag, "git_commit": commit, "test_bpb": test_bpb}
