"""The meta-state as text: numbers to codes, rows to atoms, and back. Imports neither torch nor an RL library."""
