"""Kubernetes manifests against the schemas of Kubernetes 1.30, and against each other, the Dockerfile,
docker-compose.yml and the settings of the server.

  manifests_test.py DRAGOMAN_SERVER
"""

import json
import os
import re
import subprocess
import sys

import real_service as rs

try:
    import yaml
except ImportError:
    rs.skip("python3-yaml is not installed")

import image_file
import kustomize

FOLDER = rs.ROOT / "deploy/kubernetes"
SCHEMAS = json.loads((rs.ROOT / "tests/deploy/schemas/kubernetes-1.30.json").read_text())
STOP_MARGIN = 20  # seconds for the end of the process after its drain


# ---------------------------------------------------------------- schemas

def errors_of(schema, value, path):
    """What of `value` the schema does not allow; unknown fields are errors."""
    if "$ref" in schema:
        yield from errors_of(SCHEMAS["definitions"][schema["$ref"]], value, path)
        return
    if "anyOf" in schema:
        if not any(not list(errors_of(option, value, path)) for option in schema["anyOf"]):
            yield f"{path}: {value!r} is none of {schema['anyOf']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {value!r} is none of {schema['enum']}"
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "number": (int, float)}
    if "type" in schema:
        wrong_bool = schema["type"] == "number" and isinstance(value, bool)
        if not isinstance(value, types[schema["type"]]) or wrong_bool:
            yield f"{path}: {value!r} is no {schema['type']}"
            return
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{path}.{name} is missing"
        for name, part in value.items():
            inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
            if inner is False:
                yield f"{path}.{name} is unknown"
            elif inner is not True:
                yield from errors_of(inner, part, f"{path}.{name}")
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from errors_of(schema["items"], item, f"{path}[{i}]")


def check_schemas(documents):
    for document in documents:
        kind = f"{document['apiVersion']}/{document['kind']}"
        assert kind in SCHEMAS["kinds"], f"no schema of {kind}"
        found = list(errors_of({"$ref": SCHEMAS["kinds"][kind]}, document, document["kind"]))
        assert not found, "\n".join(found)
        for text in strings_of(document):
            assert not re.search(r"(?i)\bTODO\b", text), text


def check_that_the_validator_refuses():
    """Small mistakes that it has to find."""
    good = kustomize.render(FOLDER / "base")
    mistakes = [
        ("Deployment", lambda d: d["spec"].update(replica=2)),
        ("Deployment", lambda d: d["spec"]["template"]["spec"]["containers"][0].pop("name")),
        ("Deployment", lambda d: d["spec"]["template"]["spec"].update(
            terminationGracePeriodSeconds="640")),
        ("Service", lambda d: d["spec"]["ports"][0].update(port=True)),
        ("ConfigMap", lambda d: d["data"].update(DRAGOMAN_SLOTS=64)),
        ("PodDisruptionBudget", lambda d: d.update(apiVersion="policy/v1beta1")),
    ]
    for kind, make in mistakes:
        document = json.loads(json.dumps(next(d for d in good if d["kind"] == kind)))
        make(document)
        try:
            check_schemas([document])
        except AssertionError:
            continue
        raise AssertionError(f"a mistake in {kind} was not found")


def strings_of(value):
    if isinstance(value, dict):
        for part in value.values():
            yield from strings_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings_of(part)
    elif isinstance(value, str):
        yield value


def check_renderer(folder, documents):
    """Our small renderer against the real one, where that is installed."""
    if not rs.has_program("kubectl"):
        return
    result = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    if result.returncode != 0:  # a kubectl older than our files
        print(f"kubectl kustomize: {result.stderr.strip()}")
        return
    real = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(result.stdout)}
    ours = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    assert real == ours, folder


# ---------------------------------------------------------------- the server's settings

