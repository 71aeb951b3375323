"""Acknowledgement: events that their source can take back, and the one answer each of them gets."""
