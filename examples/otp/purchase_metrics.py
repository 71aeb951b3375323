"""Fire and forget: every purchase sends a metric without waiting for it. A failed metric does not affect the purchase.

Run it with `python examples/otp/purchase_metrics.py`.
"""

import asyncio

from headrace import GenServer, Supervisor, Task


class MetricService:
    """Stands for a service on the network that does not always answer."""

    def __init__(self) -> None:
        self.received: list[tuple[str, float]] = []
        self.is_down = False

    async def add(self, name: str, value: float) -> None:
        """Add one value."""
        await asyncio.sleep(0.01)
        if self.is_down:
            raise ConnectionError("the metric service is down")
        self.received.append((name, value))


class Shop(GenServer):
    """Sells products. Neither the shop nor the buyer waits for the metric."""

    def __init__(self, metrics: MetricService) -> None:
        self.metrics = metrics
        self.sold = 0

    def buy(self, sku: str, price: float) -> str:
        """Sell one product, and return the receipt."""
        self.sold += 1
        Task.start(self.metrics.add, "shop_purchase_euros", price)  # runs in a process of its own
        return f"receipt {self.sold}: {sku}, {price:.2f} euros"


async def main() -> None:
    metrics = MetricService()
    async with Supervisor("shop") as supervisor:
        failures: list[object] = []
        supervisor.scheduler.telemetry.attach(
            "failures", ("headrace", "task", "failed"), lambda _, __, found: failures.append(found["reason"])
        )
        shop = await supervisor.start_child(lambda: Shop(metrics), name="shop")
        print(await shop.call(Shop.buy, "tea", 3.5))
        await asyncio.sleep(0.05)
        metrics.is_down = True
        print(await shop.call(Shop.buy, "cake", 4.0))  # the buyer gets the receipt all the same
        await asyncio.sleep(0.05)
        print(f"metrics received: {metrics.received}; failed: {failures}")


if __name__ == "__main__":
    asyncio.run(main())
