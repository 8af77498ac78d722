"""MLflow's pages: their addresses with the columns that matter, and the server that shows them."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .mlflow import VIEW
from .store import MLFLOW_ENV, client, default_uri


def addresses(root: Path, host: str, port: int) -> dict[str, str]:
    """Return the address of each experiment's runs, best score first."""
    experiments = client(default_uri(root)).search_experiments(filter_string="name != 'Default'")
    base = f"http://{host}:{port}/#"
    return {experiment.name: f"{base}/experiments/{experiment.experiment_id}/runs?viewStateShareKey={VIEW}"
            for experiment in experiments}


def serve(root: Path, host: str, port: int) -> int:
    """Run MLflow's server on a folder of runs until it is stopped; return its exit code."""
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", default_uri(root), "--host", host,
               "--port", str(port), "--workers", "1"]
    try:
        return subprocess.run(command, check=False, env={**os.environ, **MLFLOW_ENV}).returncode
    except KeyboardInterrupt:
        return 0
