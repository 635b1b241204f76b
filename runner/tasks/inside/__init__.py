"""What runs in the scorer's container beside the task's evaluate.py. The host reads these files as text and imports none of them;
they need nothing but the standard library."""
