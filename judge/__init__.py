"""The judge: an artifact and hidden text go in, a `Verdict` comes out.

This package is its host half, which asks the questions and alone knows the answers; `judge.inside` runs in the judge's own
containers. Called by `runner.evaluation`. No candidate Python is ever imported or run by either half.
"""
