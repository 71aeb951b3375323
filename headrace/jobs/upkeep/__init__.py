"""What is done for all jobs every so often, by one OS process among those that share a store; one chore a file."""
