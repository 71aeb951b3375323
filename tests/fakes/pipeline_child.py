"""Runs one config file until it is killed, or drains it at SIGTERM; prints a line once it is up."""

import sys
from pathlib import Path

from headrace.console.cli.main import main

if __name__ == "__main__":
    sys.argv = ["headrace", "run", str(Path(sys.argv[1]))]
    main()
