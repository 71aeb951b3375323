"""A Django app in one file, with a pipeline inside. Run it from the project's folder:

uvicorn examples.embedding.django_app:application --timeout-graceful-shutdown 5

curl localhost:8000/orders --json '[{"sku": "tea", "count": 2}]'
curl -N localhost:8000/orders
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict
from typing import Final, TypedDict

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from starlette.applications import Starlette
from starlette.routing import Mount

from examples.embedding.shop import Order, Shop
from headrace.errors import BufferFull, NoProcess

REFUSALS: Final = (BufferFull, TimeoutError, NoProcess, ValueError, KeyError, TypeError)


class State(TypedDict):
    shop: Shop


def the_shop(request: HttpRequest) -> Shop:
    """Return the shop of the event loop that received this request."""
    shop: Shop = request.scope["state"]["shop"]
    return shop


def ordered(request: HttpRequest) -> list[Order]:
    return [Order(str(body["sku"]), int(body["count"])) for body in json.loads(request.body)]


def refused(error: Exception) -> HttpResponse:
    """Return the answer for an order that was not accepted."""
    if isinstance(error, NoProcess):
        return HttpResponse("the shop takes no orders now\n", status=503)
    if isinstance(error, BufferFull | TimeoutError):
        return HttpResponse("too many orders wait\n", status=429, headers={"retry-after": "1"})
    return HttpResponse("orders are a list of {sku, count}\n", status=400)


async def orders(request: HttpRequest) -> HttpResponse:
    """GET streams priced orders. POST accepts orders, or refuses them at once.

    Accepted orders are handled even if the app is stopped.
    """
    if request.method == "GET":
        return StreamingHttpResponse(lines(the_shop(request)), content_type="application/x-ndjson")
    try:
        the_shop(request).order_nowait(ordered(request))
    except REFUSALS as error:
        return refused(error)
    return HttpResponse(status=202)


async def orders_and_wait(request: HttpRequest) -> HttpResponse:
    """Accept orders when the buffer has space: the client waits."""
    try:
        await the_shop(request).order(ordered(request))
    except REFUSALS as error:
        return refused(error)
    return HttpResponse(status=202)


def orders_from_thread(request: HttpRequest) -> HttpResponse:
    """Accept orders in a sync view, which Django runs in a thread."""
    try:
        the_shop(request).order_from_thread(ordered(request))
    except REFUSALS as error:
        return refused(error)
    return HttpResponse(status=202)


async def lines(shop: Shop) -> AsyncIterator[str]:
    """Yield lines of JSON as fast as the client reads them."""
    async with aclosing(shop.priced()) as events:
        async for order in events:
            yield json.dumps(asdict(order)) + "\n"


async def totals(request: HttpRequest) -> HttpResponse:
    return JsonResponse(dict(the_shop(request).sold))


async def ready(request: HttpRequest) -> HttpResponse:
    """Report the state of the pipeline. A stage that crashed is listed here, and the app still answers."""
    report = the_shop(request).report()
    return JsonResponse(report, status=200 if report["state"] == "running" else 503)


urlpatterns = [
    path("orders", orders),
    path("orders/wait", orders_and_wait),
    path("orders/sync", orders_from_thread),
    path("totals", totals),
    path("ready", ready),
]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "127.0.0.1"])


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    """Make a shop for the event loop of this server process. Requests find it in their state."""
    shop = Shop()
    async with shop.pipeline:  # at the end, all accepted orders are handled
        yield {"shop": shop}
    print("sold:", json.dumps(shop.sold), flush=True)


# Django has no ASGI lifespan. Starlette, which headrace installs, has one, and passes every request to Django.
application = Starlette(lifespan=lifespan, routes=[Mount("/", get_asgi_application())])
