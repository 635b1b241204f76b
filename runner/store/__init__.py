"""What is on the disk: the workspace, its configuration, the ledger, locks, temporary folders, and files next to the user's own.

Called by everything above it; of the runner's packages it calls `parsing.facts` and `resources` alone. Nothing here judges, trains or asks a model.
"""
