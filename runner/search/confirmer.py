"""Confirmations: when the script of now is compared with the last confirmed one, and which runs are made for that; what may then be
claimed is decided in `scoring.confirmation`.

Its state is the ledger's: an open confirmation is gone on with from its row and the attempts that name it. One is begun in
the middle of a run where a pair or two will very probably do, and once at the end, for which a share of the budget is kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from runner.scoring.best_script import best
from runner.scoring.repeat_noise import Noise, RememberedNoise
from runner.scoring.scores import ignores_seed
from runner.search.attempts import AttemptRunner
from runner.search.recorder import Recorder
from runner.search.seeds import common_seed, first_unused
from runner.search.slot_threads import Slots
from runner.search.time_budget import Budget
from runner.search.withdrawal import MAX_FAILURES, failures, withdraw
from runner.store.experiment_index import ExperimentIndex
from runner.store.records import Confirmation, Experiment

SHARE = 0.085
"""Of all trainings that the budget holds, for the confirmation at the end."""
LEAST_PAIRS, MOST_PAIRS = 2, 6
"""For the confirmation at the end of a short run, whatever the share says; and of any: each pair is another look, and the more
looks, the more false claims."""
MIDWAY_SHARE, MIDWAY_PAIRS = 0.01, 2
"""Of the trainings made so far, for confirmations before the end, and the most pairs of one."""
NO_TIME = "the budget had no time for a pair"
NOT_ENOUGH = "not clear enough to be claimed"
IGNORES_SEED = "a script ignores its seed, so its noise cannot be seen"


class Confirmer:
    """Of one run, whose seed is `seed`."""

    def __init__(
        self,
        recorder: Recorder,
        attempts: AttemptRunner,
        budget: Budget,
        seed: int,
        earlier: Sequence[Sequence[tuple[int, float]]] = (),
        *,
        slots: Slots,
    ) -> None:
        """`earlier` are the runs (seed and score) of each script that comparable runs ran more than once."""
        self._recorder, self._attempts, self._budget, self._seed = recorder, attempts, budget, seed
        self._known_noise, self._slots, self._confirming = RememberedNoise(earlier), slots, False

    def reserve(self) -> int:
        """Trainings to be kept for the confirmation at the end; 0 where there is nothing to confirm or it would not succeed. Of one that is
        open, those that are missing."""
        if (confirmation := self._open()) is not None:
            return len(self._pairs_of(confirmation, self._recorder.index())[1])
        return 2 * (self._pairs(self._most_pairs()) or 0)

    def midway(self) -> None:
        """Confirm what is very probably confirmed with few pairs, where the share allows it and no other slot does so."""
        if self._confirming:
            return
        if self._open() is not None:  # its slot was lost
            self.resume(slots=1)
            return
        index = self._recorder.index()
        allowed = int((MIDWAY_SHARE * index.attempts - index.confirming) // 2)
        if allowed >= 1 and (pairs := self._pairs(min(allowed, MIDWAY_PAIRS))) is not None:
            self._begin(pairs)
            self.resume(slots=1)

    def at_the_end(self) -> bool:
        """Where there is something to confirm that as many pairs as the share allows will probably do, and time for one: then
        True."""
        if self._open() is not None:
            self.resume()
            return True
        pairs = self._pairs(self._most_pairs())
        if pairs is None or not self._budget.allows_another(2):
            return False
        self._begin(pairs)
        self.resume()
        return True

    def resume(self, slots: int | None = None) -> None:
        """Go on with an open confirmation, in so many slots (all, if not said), until it is decided or the budget allows no other
        training."""
        self._confirming = True
        try:
            self._resume(slots or self._slots.count)
        finally:
            self._confirming = False

    def _resume(self, slots: int) -> None:
        while (confirmation := self._open()) is not None:
            index = self._recorder.index()
            pairs, missing = self._pairs_of(confirmation, index)
            both = {confirmation.candidate, confirmation.reference}
            if gone := both - {e.number for e in index.kept}:
                self._finish(
                    confirmation,
                    pairs,
                    verdict="not_confirmed",
                    reason=f"experiment {min(gone)} was withdrawn",
                )
            elif (failing := self._failing(confirmation, index)) is not None:
                why = f"experiment {failing.number} failed when it ran again"
                self._finish(confirmation, pairs, verdict="not_confirmed", reason=why)
                withdraw(self._recorder, failing, why)
            elif any(ignores_seed(index[n]) for n in (confirmation.candidate, confirmation.reference)):
                self._finish(confirmation, pairs, verdict="not_confirmed", reason=IGNORES_SEED)
            elif self._is_decided(confirmation, pairs) or not self._budget.allows_another():
                self._finish(confirmation, pairs)
            else:
                wanted = [(index[number], seed) for number, seed in missing[:slots]]
                self._attempts.run_at_once(wanted, confirmation=confirmation.id)

    # -- what the ledger says --------------------------------------------------------------------------------------
    def last_confirmed(self) -> int:
        """The experiment that was confirmed last; the baseline where none was."""
        index = self._recorder.index()
        found = [c.candidate for c in self._recorder.confirmations() if c.verdict == "confirmed"]
        return next((number for number in reversed(found) if index[number].kept), 0)

    def expected_gain(self, experiment: Experiment) -> float:
        """By how many bits per byte a kept script is expected to be better than the last confirmed one; never negative."""
        steps = _steps(self._recorder.index().kept, self.last_confirmed(), experiment.number)
        return max(0.0, -math.fsum(e.expected_delta or 0.0 for e in steps))

    def _open(self) -> Confirmation | None:
        return next((c for c in self._recorder.confirmations() if c.verdict == "open"), None)

    def _most_pairs(self) -> int:
        share = int(SHARE * (self._recorder.index().attempts + self._budget.more_trainings())) // 2
        return min(max(LEAST_PAIRS, share), MOST_PAIRS)

    def _pairs(self, most: int) -> int | None:
        """How many pairs will probably confirm the script of now; None where it is confirmed, was refused, or hopeless."""
        from runner.scoring.confirmation import pairs_needed

        kept = self._recorder.index().kept
        if not kept:
            return None
        present, reference = best(kept), self.last_confirmed()
        if present.number == reference or any(
            (c.candidate, c.reference) == (present.number, reference) for c in self._recorder.confirmations()
        ):
            return None
        steps = _steps(kept, reference, present.number)
        error = math.sqrt(math.fsum((e.expected_error or 0.0) ** 2 for e in steps))
        return pairs_needed(self.expected_gain(present), error, self._noise(), most)

    def _begin(self, most_pairs: int) -> None:
        index, recorder = self._recorder.index(), self._recorder
        candidate, reference = best(index.kept).number, self.last_confirmed()
        recorder.ledger.start_confirmation(
            recorder.run_id,
            candidate=candidate,
            reference=reference,
            first_seed=first_unused(self._seed, index.seeds),
            most_pairs=most_pairs,
            now=recorder.clock.time(),
        )
        recorder.emit("confirming", number=candidate, reference=reference, most_pairs=most_pairs)

    def _pairs_of(
        self, confirmation: Confirmation, index: ExperimentIndex
    ) -> tuple[list[tuple[float, float]], list[tuple[int, int]]]:
        """The scores of each whole pair before the first that is not, reference first; and experiment and seed of each run that is
        missing, in the order in which they are made. Which of the two runs first alternates."""
        pairs: list[tuple[float, float]] = []
        missing: list[tuple[int, int]] = []
        both = (confirmation.candidate, confirmation.reference)
        for place in range(confirmation.most_pairs):
            seed = common_seed(self._seed, confirmation.first_seed + place)
            found = {
                number: a.val_bpb
                for number in both
                for a in index[number].counted
                if a.confirmation == confirmation.id and a.seed == seed and a.val_bpb is not None
            }
            order = both if place % 2 == 0 else both[::-1]
            missing += [(number, seed) for number in order if number not in found]
            if not missing:
                pairs.append((found[confirmation.reference], found[confirmation.candidate]))
        return pairs, missing

    def _failing(self, confirmation: Confirmation, index: ExperimentIndex) -> Experiment | None:
        """The one of the two that keeps failing when it runs again."""
        for number in (confirmation.candidate, confirmation.reference):
            if failures(index[number], confirmation.id) >= MAX_FAILURES:
                return index[number]
        return None

    def _is_decided(self, confirmation: Confirmation, pairs: list[tuple[float, float]]) -> bool:
        from runner.scoring.confirmation import claim

        if not pairs:
            return False
        if len(pairs) >= confirmation.most_pairs:
            return True
        return claim(pairs, self._noise(), self._sampling_error(confirmation)).confirmed

    def _noise(self) -> Noise | None:
        index = self._recorder.index()
        return self._known_noise.of_claims(index[0], index.repeated)

    def _finish(
        self,
        confirmation: Confirmation,
        pairs: list[tuple[float, float]],
        *,
        verdict: str | None = None,
        reason: str | None = None,
    ) -> None:
        """`verdict` is the pairs' own if not said; without a whole pair it is not confirmed for lack of time."""
        from runner.scoring.confirmation import claim

        found = claim(pairs, self._noise(), self._sampling_error(confirmation)) if pairs else None
        if found is None:
            reason = reason or NO_TIME
        elif verdict is None and found.confirmed:
            verdict = "confirmed"
        known = found is not None and math.isfinite(found.low)
        columns = {
            "verdict": verdict or "not_confirmed",
            "reason": reason or (None if verdict else NOT_ENOUGH),
            "pairs": len(pairs),
            "reference_bpb": math.fsum(score for score, _ in pairs) / len(pairs) if pairs else None,
            "candidate_bpb": math.fsum(score for _, score in pairs) / len(pairs) if pairs else None,
            "delta": found.delta if found else None,
            "low": found.low if found and known else None,
            "high": found.high if found and known else None,
        }
        recorder = self._recorder
        recorder.ledger.finish_confirmation(
            recorder.run_id, confirmation.id, now=recorder.clock.time(), **columns
        )
        numbers = {"number": confirmation.candidate, "reference": confirmation.reference}
        recorder.emit("confirmation", **numbers, **columns)

    def _sampling_error(self, confirmation: Confirmation) -> float:
        """Of the two scripts' difference over documents, from this confirmation's runs (bits per byte)."""
        import numpy as np

        from runner.scoring.confirmation import paired_error

        index = self._recorder.index()
        folders = [
            [a.folder for a in index[number].counted if a.confirmation == confirmation.id]
            for number in (confirmation.candidate, confirmation.reference)
        ]
        if not all(folders):
            return 0.0
        nats = [[np.load(folder / "document_nats.npy") for folder in found] for found in folders]
        return paired_error(nats[0], nats[1], np.load(folders[0][0] / "document_bytes.npy"))


def _steps(kept: Sequence[Experiment], reference: int, number: int) -> list[Experiment]:
    """What was kept after `reference`, up to experiment `number`; `kept` is in the order of decisions."""
    numbers = [e.number for e in kept]
    return list(kept[numbers.index(reference) + 1 : numbers.index(number) + 1])
