"""What is on the disk: the workspace, its configuration, the ledger, locks, temporary folders, and files next to the user's own.

Called by everything above it; it calls nothing but `parsing.facts`. Nothing here judges, trains or asks a model.
"""
