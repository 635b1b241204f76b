"""A live table on a terminal: budget, best, noise, the last experiments and what runs now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runner.display.lines import sentence
from runner.protocols import Event
from runner.scoring.claim_text import claim_sentence
from runner.scoring.repeat_noise import RememberedNoise
from runner.store.ledger import Ledger
from runner.store.records import Experiment
from sandbox.sanitise import one_line

_ROWS = 15
_STYLE = {"keep": "green", "discard": "dim", "stopped_early": "dim", "open": "yellow"}


class LiveDisplay:
    def __init__(self, ledger: Ledger, run: str, budget_s: float) -> None:
        self._ledger, self._run, self._budget_s = ledger, run, budget_s
        self._last, self._noise = "", RememberedNoise()
        self._live = Live(console=Console(stderr=True), auto_refresh=False, vertical_overflow="crop")
        self._started = time.monotonic()

    def __enter__(self) -> Callable[[Event], None]:
        self._live.__enter__()
        return self._show

    def __exit__(self, *details: object) -> None:
        self._live.__exit__(None, None, None)

    def _show(self, event: Event) -> None:
        self._last = sentence(event)
        self._live.update(self._screen(), refresh=True)

    def _screen(self) -> Group:
        index = self._ledger.index(self._run)
        spent = self._ledger.run(self._run).spent_s
        kept = [e for e in index.kept if e.val_bpb is not None]
        floor = self._noise.floor(index.repeated)
        best = f"best {kept[-1].val_bpb:.4f}" if kept else "no score yet"
        sigma = f"noise ±{floor.sigma:.4f}" if floor else "noise unknown"
        table = Table(box=None, pad_edge=False)
        for column in ("#", "status", "val_bpb", "delta", "description"):
            table.add_column(column)
        for experiment in index.since(len(index) - _ROWS):
            table.add_row(*_row(experiment), style=_STYLE.get(experiment.status, "red"))
        claims = self._ledger.confirmations(self._run)
        claim = (
            [Text(f"experiment {claims[-1].candidate}: {claim_sentence(asdict(claims[-1]))}")]
            if claims
            else []
        )
        return Group(
            Text(f"run {self._run}   {best}   {sigma}   {len(index)} experiments, {len(kept)} kept"),
            ProgressBar(total=self._budget_s, completed=min(spent, self._budget_s), width=60),
            table,
            *claim,
            Text(self._last),
        )


def _row(experiment: Experiment) -> tuple[str, ...]:
    score = "-" if experiment.val_bpb is None else f"{experiment.val_bpb:.4f}"
    delta = "" if experiment.delta is None else f"{experiment.delta:+.4f}"
    title = escape(one_line(experiment.title, max_chars=70))
    return (
        str(experiment.number),
        "confirmed" if experiment.confirmed else experiment.status,
        score,
        delta,
        title,
    )
