"""The words: a YAML file becomes a checked model, and the model a built pipeline."""

from headrace.config.catalogue import Catalogue
from headrace.config.config import Config, ConfiguredStage
from headrace.config.files import load_file, load_files, load_text
from headrace.config.findings import CODES, ConfigError, Finding
from headrace.config.pipeline import Pipeline

__all__ = [
    "CODES",
    "Catalogue",
    "Config",
    "ConfigError",
    "ConfiguredStage",
    "Finding",
    "Pipeline",
    "load_file",
    "load_files",
    "load_text",
]
