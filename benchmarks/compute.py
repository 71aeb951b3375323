"""A function that computes, in a module as light as those whose functions OS processes are to run."""


def compute(steps: int) -> int:
    """Keep a core busy."""
    found = 0
    for number in range(steps):
        found += number * number
    return found
