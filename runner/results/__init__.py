"""What is kept and what comes of it: snapshot images, the git lineage, promotion, reproduction, export, garbage collection.

Called by `search` when an experiment is kept and by the verbs `export`, `apply` and `reproduce`. Never proposes, never decides.
"""
