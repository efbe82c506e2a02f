"""Real programs for the tests of deploy files: dragoman-server, Prometheus and a load on it.

Every wait is bounded; every process is ended by its own handle. Needs the standard library alone.
"""

import contextlib
import json
import math
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SKIPPED = 77  # what ctest takes for "not run"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def wait_for(what, condition, seconds=60.0):
    """The first true value of condition(), which is asked until the time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise TimeoutError(f"{what}: not within {seconds:.0f} s")


def http_get(url, timeout=10):
    """Status and body; status 0 when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@contextlib.contextmanager
def running(arguments, log, **options):
    """A child that is ended, and if need be killed, when the block is left."""
    with open(log, "wb") as stream:
        child = subprocess.Popen(arguments, stdout=stream, stderr=stream, **options)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


class Server:
    def __init__(self, child, ports, trust):
        self.child = child
        self.grpc = f"127.0.0.1:{ports['grpc']}"
        self.admin = f"127.0.0.1:{ports['admin']}"
        self.trust = trust  # flags of a client that trusts its certificate

    def scrape(self):
        return http_get(f"http://{self.admin}/metrics")[1]


def make_certificate(folder):
    """A certificate for 127.0.0.1 that signs itself; nothing where openssl is not installed."""
    if not has_program("openssl"):
        return None
    cert, key = f"{folder}/server.crt", f"{folder}/server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days", "30",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


