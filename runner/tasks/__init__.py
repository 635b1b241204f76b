"""Any measurable task: a folder with a memo, files that may change, untrusted stages and a trusted scorer.

A candidate's stages run in containers of their own, each with exactly the inputs that it declares. The answers and the scorer exist
only in the last container, where nothing of the candidate's is run. Called by `cli`; calls `sandbox`. It knows nothing about
proposals, the ledger or language models.
"""
