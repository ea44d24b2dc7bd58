"""`python -m hyperprompt`."""

from hyperprompt.cli import main

main()
