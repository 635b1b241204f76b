"""The candidate's side: `train.py`, which an agent edits, and the fixed library it imports. Untrusted once edited."""
