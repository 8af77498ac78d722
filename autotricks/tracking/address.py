"""Addresses of tracking servers: which are taken, and text without what is secret in them."""
from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from ..errors import InputError

SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
OTHERS = ("file", "databricks", "databricks-uc", "uc")
_SECRET = re.compile(r"(?i)token|passw|pwd|secret|key|sig|auth|jwt|credential|odbc")     # in the name of a value
_VALUE = re.compile(r"([?&;#])([^=\s&;#]*)=[^\s&;#]+")


def redacted(text: str) -> str:
    """Return text without the names, passwords and tokens of the addresses in it."""
    return _VALUE.sub(lambda match: f"{match[1]}{match[2]}=..." if _SECRET.search(unquote(match[2])) else match[0],
                      re.sub(r"//\S*@", "//", text))


def secretive(address: str) -> bool:
    """Return whether an address has a value with the name of a secret."""
    return redacted(f"?{urlsplit(address).query}") != f"?{urlsplit(address).query}"


def display_address(address: str) -> str:
    """Return what may be shown of an address that may be none: no name or password, and nothing after ? or #."""
    scheme = re.match(r"[A-Za-z][\w+.-]*:/*", address)
    _, at, rest = address.rpartition("@")
    scheme_text = scheme[0] if scheme else ""
    return re.split(r"[?#]", f"{scheme_text}{rest}" if at else address)[0]


def check(address: str) -> None:
    """Refuse what is no address of MLflow's, and one that holds a password: addresses end up in logs and pages.

    Raises:
        InputError: Without the secret.
    """
    where = f"--tracking {display_address(address)}"
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  it is read, and refused, when it is asked for
    except ValueError:
        raise InputError(f"{where}: not an address: host, port or brackets are wrong.") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme not in (*SERVERS, *DATABASES, *OTHERS) or (scheme in SERVERS and not parts.hostname):
        raise InputError(f"{where}: not an address of MLflow's. Write http://HOST:PORT, "
                         "sqlite:///FILE, postgresql://USER@HOST/NAME, or off.")
    if scheme in SERVERS and ("@" in address or parts.query or parts.fragment):
        raise InputError(f"{where}: holds a name, password or token, which would be kept with the results. "
                         "Take it out of the address and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                         "MLFLOW_TRACKING_TOKEN.")
    if parts.password or (scheme in DATABASES and (secretive(address) or "@" in parts.path)):
        raise InputError(f"{where}: holds a password. Take it out of the address and give it to the "
                         "database's own client, such as PGPASSWORD or ~/.pgpass of PostgreSQL.")
