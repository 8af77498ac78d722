"""Stores: where MLflow keeps runs and models, and reaching one."""
from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ..errors import RunError
from .address import check, redacted

# Requests are not repeated by MLflow: where an answer is lost, that makes a second run.
MLFLOW_ENV = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
FILE = "sqlite:///"


def default_uri(root: Path) -> str:
    """Return the address of the SQLite store in a folder of runs."""
    return f"{FILE}{(root / 'mlflow.db').resolve()}"


def address(tracking: str | None, root: Path) -> str:
    """Return the address of the store that is meant: None, and `off` too, is SQLite in the folder of all runs.

    Raises:
        InputError: When it is no address, or holds a secret.
    """
    if tracking in (None, "off"):
        return default_uri(root)
    check(str(tracking))
    return str(tracking)


def client(uri: str) -> Any:
    """Return an MLflow client for a store; importing MLflow takes seconds.

    Raises:
        RunError: When an SQLite file cannot be one, which MLflow would try to open for minutes.
    """
    if uri.startswith(FILE):
        path = uri.removeprefix(FILE).partition("?")[0]
        try:
            with closing(sqlite3.connect(path)) as store:
                store.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            raise RunError(f"{path}: {error}. Move it away; autotricks sync RUN fills a new one.") from None
    for name, value in MLFLOW_ENV.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    import mlflow

    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


def error_text(error: BaseException) -> str:
    """Return what went wrong with a store in one line, without secrets."""
    lines = str(error).splitlines() or [type(error).__name__]
    if "error code 401" in lines[0]:
        return ("name or password are missing or wrong (401). Set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.")
    return redacted(lines[0][:200])


@contextmanager
def reached(uri: str) -> Iterator[Any]:
    """Give a client for a store to somebody who waits.

    Raises:
        RunError: When the store does not answer as it should.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield client(uri)
    except (MlflowException, OSError) as error:
        raise RunError(redacted(f"MLflow at {uri} refuses: {error_text(error)}")) from None
