"""Token data: text into shards, a tokenizer table and a manifest with the SHA-256 of everything; and the proof that held-out
text is nowhere a candidate can read.

The format is described in docs/contracts.md. Called by the `data` verbs and, for the checks, before every training.
Nothing heavy is imported before it is needed; no file of a user's is ever removed.
"""
