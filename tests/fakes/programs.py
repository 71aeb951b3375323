"""Loads the programs in examples/, which are no package: the root is not on the path of the tests."""

from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from tests.house.tree import ROOT


def program(path: str) -> ModuleType:
    """Return a program of examples/ as a module of its own, not run."""
    spec = spec_from_file_location(f"example_{path.removesuffix('.py').replace('/', '_')}", ROOT / "examples" / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
