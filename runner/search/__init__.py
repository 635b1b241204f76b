"""One run: the loop, its budgets, what a proposer is shown, proposals asked for early, and the session around them.

Called by the verbs `run` and `resume`. It decides what is evaluated next and records what came of it; it never talks to a
container engine itself, and never parses a script.
"""
