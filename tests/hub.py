"""A hub on loopback that speaks the protocol of the real one, for models made on the spot."""
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import timm
import torch
from safetensors.torch import save

COMMIT = "5f0c7b8c1f4f4e6b9d0a2c3e4f5a6b7c8d9e0f1a"
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def repository(architecture, classes=6, size=32, licence="mit", **options):
    """Return the files of a repository that timm would have pushed, with weights at random."""
    torch.manual_seed(1)
    model = timm.create_model(architecture, num_classes=classes, pretrained=False, **options)
    about = {"tag": "toy", "input_size": [3, size, size], "mean": MEAN, "std": STD, "num_classes": classes,
             "classifier": model.default_cfg["classifier"], "first_conv": model.default_cfg["first_conv"]}
    config = {"architecture": architecture, "num_classes": classes, "model_args": options, "pretrained_cfg": about}
    return {"config.json": json.dumps(config).encode(), "README.md": f"---\nlicense: {licence}\n---\n# Toy\n".encode(),
            "model.safetensors": save({name: value.contiguous() for name, value in model.state_dict().items()})}


class Hub(ThreadingHTTPServer):
    """Serves repositories by name; counts what is fetched, and may forget how to answer."""

    daemon_threads = True

    def __init__(self, repositories):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.repositories = repositories
        self.fetched = []       # (repository, file) of each GET
        self.broken = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def log_message(self, *args):
        pass

    def _answer(self, body):
        owner, name, *rest = self.path.strip("/").split("?")[0].split("/")
        files = self.server.repositories.get(f"{owner}/{name}")
        known = files is not None and len(rest) == 3 and rest[0] == "resolve" and rest[1] in ("main", COMMIT)
        if self.server.broken:
            return self._refuse(500, "")
        if not known:
            return self._refuse(404, "RevisionNotFound" if files is not None else "RepoNotFound")
        content = files.get(rest[2])
        if content is None:
            return self._refuse(404, "EntryNotFound")
        large = rest[2].endswith((".safetensors", ".bin"))
        tag = (hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)).hexdigest()
        self.send_response(200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("X-Linked-Etag" if large else "ETag", f'"{tag}"')
        if large:
            self.send_header("ETag", '"of the redirect"')
            self.send_header("X-Linked-Size", str(len(content)))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.server.fetched.append((f"{owner}/{name}", rest[2]))
            self.wfile.write(content)

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(repositories):
    """Yield a hub that serves repositories, by `USER/MODEL`."""
    hub = Hub(repositories)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
