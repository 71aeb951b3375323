"""The block `jobs:` of a file that may have none: what checks it is loaded with the first file that has one.

Most files have no jobs, and workers, crontabs and stores take longer to load than such a file to check.
"""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from headrace.config.text.findings import Fault, Report
from headrace.config.text.messages import with_article
from headrace.config.text.tree import Found

if TYPE_CHECKING:
    from headrace.config.check.jobs import JobsCheck


def jobs_check(found: Found, report: Report, *, imports: bool) -> "JobsCheck":
    """Return what checks the block, and then what stages say of its workers."""
    check = cast("type[JobsCheck]", import_module("headrace.config.check.jobs").JobsCheck)
    return check(found, report, imports=imports)


def needed_fault(type_name: str) -> Fault:
    """Return what is wrong with a stage that needs the block, where there is none."""
    message = f"{with_article(type_name)} stage needs the block `jobs:` at the top of the file, with its `store:`"
    return Fault("missing-key", message)