def settings_of(server, environment):
    """The effective settings of a server that gets these variables."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("DRAGOMAN_")}
    result = subprocess.run([server, "--print-config"], env={**variables, **environment},
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return dict(line.split()[:2] for line in result.stdout.splitlines())


def port_of(address):
    return int(address.rsplit(":", 1)[1])


def check_pod(server, documents, image):
    one = {d["kind"]: d for d in documents}
    assert len(one) == len(documents) == 7, list(one)
    deployment, config = one["Deployment"], one["ConfigMap"]["data"]
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    given = {entry["name"]: "2" if "resourceFieldRef" in entry["valueFrom"] else "pod-name"
             for entry in container["env"]}
    settings = settings_of(server, {**image.env, **config, **given})

    # Ports.
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": port_of(settings["listen"]), "admin": port_of(settings["admin-listen"])}
    assert sorted(ports.values()) == sorted(image.config["EXPOSE"])
    template = deployment["spec"]["template"]["metadata"]
    assert int(template["annotations"]["prometheus.io/port"]) == ports["admin"]
    assert template["annotations"]["prometheus.io/path"] == "/metrics"

    # The way out: preStop, drain, margin.
    pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    whole = pre_stop + int(settings["drain-grace-seconds"]) + int(settings["drain-seconds"])
    assert pod["terminationGracePeriodSeconds"] == whole + STOP_MARGIN, whole

    # Probes.
    expected = {"startupProbe": ("/readyz", 5, 60), "readinessProbe": ("/readyz", 5, 2),
                "livenessProbe": ("/livez", 10, 3)}
    for name, (path, period, failures) in expected.items():
        probe = container[name]
        assert probe["httpGet"] == {"path": path, "port": "admin"}, probe
        assert probe["periodSeconds"] == period and probe["failureThreshold"] == failures, probe

    # Rights.
    user, group = (int(part) for part in image.config["USER"].split(":"))
    assert user == group == 65532
    assert pod["securityContext"]["runAsUser"] == user and pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]}}
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"]["requests"] == container["resources"]["limits"]
    assert re.fullmatch(r"\d+", container["resources"]["limits"]["cpu"])  # whole processors

    # Files that settings name are mounted.
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for name in ("DRAGOMAN_CERT", "DRAGOMAN_KEY", "DRAGOMAN_TOKEN_FILE"):
        assert any(CONFIG_FILES[name].startswith(mount + "/") for mount in mounts), name
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}

    # One names the other.
    labels = template["labels"].items()
    for selector in (deployment["spec"]["selector"]["matchLabels"], one["Service"]["spec"]["selector"],
                     one["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     one["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"]):
        assert selector.items() <= labels, selector
    assert one["Service"]["spec"]["clusterIP"] == "None"
    assert one["Service"]["spec"]["ports"][0]["targetPort"] in ports
    assert pod["serviceAccountName"] == one["ServiceAccount"]["metadata"]["name"]
    assert container["envFrom"] == [{"configMapRef": {"name": one["ConfigMap"]["metadata"]["name"]}}]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert one["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1

    # The autoscaler.
    scaler = one["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    metric = scaler["metrics"][0]["pods"]
    assert metric["metric"]["name"] in rs.documented_families(), metric
    assert metric["target"] == {"type": "AverageValue", "averageValue": "650m"}
    down = scaler["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] == 900
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 600}]

    # The network.
    rules = one["NetworkPolicy"]["spec"]["ingress"]
    open_ports = [port["port"] for rule in rules if "from" not in rule for port in rule["ports"]]
    assert open_ports == [ports["grpc"]], open_ports
    assert one["NetworkPolicy"]["spec"]["egress"] == []


def check_compose(server, image):
    compose = yaml.safe_load((rs.ROOT / "docker-compose.yml").read_text())["services"]
    service = compose["dragoman"]
    settings = settings_of(server, {**image.env, **service["environment"]})
    whole = int(settings["drain-grace-seconds"]) + int(settings["drain-seconds"])
    assert service["stop_grace_period"] == f"{whole + STOP_MARGIN}s", whole
    assert service["ports"] == [f"127.0.0.1:{port_of(settings['listen'])}:{port_of(settings['listen'])}"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["build"]["target"] == image.name
    for name, other in compose.items():
        assert "healthcheck" in other or name == "dragoman", name  # the image has its own
        assert all(port.startswith("127.0.0.1:") for port in other["ports"]), name
    prometheus = yaml.safe_load((rs.ROOT / "deploy/prometheus/prometheus.yml").read_text())
    target = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target == [f"dragoman:{port_of(settings['admin-listen'])}"], target
    tag = service["image"].split(":")[1]
    version = re.search(r"project\(dragoman VERSION (\S+)", (rs.ROOT / "CMakeLists.txt").read_text())[1]
    images = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text())["images"]
    assert tag == version == images[0]["newTag"], (tag, version, images)


def main():
    global CONFIG_FILES
    server = sys.argv[1]
    image = image_file.read_stages((rs.ROOT / "Dockerfile").read_text())["runtime"]
    check_that_the_validator_refuses()
    for overlay in ("cpu", "gpu"):
        folder = FOLDER / "overlays" / overlay
        documents = kustomize.render(folder)
        check_schemas(documents)
        check_renderer(folder, documents)
        config = next(d for d in documents if d["kind"] == "ConfigMap")["data"]
        CONFIG_FILES = dict(config)
        check_pod(server, documents, image)
        deployment = next(d for d in documents if d["kind"] == "Deployment")
        limits = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
        assert ("nvidia.com/gpu" in limits) == (config["DRAGOMAN_DEVICE"] == "cuda"), overlay
    check_compose(server, image)


if __name__ == "__main__":
    main()
