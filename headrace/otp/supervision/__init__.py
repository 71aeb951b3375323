"""Supervisors, their children, and the rules of restarts."""
