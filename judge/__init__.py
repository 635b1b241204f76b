"""The judge scores an artifact on hidden text and returns a `Verdict`.

This package is the host half: it plans the questions and alone knows the targets. `judge.inside` is the container half. Called
by `runner.evaluation`. Neither half imports or runs Python of the candidate. docs/judge.md describes the steps.
"""
