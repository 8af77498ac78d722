"""Addresses of tracking servers: which are taken, and text without what is secret in them."""
from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..errors import InputError

SERVERS, DATABASES = ("http", "https"), ("sqlite", "postgresql", "mysql", "mssql")
OTHERS = ("file", "databricks", "databricks-uc", "uc")
_SECRET = re.compile(r"(?i)([?&;][^=\s&;#]*(?:token|password|passwd|pwd|secret|key)[^=\s&;#]*=)[^\s&;#]+")


def redacted(text: str) -> str:
    """Return text without the names, passwords and tokens of the addresses in it."""
    return _SECRET.sub(r"\1...", re.sub(r"//[^/\s]*@", "//", text))


def check(address: str) -> None:
    """Refuse what is no address of MLflow's, and one that holds a password: addresses end up in logs and pages.

    Raises:
        InputError: Without the secret.
    """
    shown = redacted(address)
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  it is read, and refused, when it is asked for
    except ValueError as error:
        raise InputError(f"--tracking {redacted(address)}: not an address: {redacted(str(error))}.") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme not in (*SERVERS, *DATABASES, *OTHERS) or (scheme in SERVERS and not parts.hostname):
        raise InputError(f"--tracking {shown}: not an address of MLflow's. Write http://HOST:PORT, "
                         "sqlite:///FILE, postgresql://USER@HOST/NAME, or off.")
    if scheme in SERVERS and (parts.username or parts.password or shown != address):
        raise InputError(f"--tracking {shown}: holds a name, password or token, which would be kept with the results. "
                         "Take it out of the address and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                         "MLFLOW_TRACKING_TOKEN.")
    if parts.password or (scheme in DATABASES and _SECRET.search(address)):
        raise InputError(f"--tracking {shown}: holds a password. Take it out of the address and give it to the "
                         "database's own client, such as PGPASSWORD or ~/.pgpass of PostgreSQL.")
