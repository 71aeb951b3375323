"""A FastAPI app with a pipeline inside. Run it from the project's folder:

uvicorn examples.embedding.fastapi_app:app --timeout-graceful-shutdown 5

curl localhost:8000/orders --json '[{"sku": "tea", "count": 2}]'
curl -N localhost:8000/orders
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Annotated, TypedDict

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, PositiveInt

from examples.embedding.shop import Order, Priced, Shop
from headrace.errors import BufferFull, NoProcess


class State(TypedDict):
    shop: Shop


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    """Open a shop for this worker's loop; requests find it in their state. No two loops share one."""
    shop = Shop()
    async with shop.pipeline:  # at the end, all that was accepted goes through
        yield {"shop": shop}
    print("sold:", json.dumps(shop.sold), flush=True)


def the_shop(request: Request) -> Shop:
    shop: Shop = request.state.shop
    return shop


TheShop = Annotated[Shop, Depends(the_shop)]


class OrderBody(BaseModel):
    sku: str
    count: PositiveInt


def ordered(bodies: list[OrderBody]) -> list[Order]:
    return [Order(body.sku, body.count) for body in bodies]


Orders = Annotated[list[Order], Depends(ordered)]


async def refuse_for_now(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "too many orders wait"}, 429, {"retry-after": "1"})


async def refuse(_: Request, __: Exception) -> Response:
    return JSONResponse({"detail": "the shop takes no orders now"}, 503)


app = FastAPI(
    title="shop",
    lifespan=lifespan,
    exception_handlers={BufferFull: refuse_for_now, TimeoutError: refuse_for_now, NoProcess: refuse},
)


@app.post("/orders", status_code=202)
async def post_orders(orders: Orders, shop: TheShop) -> None:
    """Accept orders, or refuse them at once. What is accepted goes through, even if the app is told to end."""
    shop.order_nowait(orders)


@app.post("/orders/wait", status_code=202)
async def post_orders_and_wait(orders: Orders, shop: TheShop) -> None:
    """Accept orders as soon as there is room: the client feels the back-pressure."""
    await shop.order(orders)


@app.post("/orders/sync", status_code=202)
def post_orders_from_thread(orders: Orders, shop: TheShop) -> None:
    """Do the same in a plain `def`, which FastAPI runs in a thread."""
    shop.order_from_thread(orders)


async def priced(shop: TheShop) -> AsyncIterator[AsyncIterator[Priced]]:
    """Read the stage for one request, and leave it when the answer ends, however it ends."""
    async with aclosing(shop.priced()) as events:
        yield events


@app.get("/orders")
async def get_orders(events: Annotated[AsyncIterator[Priced], Depends(priced)]) -> StreamingResponse:
    """Stream priced orders as lines of JSON, as fast as the client reads."""
    lines = (json.dumps(asdict(event)) + "\n" async for event in events)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@app.get("/totals")
async def get_totals(shop: TheShop) -> dict[str, int]:
    return dict(shop.sold)


@app.get("/ready")
async def get_ready(shop: TheShop) -> JSONResponse:
    """Say how the pipeline is. A stage that crashed shows here; the app answers all the same."""
    report = shop.report()
    return JSONResponse(report, 200 if report["state"] == "running" else 503)
