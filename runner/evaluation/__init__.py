"""One script, once: from its bytes to an `Evaluation`, by way of a container, the collector and the judge.

`pipeline` is the one way; `try`, `run`, `calibrate` and `reproduce` all use it. It knows nothing of a ledger, of other
scripts or of what is kept.
"""
