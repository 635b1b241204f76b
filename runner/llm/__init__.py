"""A language model as the proposer: prompt, digest of the history, cost accounting, and the one client of litellm.

Called through `proposer_setup` by `search.session` and `doctor`. Every call is reserved in the ledger before it is made.
Only `litellm_client` imports litellm. An answer is read by `parsing`, never here.
"""
