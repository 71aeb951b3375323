"""A config file becomes a checked model, and the model becomes a pipeline."""
