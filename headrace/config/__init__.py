"""The words: a YAML file becomes a checked model, and the model a built pipeline."""
