"""Displays subscribe to events. A terminal gets a live table, everything else one line per event: rich's live display
prints only its last frame when stdout is no terminal, which would be eight silent hours in a log file.

Called by the session and by the verb `watch`. A display changes nothing and decides nothing.
"""
