"""Stores: where MLflow keeps runs and models, and reaching one."""
from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

SWIFT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "GIT_PYTHON_REFRESH": "quiet",
         "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}
FILE = "sqlite:///"


def default_uri(root: Path) -> str:
    """Return the address of the SQLite store in a folder of runs."""
    return f"{FILE}{(root / 'mlflow.db').resolve()}"


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