def write_router(path):
    """A skip router with random scores of unit variance for the bundled model: a file as
    docs/formats/router.md says. About half of all modules of its streams are skipped."""
    config = json.loads((ROOT / "model/pretrained/config.json").read_text())
    layers, width = config["num_hidden_layers"], config["hidden_size"]
    draw = random.Random(1)
    tensors = {"router.weight": ([layers, 2, width], width ** -0.5),
               "router.bias": ([2, layers, 2], 0.1), "router.theta": ([2], 0.0)}
    header = {"__metadata__": {
        "format": "dragoman-router-1", "kind": "linear", "input": "rms", "num_layers": str(layers),
        "width": str(width), "base_sha256": "0" * 64, "exempt_layers": "0", "kv_rule": "always",
        "rho_source": "0.5", "rho_target": "0.5", "rate_source": "0.5", "rate_target": "0.5",
        "noise": "faded"}}
    data = b""
    for name, (shape, deviation) in tensors.items():
        values = [draw.gauss(0, deviation) for _ in range(math.prod(shape))]
        header[name] = {"dtype": "F32", "shape": shape,
                        "data_offsets": [len(data), len(data) + 4 * len(values)]}
        data += struct.pack(f"<{len(values)}f", *values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


@contextlib.contextmanager
def running_server(build, folder, flags=()):
    """TLS with a certificate of its own where openssl is installed, else plain text; streams may ask
    for a router with random scores."""
    ports = pathlib.Path(folder) / "ports"
    log = pathlib.Path(folder) / "server.log"
    router = f"{folder}/router.safetensors"
    write_router(router)
    command = [
        f"{build}/bin/dragoman-server", "--model", str(ROOT / "model/pretrained"), "--listen",
        "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--port-file", str(ports),
        "--drain-grace-seconds", "0", "--threads", "1", "--router", router,
        "--router-allow-base-mismatch", *flags]
    pair = make_certificate(folder)
    command += ["--cert", pair[0], "--key", pair[1]] if pair else ["--insecure"]
    trust = ["--ca", pair[0]] if pair else ["--insecure"]
    with running(command, log) as child:
        def ready():
            if child.poll() is not None:
                raise RuntimeError(f"the server ended: {log.read_text()}")
            if not ports.exists():
                return None
            server = Server(child, json.loads(ports.read_text()), trust)
            return server if http_get(f"http://{server.admin}/readyz")[0] == 200 else None
        yield wait_for("the server", ready)


class Prometheus:
    def __init__(self, address):
        self.url = f"http://{address}"

    def _get(self, path, **parameters):
        query = urllib.parse.urlencode(parameters)
        status, body = http_get(f"{self.url}/api/v1/{path}?{query}")
        answer = json.loads(body)
        if status != 200 or answer["status"] != "success":
            raise ValueError(f"{parameters}: {body}")
        return answer["data"]

    def query(self, expression):
        return self._get("query", query=expression)["result"]

    def query_range(self, expression, start, end, step):
        return self._get("query_range", query=expression, start=start, end=end, step=step)["result"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running_prometheus(folder, admin_address, interval="1s"):
    """Runs on the scrape configuration of the tree; only target and interval are another."""
    source = ROOT / "deploy/prometheus"
    port = free_port()
    text = (source / "prometheus.yml").read_text()
    changes = [('"dragoman:9464"', f'"{admin_address}"'), ('"localhost:9090"', f'"127.0.0.1:{port}"'),
               ("scrape_interval: 15s", f"scrape_interval: {interval}"),
               ("evaluation_interval: 15s", f"evaluation_interval: {interval}")]
    for name in ("recording.yml", "alerts.yml"):
        changes.append((f"  - {name}", f"  - {source / name}"))
    for old, new in changes:
        if old not in text:
            raise ValueError(f"prometheus.yml has no {old!r} any more")
        text = text.replace(old, new)
    config = pathlib.Path(folder) / "prometheus.yml"
    config.write_text(text)
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder}/tsdb",
               f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    log = pathlib.Path(folder) / "prometheus.log"
    with running(command, log) as child:
        def ready():
            if child.poll() is not None:
                raise RuntimeError(f"prometheus ended: {log.read_text()}")
            return http_get(f"http://127.0.0.1:{port}/-/ready")[0] == 200
        wait_for("prometheus", ready)
        yield Prometheus(f"127.0.0.1:{port}")


def load(build, server, folder, streams, seconds, rounds=1):
    """Runs a scripted load to its end. Every kind of traffic that panels ask for is in it."""
    text = str(ROOT / "tests/bench/talk.txt")
    bench = [f"{build}/bin/dragoman", "bench", "-s", "en", "-t", "de", *server.trust, "--server",
             server.grpc, "--unstable-tail", "--rate", "6", "--duration", str(seconds)]
    for _ in range(rounds):
        commands = [
            [*bench, "--streams", str(streams), "--policy", "wait-k:3", "--theta", "1", "--chaos",
             "cancel=.2", text],
            [*bench, "--streams", str(max(1, streams // 2)), "--policy", "sentence", text],
            [f"{build}/tests/deploy_odd_calls", server.grpc, "40", *server.trust[1:]]]
        children = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                    for c in commands]
        for command, child in zip(commands, children):
            _, error = child.communicate(timeout=120)
            if child.returncode != 0:
                raise RuntimeError(f"{command}: exit {child.returncode}: {error.decode()}")


# ---------------------------------------------------------------- what is in the tree

# Values of the dashboard's variables in a plain query.
VARIABLES = {"$__rate_interval": "1m", "$namespace": ".*", "$model": ".*", "$instance": ".*"}


def fill_variables(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    if "$" in expression:
        raise ValueError(f"unknown variable in {expression}")
    return expression


def dashboard():
    return json.loads((ROOT / "deploy/grafana/dashboards/dragoman.json").read_text())


def panel_queries():
    """(title, expression) of every query of every panel and annotation."""
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], fill_variables(target["expr"])
    for annotation in board["annotations"]["list"]:
        yield "annotation " + annotation["name"], fill_variables(annotation["expr"])


def rules():
    """All recording and alert rules as they are written."""
    import yaml
    for name in ("recording.yml", "alerts.yml"):
        for group in yaml.safe_load((ROOT / "deploy/prometheus" / name).read_text())["groups"]:
            yield from group["rules"]


NAME = re.compile(r"\b(?:(?:dragoman|grpc_server|process)_\w+|\w+:dragoman_\w+:\w+)")
SELECTOR = re.compile(NAME.pattern + r"(?:\{[^}]*\})?")


def metric_names(expression):
    """Names of metrics and of recording rules in an expression."""
    return set(NAME.findall(expression))


def selectors(expression):
    """The vectors that an expression reads, with their matchers."""
    return SELECTOR.findall(expression)


def family_of(name, families):
    """The family of a series; histograms end in _bucket, _count or _sum."""
    if name in families:
        return name
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if base in families else None


def documented_families():
    text = (ROOT / "docs/metrics.md").read_text()
    return set(re.findall(r"^\| `((?:dragoman|grpc_server|process)_\w+)` \|", text, re.MULTILINE))


def scraped_families(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))


def work_folder():
    return tempfile.TemporaryDirectory(prefix="dragoman_deploy_")


def has_program(name):
    return any(os.access(pathlib.Path(p) / name, os.X_OK) for p in os.environ["PATH"].split(":") if p)
