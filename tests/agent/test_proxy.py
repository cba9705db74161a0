"""Through an HTTP CONNECT proxy: join and link take the tunnel and no other way."""

import asyncio
import base64

import pytest
from dative.errors import DativeError
from dative_atom.agent import proxy
from dative_atom.agent.proxy import Proxy, choose


class ConnectProxy:
    """A little real one: counts tunnels, checks basic authentication, refuses everything but CONNECT."""

    def __init__(self, credentials: str = "", status: int = 200) -> None:
        self.tunnels: list[str] = []
        self.refused = 0
        self.status = status
        self.wanted = "Basic " + base64.b64encode(credentials.encode()).decode() if credentials else ""
        self._pipes: set[asyncio.Task] = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _serve(self, reader, writer):
        self._pipes.add(asyncio.current_task())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        given = next((value for name, value in fields.items() if name.lower() == "proxy-authorization"), "")
        if method != "CONNECT" or self.status != 200 or (self.wanted and given != self.wanted):
            self.refused += 1
            writer.write(f"HTTP/1.1 {407 if self.status == 200 else self.status} No\r\n\r\n".encode())
            await writer.drain()
            writer.close()
            return
        self.tunnels.append(target)
        host, port = target.rsplit(":", 1)
        there, out = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nDate: Mon, 05 Jan 2026 10:00:00 GMT\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, out), _copy(there, writer))
        finally:
            out.close()
            writer.close()


async def _copy(source, target):
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()


async def test_join_and_link_go_through_the_proxy_with_basic_authentication(atom, controller, tools):
    async with ConnectProxy("installer:s3cret word") as between:
        url = f"http://installer:s3cret%20word@127.0.0.1:{between.port}"
        await atom.join(proxy=url)
        assert between.tunnels == [controller.address] * 2  # the look at the pin, then the enrolment
        async with atom.running(proxy=url):
            ack = await controller.deploy({"a": tools.process_json("a")})
            assert ack.status.code == ""
        assert f"localhost:{controller.ports[1]}" in between.tunnels[2:]
        assert between.refused == 0


async def test_the_environments_proxy_is_taken(atom, controller, monkeypatch):
    async with ConnectProxy() as between:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between.port}")
        await atom.join()
        assert len(between.tunnels) == 2


async def test_none_dials_directly_whatever_the_environment_says(atom, controller, monkeypatch):
    async with ConnectProxy() as between:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{between.port}")
        await atom.join(proxy="none")
        assert between.tunnels == []


@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_is_quoted(atom, controller, status):
    async with ConnectProxy(status=status) as between:
        with pytest.raises(DativeError) as refused:
            await atom.join(proxy=f"http://127.0.0.1:{between.port}")
    assert refused.value.code.name == "agent.proxy_refused"
    assert str(status) in refused.value.message
    assert controller.enrolments == []


@pytest.mark.parametrize(
    "url", ["https://p:1", "ftp://p:1", "http://p", "http://:3128", "http://p:port", "socks5://p:1"]
)
def test_a_proxy_of_another_form_is_refused_without_showing_it(url):
    with pytest.raises(DativeError) as refused:
        Proxy.parse(url)
    assert refused.value.code.name == "agent.proxy_invalid"
    assert url not in refused.value.message


CHOICES = [
    # address, flag, environment, expected host
    ("ctl:443", "", {}, None),
    ("ctl:443", "http://p:3128", {}, "p"),
    ("ctl:443", "", {"https_proxy": "http://q:1"}, "q"),
    ("ctl:443", "", {"grpc_proxy": "http://g:1", "https_proxy": "http://q:1"}, "g"),
    ("ctl:443", "none", {"https_proxy": "http://q:1"}, None),
    ("ctl.corp:443", "", {"https_proxy": "http://q:1", "no_proxy": ".corp"}, None),
    ("ctl.corp:443", "", {"https_proxy": "http://q:1", "no_proxy": "corp.example"}, "q"),
    ("10.1.2.3:443", "http://p:3128", {"no_proxy": "10.0.0.0/8"}, None),
    ("ctl:443", "", {"https_proxy": "http://q:1", "no_proxy": "*"}, None),
]


@pytest.mark.parametrize(("address", "flag", "environ", "expected"), CHOICES)
def test_which_proxy_is_taken(address, flag, environ, expected):
    found = choose(address, flag, environ)
    assert (found.host if found else None) == expected


def test_a_password_is_in_no_repr():
    found = Proxy.parse("http://user:hunter22@p:1")
    assert "hunter22" not in repr(found) + str(found)
    assert proxy.channel_options(None) == [("grpc.enable_http_proxy", 0)]
