"""Displays subscribe to events. A terminal gets a live table, everything else one line per event: rich's live display
prints only its last frame when stdout is no terminal, so a log file would stay empty until the run ends.

Called by the session and by the verb `watch`. A display changes nothing and decides nothing.
"""
