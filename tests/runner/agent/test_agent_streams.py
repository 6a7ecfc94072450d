"""Relayed TCP: ports of the sandbox towards the proxy, and the way out."""

import hashlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.agent.relay import PIPE_BYTES
from runner.protocol import messages as m
from tests.ports import free_port
from tests.runner.agent.proxy import DEADLINE_S, Agent, Proxy

LARGE = 20 << 20


@contextmanager
def server(serve: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    """Serve one connection -> port"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        listener.settimeout(DEADLINE_S)

        def run() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(DEADLINE_S)
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(1 << 18):
        pieces.append(piece)
    return b"".join(pieces)


def digest_of_all(connection: socket.socket) -> None:
    """Answers only when the other side has said its end: needs half-close."""
    connection.sendall(hashlib.sha256(read_all(connection)).hexdigest().encode())


def echo(connection: socket.socket) -> None:
    while piece := connection.recv(1 << 18):
        connection.sendall(piece)


def connected(proxy: Proxy, port: int, number: int = 2**64 - 1) -> socket.socket:
    stream = proxy.stream(number, port)
    assert stream
    return stream


def test_half_close_is_kept_both_ways(proxy: Proxy) -> None:
    data = b"0123456789abcdef" * (LARGE // 16)
    with server(digest_of_all) as port, connected(proxy, port) as stream:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        assert read_all(stream).decode() == hashlib.sha256(data).hexdigest()


def test_the_server_may_end_first(proxy: Proxy) -> None:
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        connection.shutdown(socket.SHUT_WR)
        heard.append(read_all(connection))

    with server(serve) as port, connected(proxy, port) as stream:
        assert read_all(stream) == b"bye"
        stream.sendall(b"still here")
        stream.shutdown(socket.SHUT_WR)
    assert heard == [b"still here"]


def test_bytes_go_through_unchanged_both_ways_at_once(proxy: Proxy) -> None:
    data = bytes(range(256)) * (LARGE // 256)
    with server(echo) as port, connected(proxy, port) as stream:

        def send() -> None:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert read_all(stream) == data
        sender.join()


def test_a_server_on_ipv6_only_is_reached(proxy: Proxy) -> None:
    with server(echo, "::1") as port, connected(proxy, port) as stream:
        stream.sendall(b"six")
        stream.shutdown(socket.SHUT_WR)
        assert read_all(stream) == b"six"


def test_nobody_listens(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert proxy.stream(5, port) is None
    assert proxy.stream(6, 0) is None


def test_a_slow_reader_holds_up_the_server(proxy: Proxy) -> None:
    """What is under way is bounded by buffers, not by what the server would like to send."""
    sent: list[int] = []
    full = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.settimeout(1.0)  # no progress for this long: every buffer is full
        total = 0
        try:
            while total < LARGE * 4:
                total += connection.send(bytes(1 << 16))
        except TimeoutError:
            pass
        sent.append(total)
        full.set()

    with server(serve) as port, connected(proxy, port) as stream:
        assert full.wait(DEADLINE_S)
        assert PIPE_BYTES <= sent[0] < LARGE * 4
        proxy.barrier()
        assert len(read_all(stream)) == sent[0]


@pytest.mark.parametrize("leaver", ["proxy", "server"])
def test_an_end_that_goes_away_takes_the_other_with_it(proxy: Proxy, leaver: str) -> None:
    gone = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        if leaver == "proxy":
            assert connection.recv(1) == b""
        gone.set()

    with server(serve) as port, connected(proxy, port) as stream:
        assert stream.recv(5) == b"hello"
        if leaver == "proxy":
            stream.close()
        else:
            assert stream.recv(1) == b""
    assert gone.is_set()


def test_an_answer_that_comes_before_the_end_of_the_upload_arrives(proxy: Proxy, agent: Agent) -> None:
    """As a web server does that refuses a body: it answers, and closes with most of it unread."""
    full = threading.Event()
    gone = threading.Event()

    def serve(connection: socket.socket) -> None:
        assert full.wait(DEADLINE_S)
        agent.process.send_signal(signal.SIGSTOP)  # it finds answer and end at once
        connection.recv(1)
        connection.sendall(b"413")
        connection.close()
        gone.set()
        agent.process.send_signal(signal.SIGCONT)

    with server(serve) as port, connected(proxy, port) as stream:
        stream.settimeout(1.0)  # no progress for this long: every buffer is full
        with pytest.raises(TimeoutError):
            stream.sendall(bytes(LARGE * 4))
        full.set()
        assert gone.wait(DEADLINE_S)
        stream.settimeout(DEADLINE_S)
        stream.sendall(bytes(4 * PIPE_BYTES))  # is taken, or the sender would never look for the answer
        assert read_all(stream) == b"413"


def test_the_answer_of_a_server_that_is_gone_arrives_whole(proxy: Proxy) -> None:
    data = bytes(range(256)) * (4 * PIPE_BYTES // 256)  # more than is read ahead, less than the kernel keeps
    gone = threading.Event()

    def serve(connection: socket.socket) -> None:
        read_all(connection)
        connection.sendall(data)
        connection.close()
        gone.set()

    with server(serve) as port, connected(proxy, port) as stream:
        stream.shutdown(socket.SHUT_WR)
        assert gone.wait(DEADLINE_S)
        proxy.barrier()
        assert read_all(stream) == data


def test_a_server_that_sends_on_is_told_that_nobody_listens(proxy: Proxy) -> None:
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(bytes(1 << 16))
        except ConnectionError:
            ended.set()

    with server(serve) as port, connected(proxy, port) as stream:
        assert stream.recv(1)
        stream.close()
        assert ended.wait(DEADLINE_S)


def test_many_streams_at_once_and_one_after_another(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        listener.settimeout(DEADLINE_S)
        port = listener.getsockname()[1]
        for round_number in range(3):
            pairs = []
            for number in range(64):
                stream = connected(proxy, port, round_number * 100 + number)
                pairs.append((stream, listener.accept()[0]))
            for number, (stream, program) in enumerate(pairs):
                stream.sendall(b"%d\n" % number)
                program.settimeout(DEADLINE_S)
                assert program.recv(100) == b"%d\n" % number
            for stream, program in pairs:
                stream.close()
                program.close()


def test_streams_outlive_the_control_connection(proxy: Proxy) -> None:
    with server(echo) as port, connected(proxy, port) as stream:
        proxy.hang_up()
        proxy.accept()
        stream.sendall(b"on")
        stream.shutdown(socket.SHUT_WR)
        assert read_all(stream) == b"on"


def test_ports_are_reported_when_they_come_and_go(proxy: Proxy) -> None:
    def port(message: m.Ports, number: int) -> m.Port | None:
        return next((port for port in message.ports if port.port == number), None)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        assert proxy.until_message(m.Ports, lambda message: port(message, number) == m.Port(number, True))
        proxy.hang_up()
        proxy.accept()
        proxy.until_message(m.Ports, lambda message: port(message, number) is not None)
    proxy.until_message(m.Ports, lambda message: port(message, number) is None)
    with socket.create_server(("0.0.0.0", number)):
        proxy.until_message(m.Ports, lambda message: port(message, number) == m.Port(number, False))


def test_the_way_out_is_relayed_and_its_port_is_not_reported(installed: Path, listening: Proxy, tmp_path: Path) -> None:
    port = free_port()
    path = str(tmp_path / "egress.sock")
    with socket.socket(socket.AF_UNIX) as trusted:
        trusted.bind(path)
        trusted.listen()
        trusted.settimeout(DEADLINE_S)
        agent = Agent(installed, listening.path, {"DEVEX_EGRESS": f"{port}:{path}"})
        try:
            listening.accept()
            assert port not in {found.port for found in listening.until_message(m.Ports).ports}
            with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as program:
                program.sendall(b"CONNECT example.org:443")
                program.shutdown(socket.SHUT_WR)
                connection, _ = trusted.accept()
                with connection:
                    assert read_all(connection) == b"CONNECT example.org:443"
                    connection.sendall(b"403")
                assert read_all(program) == b"403"
            trusted.close()
            with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as program:
                assert program.recv(1) == b""
            assert listening.result(1, "env").decode().find("DEVEX") == -1
        finally:
            assert not agent.stop()
