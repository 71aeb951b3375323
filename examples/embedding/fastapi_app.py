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
    """Make a shop for the event loop of this server process. Requests find it in their state."""
    shop = Shop()
    async with shop.pipeline:  # at the end, all accepted orders are handled
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
    """Accept orders, or refuse them at once. Accepted orders are handled even if the app is stopped."""
    shop.order_nowait(orders)


@app.post("/orders/wait", status_code=202)
async def post_orders_and_wait(orders: Orders, shop: TheShop) -> None:
    """Accept orders when the buffer has space: the client waits."""
    await shop.order(orders)


@app.post("/orders/sync", status_code=202)
def post_orders_from_thread(orders: Orders, shop: TheShop) -> None:
    """Accept orders in a plain `def`, which FastAPI runs in a thread."""
    shop.order_from_thread(orders)


async def priced(shop: TheShop) -> AsyncIterator[AsyncIterator[Priced]]:
    """Read the stage for one request, and close the stream when the answer ends."""
    async with aclosing(shop.priced()) as events:
        yield events


@app.get("/orders")
async def get_orders(events: Annotated[AsyncIterator[Priced], Depends(priced)]) -> StreamingResponse:
    """Stream priced orders as lines of JSON, as fast as the client reads them."""
    lines = (json.dumps(asdict(event)) + "\n" async for event in events)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@app.get("/totals")
async def get_totals(shop: TheShop) -> dict[str, int]:
    return dict(shop.sold)


@app.get("/ready")
async def get_ready(shop: TheShop) -> JSONResponse:
    """Report the state of the pipeline. A stage that crashed is listed here, and the app still answers."""
    report = shop.report()
    return JSONResponse(report, 200 if report["state"] == "running" else 503)
