"""Stages: processes that pass demand upstream and events downstream through subscriptions."""
