"""`python -m connector` is `lead-sync`."""

from connector.cli import main

main()
