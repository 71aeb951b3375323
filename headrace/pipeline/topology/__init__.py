"""Topology: the checks of a graph of stages, and the order in which it starts and drains."""
