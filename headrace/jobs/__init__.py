"""Durable work: jobs that outlive the process that enqueued them, on a store, run by workers in limited queues."""
