"""Topologies: the checks of a graph of stages, and the order in which its stages start and drain."""
