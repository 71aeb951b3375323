"""Sources: stages that bring events in."""
