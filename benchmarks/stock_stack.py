"""What Ray Tune with OptunaSearch and its MLflow callback loses under faults: the measure for tests/faults.

    python benchmarks/stock_stack.py [FAULT ...]

Each fault is injected into a run of six trials of three steps in a process of its own; a table of what was
left is printed. Nothing of autotricks is used.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TRIALS = 6
DRIVER = textwrap.dedent('''
    import json, os, sys, time
    from pathlib import Path
    import ray
    from ray import tune
    from ray.air.integrations.mlflow import MLflowLoggerCallback
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    folder, fault, uri, resume = sys.argv[1:]

    def train(config):
        for step in range(3):
            time.sleep(0.4)
            mark = Path(folder, "killed")
            if fault == "worker" and step == 1 and not mark.exists():
                mark.write_text("")
                os.kill(os.getpid(), 9)
            if fault == "hang" and step == 1 and not mark.exists():
                mark.write_text("")
                time.sleep(10 ** 6)
            score = float("nan") if fault == "nan" and config["x"] > 0.5 else config["x"] + step
            tune.report({"score": score})

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    search = OptunaSearch(metric="score", mode="max", seed=0)
    if resume == "yes":
        tuner = tune.Tuner.restore(folder + "/run", train, param_space={"x": tune.uniform(0, 1)})
    else:
        callbacks = [MLflowLoggerCallback(tracking_uri=uri, experiment_name="stock")] if fault == "tracking" else []
        tuner = tune.Tuner(train, param_space={"x": tune.uniform(0, 1)}, tune_config=tune.TuneConfig(
            search_alg=ConcurrencyLimiter(search, 2), num_samples=6, scheduler=ASHAScheduler(
                metric="score", mode="max", grace_period=1, max_t=3)),
            run_config=tune.RunConfig(name="run", storage_path=folder, verbose=0, callbacks=callbacks))
    results = tuner.fit()
    states = [trial.state.name for trial in search._ot_study.get_trials()] if search._ot_study else []
    print("RESULT", json.dumps({"trials": len(results), "errors": len(results.errors), "optuna": states}), flush=True)
''')


def start(folder: Path, fault: str, uri: str, resume: str = "no") -> subprocess.Popen:
    (folder / "driver.py").write_text(DRIVER, "utf-8")
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5", "RAY_DISABLE_METRICS": "1",
             "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "OMP_NUM_THREADS": "1", "TUNE_GLOBAL_CHECKPOINT_S": "1"}
    with (folder / "errors").open("ab") as errors:
        return subprocess.Popen([sys.executable, str(folder / "driver.py"), str(folder), fault, uri, resume],
                                stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
                                env={**os.environ, **quick})


def ended(folder: Path) -> int:
    """Return how many trials have reported something."""
    return sum(path.stat().st_size > 0 for path in folder.glob("run/*/result.json"))


def finish(process: subprocess.Popen, seconds: float = 120) -> tuple[dict, float]:
    """Return what a run said at its end, and after how long; whatever is left of its session is killed."""
    began = time.monotonic()
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        print("  still running after", seconds, "s: killed", flush=True)
    took = time.monotonic() - began
    time.sleep(5 * (process.returncode is not None))
    left = alive(process.pid)
    print("  processes left after 5 s:", len(left), flush=True) if left and process.returncode is not None else None
    for number in left:
        os.kill(number, signal.SIGKILL)
    out = process.communicate()[0]
    process.wait()
    line = next((line for line in out.splitlines() if line.startswith("RESULT")), "")
    return (json.loads(line.removeprefix("RESULT ")) if line else {"trials": 0, "errors": 0, "optuna": []}), took


def alive(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its = path.read_text(errors="replace").rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(its) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def broken_server() -> tuple[ThreadingHTTPServer, str]:
    """Return a tracking server that answers every request with 500."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(500)
        do_POST = do_GET

        def log_message(self, *words):
            pass
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def outcome(fault: str, folder: Path) -> list[str]:
    server, uri = broken_server() if fault == "tracking" else (None, "")
    process = start(folder, fault, uri)
    if fault in ("driver", "state", "flip", "interrupts", "terminated"):
        while not len(list(folder.glob("run/train_*"))) > 2 and process.poll() is None:
            time.sleep(0.1)
    if fault in ("driver", "state", "flip"):
        while fault == "flip" and ended(folder) < 2 and process.poll() is None:
            time.sleep(0.1)
        time.sleep(1.5 * (fault == "flip"))     # the state is written once a second
        process.kill()
        finish(process)
        for path in folder.glob("run/search*") if fault == "state" else ():
            path.write_bytes(path.read_bytes()[:100])
        for path in folder.glob("run/experiment_state*") if fault == "flip" else ():
            content = path.read_bytes()
            found = list(re.finditer(rb'score[\\]*": [0-9][.]', content))
            place = found[-1].end() - 2 if found else 0     # a digit of a figure: 1.5 becomes 0.5, say
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1:])
            print("  ", content[place - 12:place + 6], "became", path.read_bytes()[place - 12:place + 6], flush=True)
        process = start(folder, fault, uri, "yes")
    if fault == "interrupts":
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.4)
    if fault == "terminated":
        os.killpg(process.pid, signal.SIGTERM)
    found, took = finish(process)
    if server:
        server.shutdown()
    states = {state: found["optuna"].count(state) for state in set(found["optuna"])}
    code = process.returncode
    if not found["trials"]:
        print("  last said:", (folder / "errors").read_text(errors="replace").strip().splitlines()[-1:], flush=True)
    return [fault, f"{found['trials']}/{TRIALS}", str(found["errors"]), f"{took:.1f}", str(code),
            ", ".join(f"{number} {state}" for state, number in sorted(states.items())) or "-"]


def main() -> None:
    known = ["none", "driver", "state", "worker", "hang", "nan", "tracking", "interrupts", "terminated", "flip"]
    faults = sys.argv[1:] or known
    print(f"{'fault':<12}{'trials':>8}{'errors':>8}{'seconds':>9}{'exit':>6}  Optuna's states", flush=True)
    for fault in faults:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            row = outcome(fault, Path(folder))
        print(f"{row[0]:<12}{row[1]:>8}{row[2]:>8}{row[3]:>9}{row[4]:>6}  {row[5]}", flush=True)


if __name__ == "__main__":
    main()
