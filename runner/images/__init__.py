"""The candidate's and the judge's image: a wheelhouse checked by hash, a base, and builds without network.

Called by the verb `build`, and by `evaluation.setup` to find what was built. Never runs a candidate.
"""
