"""A language model as the proposer: prompt, digest of the history, answers, cost accounting, and the one client of litellm.

Called through `configuration` by `search.session` and `doctor`. Every call is reserved in the ledger before it is made.
Only `client` imports litellm. An answer is read by `parsing`, never here.
"""
