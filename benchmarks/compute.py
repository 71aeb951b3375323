"""A function that computes, in a module that imports nothing, so that OS processes start quickly."""


def compute(steps: int) -> int:
    """Keep a core busy."""
    found = 0
    for number in range(steps):
        found += number * number
    return found
