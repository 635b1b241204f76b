"""The host's side of a search: its loop, the scripts' evaluation, the ledger, what is kept, and the command line.

Arrows between the packages go one way, from `cli` down to `errors`; tests/test_import_rules.py holds the table. Containers are
run by `sandbox`, scores are made by `judge`; nothing here imports docker or jax.
"""
