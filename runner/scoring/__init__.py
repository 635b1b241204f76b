"""What scores say: noise, a script's scores in the ledger, whether a difference is accepted, and whether two runs compare at all.

Pure functions of numbers and rows; called by `search`, `results` and the displays. Nothing here runs or writes anything.
"""
