"""Whether two URLs name the same database of a PostgreSQL server."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from privsynth.table.places import Database

__all__ = ["same_database"]

PORT = "5432"
LOCAL_HOSTS = {"", "localhost", "127.0.0.1", "::1"}


def same_database(one: Database, other: Database) -> bool:
    """Return whether two URLs name one database; user, password and options do not matter."""
    first, second = _address(one.address), _address(other.address)
    return first.name == second.name and bool(first.hosts & second.hosts)


@dataclass(frozen=True)
class _Address:
    hosts: frozenset[tuple[str, str]]
    name: str


def _address(url: str) -> _Address:
    """Parse a URL as libpq does, with its environment variables."""
    rest = url.partition("://")[2]
    rest, _, query = rest.partition("?")
    login, _, rest = rest.rpartition("@")
    authority, _, name = rest.partition("/")
    options = dict(parse_qsl(query, keep_blank_values=True))
    user = options.get("user") or unquote(login.partition(":")[0]) or os.environ.get("PGUSER", "")
    name = options.get("dbname") or unquote(name) or os.environ.get("PGDATABASE", "")
    pairs = [_host(each) for each in authority.split(",")]
    hosts = (options.get("host") or options.get("hostaddr") or "").split(",")
    ports = (options.get("port") or "").split(",")
    if hosts == [""]:
        hosts = [host or os.environ.get("PGHOST", "") for host, _ in pairs]
    if ports == [""]:
        ports = [port or os.environ.get("PGPORT", PORT) for _, port in pairs]
    ports = ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    return _Address(
        frozenset((_normalized(host), port) for host, port in zip(hosts, ports, strict=True)),
        name or user or getpass.getuser(),
    )


def _host(text: str) -> tuple[str, str]:
    """Split ``host:port`` or ``[address]:port``."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return unquote(host), port


def _normalized(host: str) -> str:
    """Return an empty text for every name of this machine, including a folder of sockets."""
    host = host.lower().rstrip(".")
    return "" if host in LOCAL_HOSTS or host.startswith(("/", "@")) else host
