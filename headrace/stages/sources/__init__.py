"""Sources: stages that emit events from outside the pipeline."""
