"""The only code that talks to a container engine: a `Job` goes in, an `Outcome` comes out.

Called by `runner` and by the host half of `judge`; imports neither. It knows nothing about scores, proposals or the ledger.
"""
