"""The reports: results.tsv, progress.png, report.html. All can be made again from the ledger.

Called at the end of a session and by the verbs `report`, `plot` and `diff`. Reads the ledger, changes nothing in it.
"""
