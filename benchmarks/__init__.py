"""Measurements of HyperPrompt: `make bench`. Each module has `run() -> dict` and prints a table; nothing here is a test."""
