"""Stores: where MLflow keeps runs and models, and reaching one."""
from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import RunError

SWIFT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "GIT_PYTHON_REFRESH": "quiet",
         "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}
FILE = "sqlite:///"


def default_uri(root: Path) -> str:
    """Return the address of the SQLite store in a folder of runs."""
    return f"{FILE}{(root / 'mlflow.db').resolve()}"


def address(tracking: str | None, root: Path) -> str:
    """Return the address of the store that is meant: None, and `off` too, is SQLite in the folder of all runs."""
    return tracking if tracking not in (None, "off") else default_uri(root)


def client(uri: str) -> Any:
    """Return an MLflow client for a store; importing MLflow takes seconds."""
    for name, value in SWIFT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    import mlflow

    for name in ("mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri)
    return mlflow.MlflowClient(uri)


def redacted(text: str) -> str:
    """Return text without the name and password of an address."""
    return re.sub(r"//[^/@\s]*@", "//", text)


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
        raise RunError(redacted(f"MLflow at {uri} refuses: {str(error).splitlines()[0][:200]}")) from None
