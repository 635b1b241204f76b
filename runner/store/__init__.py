"""What is on the disk: the workspace, its configuration, the ledger, locks, temporary folders, and a user's own files beside ours.

Called by everything above it; it calls nothing but `parsing.facts`. Nothing here judges, trains or asks a model.
"""
