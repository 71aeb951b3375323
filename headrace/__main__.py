"""Runs the command line: `python -m headrace`."""

from headrace.console.cli.main import main

if __name__ == "__main__":
    main()
