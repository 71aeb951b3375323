"""A worker for `registry.yaml`: makes the report of one department from all purchases."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from headrace.jobs import current_job, worker

PURCHASES = Path(__file__).parent / "data" / "purchases.jsonl"


@dataclass(frozen=True)
class Report:
    """The sales of a department: items, dollars, and the product that was bought most often."""

    items: int
    dollars: float
    best_product: str


@worker(name="till.report", record=True, max_attempts=3)
def report(department: str) -> Report:
    """Make the report. A plain `def` runs in a thread, so it does not block the event loop."""
    products: Counter[str] = Counter()
    dollars = 0.0
    with PURCHASES.open() as lines:
        for line in lines:
            bought = json.loads(line)
            if bought["department"] == department:
                products[bought["product"]] += bought["quantity"]
                dollars += bought["value"]
    if not products:
        raise LookupError(f"there are no purchases of {department!r}")
    current_job().progress(1.0, f"{len(products)} products")
    return Report(products.total(), round(dollars, 2), products.most_common(1)[0][0])
