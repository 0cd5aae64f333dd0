"""The way to the server: addresses, TLS, tokens."""

from __future__ import annotations

import asyncio
import inspect
import os
from dataclasses import dataclass
from typing import Any, Awaitable, Callable, Dict, List, Optional, Sequence, Tuple, Union
from urllib.parse import urlsplit

import grpc
import grpc.aio

TokenSource = Union[str, Callable[[], Union[str, Awaitable[str]]]]
Path = Union[str, "os.PathLike[str]"]
Metadata = List[Tuple[str, str]]

# A connection that is dead without an error is noticed within 40 s. Tries to connect again stay quick, however long the server was away.
OPTIONS: Sequence[Tuple[str, int]] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.use_local_subchannel_pool", 1),
    # A service configuration could bring retries of gRPC's own; the rules for them are here.
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
)


@dataclass(frozen=True)
class Tls:
    """Whom to trust, and who to be to the server. Files in PEM form, read whenever a channel is made."""

    #: Authorities that the server is trusted by; those of the system where it is `None`.
    ca_file: Optional[Path] = None
    #: A certificate to show, with its chain, where the server asks for one.
    cert_file: Optional[Path] = None
    #: The private key of `cert_file`.
    key_file: Optional[Path] = None

    def files(self) -> List[Path]:
        return [file for file in (self.ca_file, self.cert_file, self.key_file) if file is not None]

    def credentials(self) -> grpc.ChannelCredentials:
        read = [_read(file) for file in (self.ca_file, self.key_file, self.cert_file)]
        return grpc.ssl_channel_credentials(*read)

    def stamp(self) -> Tuple[int, ...]:
        """Changes when a file was replaced."""
        return tuple(os.stat(file).st_mtime_ns for file in self.files())


def _read(file: Optional[Path]) -> Optional[bytes]:
    if file is None:
        return None
    with open(file, "rb") as opened:
        return opened.read()


class Connection:
    """Channels to one server, or to several that share a log. Belongs to one event loop."""

    def __init__(self, url: str, token: Token, tls: Tls) -> None:
        self._targets = [_target(address, tls) for address in url.split(",")]
        self.token = token
        self._tls = tls
        self._at = 0
        self._channels: Dict[int, Tuple[grpc.aio.Channel, Tuple[int, ...]]] = {}

    @property
    def address(self) -> str:
        """The server that is used now, for messages."""
        return self._targets[self._at][0]

    def channel(self) -> grpc.aio.Channel:
        """The channel to the server that is used now."""
        target, secure = self._targets[self._at]
        stamp = self._tls.stamp() if secure else ()
        channel, made_with = self._channels.get(self._at, (None, ()))
        if channel is None or made_with != stamp:
            if secure:
                channel = grpc.aio.secure_channel(target, self._tls.credentials(), options=OPTIONS)
            else:
                channel = grpc.aio.insecure_channel(target, options=OPTIONS)
            self._channels[self._at] = (channel, stamp)
        return channel

    def failed(self, channel: grpc.aio.Channel) -> None:
        """That server does not answer: the next one is used, if there are several."""
        used, _ = self._channels.get(self._at, (None, ()))
        if used is channel:
            self._at = (self._at + 1) % len(self._targets)

    async def metadata(self, *more: Tuple[str, str]) -> Metadata:
        """What goes with each call, with a fresh token."""
        return [("authorization", f"Bearer {await self.token.get()}"), *more]

    async def close(self) -> None:
        channels, self._channels = self._channels, {}
        for channel, _ in channels.values():
            await channel.close()


class Token:
    """Where the token of the next call comes from."""

    def __init__(self, token: Optional[TokenSource], token_file: Optional[Path]) -> None:
        if (token is None) == (token_file is None):
            raise ValueError("give either token or token_file")
        self._source = token
        self._file = token_file

    async def get(self) -> str:
        """The token of now. A file is read again, and a function called again, for each call."""
        if self._file is not None:
            return (await asyncio.to_thread(_read_text, self._file)).strip()
        if isinstance(self._source, str):
            return self._source.strip()
        source: Any = self._source
        made = source() if inspect.iscoroutinefunction(source) else await asyncio.to_thread(source)
        token: str = await made if inspect.isawaitable(made) else made
        return token.strip()


def _read_text(file: Path) -> str:
    with open(file, encoding="ascii") as opened:
        return opened.read()


def _target(address: str, tls: Tls) -> Tuple[str, bool]:
    """What gRPC calls the address, and whether it is spoken to by TLS."""
    address = address.strip()
    parts = urlsplit(address)
    example = "write it like http://127.0.0.1:50051"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the address {address!r} cannot be used; {example}")
    if parts.path.strip("/") or parts.query or parts.fragment or parts.username:
        raise ValueError(f"the address {address!r} has more than scheme, host and port; {example}")
    secure = parts.scheme == "https"
    if not secure and tls.files():
        raise ValueError(f"files for TLS go with an address that begins with https://, not with {address!r}")
    if (tls.cert_file is None) != (tls.key_file is None):
        raise ValueError("cert_file and key_file go together")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port or (443 if secure else 80)}", secure
