"""What the head of a request says of where the request ends: two readers that disagree let a second one be smuggled."""

from typing import Final

from headrace.http.access import CLOSE, HttpAnswer, RequestHead

HEAD_BYTES: Final = 16 * 1024
"""The longest head of a request."""

_LINE_BYTES: Final = len(": \r\n")


def framing_error(head: RequestHead) -> HttpAnswer | None:
    """Return why a request cannot be read for certain, if so; the connection closes behind such an answer.

    A line that ends with LF alone is read: RFC 9112 (2.2) allows that, and it moves no end of a request.
    """
    if not head.http_version.startswith("1."):
        return HttpAnswer(505, "This server speaks HTTP/1.1.", (CLOSE,))
    if head.all_of("transfer-encoding"):
        if head.all_of("content-length"):
            return HttpAnswer(
                400, "Content-Length and Transfer-Encoding exclude each other: send one of them.", (CLOSE,)
            )
        if head.http_version == "1.0":
            return HttpAnswer(400, "HTTP/1.0 has no Transfer-Encoding: send Content-Length.", (CLOSE,))
    if sum(len(name) + len(value) + _LINE_BYTES for name, value in head.headers) > HEAD_BYTES:
        return HttpAnswer(431, f"The headers take more than {HEAD_BYTES} bytes: send fewer or shorter ones.", (CLOSE,))
    return None
