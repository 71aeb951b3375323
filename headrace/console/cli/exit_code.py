"""What the command line answers to whoever started it."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command; 78 is EX_CONFIG of sysexits.h."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    CONFIG = 78
