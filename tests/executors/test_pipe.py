"""Pipe: frames arrive whole and in order, however the system cuts them, and sending never waits."""

import asyncio
import socket

from hypothesis import given
from hypothesis import strategies as st

from headrace.executors.worker_main import HEADER
from headrace.executors.worker_process import Pipe

Frame = tuple[bytes, bytes]
FRAMES = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.binary(max_size=40)), max_size=6)


class Ends:
    """A pipe, the other end of its socket, and what was heard."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.heard: list[Frame] = []
        self.is_lost = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.pipe = Pipe(loop, ours, lambda kind, payload: self.heard.append((kind, payload)), self.is_lost.set)

    def close(self) -> None:
        self.pipe.close()
        self.theirs.close()


def packed(frame: Frame) -> bytes:
    kind, payload = frame
    return HEADER.pack(kind, len(payload)) + payload


@given(frames=FRAMES, cuts=st.lists(st.integers(1, 30)))
def test_frames_arrive_whole_and_in_order_wherever_they_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    async def story() -> None:
        ends = Ends()
        stream = b"".join(packed(frame) for frame in frames)
        for cut in [*cuts, max(1, len(stream))]:
            piece, stream = stream[:cut], stream[cut:]
            ends.theirs.sendall(piece)
            await asyncio.sleep(0)
        ends.theirs.close()
        await ends.is_lost.wait()
        ends.close()
        assert ends.heard == frames

    asyncio.run(story())


@given(frames=FRAMES)
def test_what_was_sent_before_the_other_end_died_is_read(frames: list[Frame]) -> None:
    async def story() -> None:
        ends = Ends()
        ends.theirs.sendall(b"".join(packed(frame) for frame in frames) + b"half")
        ends.theirs.close()
        ends.pipe.drain()
        ends.close()
        assert ends.heard == frames
        assert ends.is_lost.is_set()

    asyncio.run(story())


def test_more_than_the_socket_holds_is_sent_as_it_is_taken_and_in_order() -> None:
    async def story() -> None:
        ends = Ends()
        frames = [packed((b"a", bytes([number]) * 1_000_000)) for number in range(4)]
        for frame in frames:
            ends.pipe.send(frame)
        wanted = b"".join(frames)
        ends.theirs.setblocking(False)
        got = bytearray()
        while len(got) < len(wanted):
            got += await asyncio.get_running_loop().sock_recv(ends.theirs, 1 << 20)
        ends.close()
        assert got == wanted

    asyncio.run(story())


def test_a_pipe_that_is_shut_sends_nothing_more_and_still_reads() -> None:
    async def story() -> None:
        ends = Ends()
        ends.pipe.send(b"before")
        ends.pipe.shut()
        ends.pipe.send(b"after")
        assert (ends.theirs.recv(100), ends.theirs.recv(100)) == (b"before", b"")
        ends.theirs.sendall(packed((b"a", b"late")))
        ends.pipe.drain()
        ends.close()
        assert ends.heard == [(b"a", b"late")]

    asyncio.run(story())


def test_sending_to_a_dead_end_is_no_error_and_is_told_by_reading() -> None:
    async def story() -> None:
        ends = Ends()
        ends.theirs.close()
        ends.pipe.send(b"nobody hears this")
        await ends.is_lost.wait()
        ends.pipe.send(b"nor this")
        ends.close()

    asyncio.run(story())
