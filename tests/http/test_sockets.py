"""The listener's sockets."""

import socket
from ipaddress import ip_address

import pytest

from headrace.http.address import ListenFailed, bind, parse_address, port_of


def bound_to(text: str, *, asks_token: bool = False) -> list[socket.socket]:
    address = parse_address(text)
    assert address is not None
    return bind(address, asks_token=asks_token)


def close(bound: list[socket.socket]) -> None:
    for one in bound:
        one.close()


def test_port_0_is_a_free_port_that_answers_at_once() -> None:
    bound = bound_to("127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", port_of(bound[0]))) as client:
        assert client.getpeername() == bound[0].getsockname()
        close(bound)


def test_localhost_is_bound_at_one_port_for_each_of_its_addresses() -> None:
    bound = bound_to("localhost:0")
    assert len({port_of(one) for one in bound}) == 1
    assert any(one.getsockname()[0] == "127.0.0.1" for one in bound)
    close(bound)


def test_a_taken_port_is_one_sentence_that_names_it() -> None:
    first = bound_to("127.0.0.1:0")
    address = f"127.0.0.1:{port_of(first[0])}"
    with pytest.raises(ListenFailed) as failed:
        bound_to(address)
    close(first)
    assert str(failed.value) == (
        f"cannot listen on {address}: another program has that port; stop it, or choose another one with `listen:`"
    )


def test_a_port_is_free_again_as_soon_as_its_listener_is_closed() -> None:
    first = bound_to("127.0.0.1:0")
    port = port_of(first[0])
    with socket.create_connection(("127.0.0.1", port)) as client:
        accepted, _ = first[0].accept()
        accepted.close()
        close(first)
        client.recv(1)
        again = bound_to(f"127.0.0.1:{port}")
        assert port_of(again[0]) == port
        close(again)


def test_an_address_of_another_machine_is_said_to_be_one() -> None:
    with pytest.raises(ListenFailed, match="this machine does not have that address"):
        bound_to("192.0.2.1:9470", asks_token=True)


def test_a_name_that_nobody_has_is_said_to_be_unknown() -> None:
    with pytest.raises(ListenFailed, match=r"no address is known for no-such-host\.invalid"):
        bound_to("no-such-host.invalid:9470", asks_token=True)


def test_an_address_that_others_reach_is_not_bound_without_a_token() -> None:
    with pytest.raises(ListenFailed, match="needs a token"):
        bound_to("0.0.0.0:0")


def test_an_address_that_others_reach_is_bound_with_a_token() -> None:
    bound = bound_to("0.0.0.0:0", asks_token=True)
    assert all(ip_address(one.getsockname()[0]).is_unspecified for one in bound)
    close(bound)


def test_sockets_say_tcp_so_that_answers_do_not_wait_for_more_to_send() -> None:
    bound = bound_to("127.0.0.1:0")
    assert [one.proto for one in bound] == [socket.IPPROTO_TCP]
    close(bound)
