"""The proposers that need no language model, each a file named as on the command line (`tpe` is the default), and the registry of all.

`validation` is between every proposer and the loop: whatever a proposer raises or returns becomes a proposal. A proposer only
makes text; it never runs a script, and sees no more than its `Context`.
"""
