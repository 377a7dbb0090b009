"""Guard: which addresses a channel may reach. Who may name a webhook must not reach every server of the intranet by it.

Only addresses of the public internet are reached, and those of networks that the operator allows. The name is resolved
once, every address it has is checked, and the connection goes to the address that was checked: a name that answers
otherwise the second time gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Forbidden(ValueError):
    """An address that channels may not reach: allow its network, or mend the channel."""


class Guard:
    """The networks that are allowed beside the public internet."""

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    @classmethod
    def parse(cls, text: str) -> Guard:
        """From "10.20.0.0/16, fd00::/8". Raises ValueError."""
        return cls([ipaddress.ip_network(word.strip()) for word in text.split(",") if word.strip()])

    def check(self, url: str) -> str:
        """The address to connect to. Raises Forbidden, or OSError when the name has none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise Forbidden("a channel's address begins with https:// and names a host")
        if parts.username or parts.password:
            raise Forbidden("a channel's address names no user")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        addresses = [_plain(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in found]
        for address in addresses:
            listed = any(address in network for network in self._allowed)
            if not listed and (not address.is_global or address.is_multicast):
                raise Forbidden(f"{address} is no public address: allow its network by JIEXUN_CHANNELS_ALLOW")
            if not listed and parts.scheme != "https":
                raise Forbidden("a public address is reached by https:// only")
        return str(addresses[0])


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one, which would be reached by it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


class GuardedTransport(httpx.BaseTransport):
    """Connects to the address that was checked, and asks it for the name that was asked for."""

    def __init__(self, guard: Guard, inner: httpx.BaseTransport) -> None:
        self._guard = guard
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        try:
            address = self._guard.check(str(request.url))
        except OSError as error:
            raise httpx.ConnectError(f"{host} has no address: {error.strerror or error}", request=request) from error
        # The header Host is set already; the certificate is checked against the name, not the address.
        extensions = request.extensions | {"sni_hostname": host}
        fixed = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        return self._inner.handle_request(fixed)

    def close(self) -> None:
        self._inner.close()
