"""Periodic tasks of the jobs: stager, lifeline, pruner, leader, crontab."""
