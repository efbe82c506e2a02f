"""The files for Prometheus and Grafana by themselves: promtool, a firing and a silent case for each
alert, a section of docs/operations.md for each alert, panels that do not overlap."""

import re
import subprocess

import real_service as rs

try:
    import yaml
except ImportError:
    rs.skip("python3-yaml is not installed")

FOLDER = rs.ROOT / "deploy/prometheus"


def promtool(*arguments):
    result = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def check_cases():
    cases = {}
    for test in yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]:
        for case in test["alert_rule_test"]:
            cases.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    for rule in rs.rules():
        if "alert" in rule:
            assert cases.get(rule["alert"]) == {True, False}, f"{rule['alert']} lacks a case"


def check_runbooks():
    headings = re.findall(r"^#+ (\w+)$", (rs.ROOT / "docs/operations.md").read_text(), re.MULTILINE)
    alerts = [rule for rule in rs.rules() if "alert" in rule]
    for rule in alerts:
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}", rule
        assert rule["alert"] in headings, f"docs/operations.md has no section {rule['alert']}"
        assert rule["labels"]["severity"] in ("page", "ticket"), rule
    for heading in headings:
        if heading.startswith("Dragoman"):
            assert heading in {rule["alert"] for rule in alerts}, f"no alert {heading}"


def check_dashboard():
    board = rs.dashboard()
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Health and SLO", "Latency", "Throughput", "Capacity", "Batch shape",
                    "Quality proxies", "Routing and dials", "Skip routing", "Errors and security",
                    "Drain and deploys", "Process"], rows
    variables = [variable["name"] for variable in board["templating"]["list"]]
    assert variables == ["datasource", "namespace", "model", "instance"], variables
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} overlaps"
        taken |= cells


def check_provisioning():
    source = yaml.safe_load(
        (rs.ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["type"] == "prometheus"
    provider = yaml.safe_load(
        (rs.ROOT / "deploy/grafana/provisioning/dashboards/dragoman.yml").read_text())
    compose = yaml.safe_load((rs.ROOT / "docker-compose.yml").read_text())
    mounts = " ".join(compose["services"]["grafana"]["volumes"])
    assert provider["providers"][0]["options"]["path"] in mounts, mounts


def main():
    check_dashboard()
    check_cases()
    check_runbooks()
    check_provisioning()
    if not rs.has_program("promtool"):
        rs.skip("promtool is not installed; the other checks passed")
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "recording.yml", "alerts.yml")
    promtool("test", "rules", "rules_test.yml")


if __name__ == "__main__":
    main()
