"""report.html: one file that can be mailed. Everything in it is escaped; it holds no script."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.parsing.client import shared
from runner.report.gpu_summary import gpu_summary
from runner.report.reproduce_command import reproduce_command
from runner.scoring.claim_text import claim_sentence, closing_sentence
from runner.scoring.repeat_noise import noise_floor
from runner.scoring.stopping_summary import stopping_summary
from runner.store.records import Confirmation, Experiment, Run
from sandbox.sanitise import one_line, sanitise

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>autoresearch {{ run.id }}</title>
<style>body{font:15px/1.5 system-ui;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}td,th{padding:.2rem .6rem;text-align:left;border-bottom:1px solid #ddd}
.keep{color:#0a7d33;font-weight:600}.discard,.stopped_early{color:#888}pre{background:#f6f6f6;padding:.8rem;overflow:auto;font-size:12px}
img{max-width:100%}</style>
<h1>Run {{ run.id }}</h1>
<p>{{ proposals }} experiments, {{ kept|length - 1 if kept else 0 }} adopted improvements. Ended: {{ run.stop_reason or "still running" }}.
{% if kept %}Baseline {{ "%.4f"|format(kept[0].val_bpb) }}, best {{ "%.4f"|format(kept[-1].val_bpb) }} bits per byte.{% endif %}
{% if noise %}Noise floor: one run of one script varies by ±{{ "%.4f"|format(noise.sigma) }} ({{ noise.freedom }} repeat{{ "" if noise.freedom == 1 else "s" }} say{{ "s" if noise.freedom == 1 else "" }} so).{% endif %}
{% if run.spent_s %}{{ stopping.trainings }} trainings, {{ "%.1f"|format(3600 * stopping.trainings / run.spent_s) }} an hour.{% endif %}
{{ stopping.sentence }} {{ gpus }}</p>
<p><strong>{{ closing }}</strong></p>
<img alt="progress" src="data:image/png;base64,{{ plot }}">
<h2>Adopted lineage</h2>
<table><tr><th>#</th><th>change</th><th>val_bpb</th><th>runs</th><th>measured gain</th><th>expected gain</th><th>P(better)</th><th>confirmed</th><th>sealed test</th><th>reproduce</th></tr>
{% for e in kept %}<tr><td>{{ e.number }}</td><td>{{ line(e.title) }}</td><td>{{ "%.4f"|format(e.val_bpb) }}</td><td>{{ e.counted|length }}</td>
<td>{{ "%.4f"|format(-e.delta) if e.delta is not none else "" }}{{ " ± %.4f"|format(e.delta_error) if e.delta_error is not none else "" }}</td>
<td>{{ "%.4f"|format(-e.expected_delta) if e.expected_delta is not none else "" }}</td><td>{{ "%.2f"|format(e.better) if e.better is not none else "" }}</td><td>{{ "yes" if e.confirmed else "" }}</td>
<td>{{ "%.4f"|format(e.test_bpb) if e.test_bpb is not none else "" }}</td><td><code>{{ command(e.tag) if e.tag else "" }}</code></td></tr>{% endfor %}</table>
<p>Adopted is what the search builds on: it is expected to be better. Confirmed is what may be claimed: it was better than the last
confirmed script in pairs of new runs, beyond the noise.</p>
{% if confirmations %}<h2>Confirmations</h2><ul>{% for c in confirmations %}<li>Experiment {{ c.candidate }} against experiment {{ c.reference }}:
{{ claim(c) }}</li>{% endfor %}</ul>{% endif %}
<h2>Everything tried</h2>
<table><tr><th>#</th><th>status</th><th>val_bpb</th><th>difference</th><th>change</th><th>reason</th></tr>
{% for e in experiments %}<tr class="{{ e.status }}"><td>{{ e.number }}</td><td>{{ "confirmed" if e.confirmed else e.status }}</td><td>{{ "%.4f"|format(e.val_bpb) if e.val_bpb is not none else "" }}</td>
<td>{{ "%+.4f"|format(e.delta) if e.delta is not none else "" }}</td><td>{{ line(e.title) }}</td><td>{{ line(e.reason or "") }}</td></tr>{% endfor %}</table>
<h2>Changes</h2>{% for number, text in diffs %}<h3>Experiment {{ number }}</h3><pre>{{ text }}</pre>{% endfor %}
<p>A kept score is the mean of the runs by which it was decided (runs of a later confirmation are not in it), and the best of many is a little lucky: the sealed test column was never shown to
the search. <code>autoresearch reproduce TAG</code> runs any of them again.</p></html>
"""


def write_html(
    path: Path,
    run: Run,
    experiments: Sequence[Experiment],
    plot: Path,
    confirmations: Sequence[Confirmation] = (),
    left_out: Sequence[Mapping[str, Any]] = (),
) -> None:
    import jinja2

    kept = [e for e in experiments if e.kept and e.val_bpb is not None]
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(_PAGE).render(
        run=run,
        experiments=experiments,
        kept=kept,
        proposals=sum(e.number > 0 for e in experiments),
        noise=noise_floor(experiments),
        stopping=stopping_summary(experiments),
        gpus=gpu_summary(experiments, left_out),
        plot=base64.b64encode(plot.read_bytes()).decode(),
        diffs=[(after.number, diff(before, after)) for before, after in itertools.pairwise(kept)],
        line=one_line,
        confirmations=confirmations,
        claim=lambda confirmation: claim_sentence(asdict(confirmation)),
        closing=closing_sentence(experiments, confirmations),
        command=lambda tag: reproduce_command(tag, run.settings),
    )
    path.write_text(page)


def diff(before: Experiment, after: Experiment) -> str:
    """A unified diff of two train.py files, sanitised."""
    names = (f"{before.number}/train.py", f"{after.number}/train.py")
    return sanitise(shared().difference(before.source, after.source, names), max_chars=200_000)
