"""Whether a run fits, before it starts: its real step, compiled ahead of time."""
