"""headrace: stages that pass demand upstream and events downstream, declared in a YAML file."""

__version__ = "0.1.0"
