"""The store in memory: for tests, and for what need not outlive its OS process."""
