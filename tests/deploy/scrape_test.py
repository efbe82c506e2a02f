"""A real Prometheus scrapes a real server under load: every query of every panel and rule has data.

  scrape_test.py BUILD_FOLDER
"""

import math
import signal
import sys

import real_service as rs

try:
    import yaml  # noqa: F401
except ImportError:
    rs.skip("python3-yaml is not installed")

# What a server has no series for in this test, and why. Panels and rules that read nothing else may
# be empty.
WITHOUT_SERIES = {
    "dragoman_quota_rejects_total": "nobody is over a quota",
}
if not rs.has_program("openssl"):
    WITHOUT_SERIES["dragoman_tls_not_after_timestamp_seconds"] = "no certificate without openssl"
# Queries that are empty unless something happens; their selectors are asked instead.
CONDITIONS = {"annotation Deploys", "annotation Drains"}


def has_value(result):
    """Whether there is a sample that is a number."""
    return any(not math.isnan(float(series["value"][1])) for series in result)


def optional(expression):
    return any(name in WITHOUT_SERIES for name in rs.metric_names(expression))


def all_queries():
    """(what, expression) of everything that has to have data."""
    for title, expression in rs.panel_queries():
        if title not in CONDITIONS:
            yield f"panel {title}", expression
        else:
            for selector in rs.selectors(expression):
                yield title, selector
    for rule in rs.rules():
        if "record" in rule:
            yield f"rule {rule['record']}", rule["expr"]
            yield f"record {rule['record']}", rule["record"]
            continue
        # An alert is a condition: what it compares has to be there.
        for selector in rs.selectors(rule["expr"]):
            yield f"alert {rule['alert']}", selector


def check_names(scrape):
    documented = rs.documented_families()
    recorded = {rule["record"] for rule in rs.rules() if "record" in rule}
    scraped = rs.scraped_families(scrape)
    unknown, absent = set(), set()
    for what, expression in all_queries():
        for name in rs.metric_names(expression) - recorded:
            family = rs.family_of(name, documented)
            if family is None:
                unknown.add(f"{what}: {name}")
            elif family not in scraped and family not in WITHOUT_SERIES:
                absent.add(f"{what}: {name}")
    assert not unknown, f"not in docs/metrics.md: {sorted(unknown)}"
    assert not absent, f"documented, but not in the scrape: {sorted(absent)}"
    undocumented = scraped - documented
    assert not undocumented, f"exported and not documented: {sorted(undocumented)}"


def main():
    build = sys.argv[1]
    if not rs.has_program("prometheus"):
        rs.skip("prometheus is not installed")
    if not (rs.ROOT / "model/pretrained/dragoman.json").exists():
        rs.skip("the bundled model is not here")
    queries = list(all_queries())
    assert len(queries) > 120, len(queries)
    with rs.work_folder() as folder, rs.running_server(build, folder) as server:
        with rs.running_prometheus(folder, server.admin) as prometheus:
            # Rates need a sample from before the load.
            rs.wait_for("a scrape", lambda: prometheus.query("dragoman_build_info"))
            rs.load(build, server, folder, streams=6, seconds=6)
            check_names(server.scrape())

            def missing():
                return [(what, expression) for what, expression in queries
                        if not has_value(prometheus.query(expression)) and not optional(expression)]

            try:
                rs.wait_for("data of every query", lambda: not missing(), seconds=15)
            except TimeoutError:
                for what, expression in missing():
                    print(f"no data: {what}: {expression}")
                raise
            firing = prometheus.query('ALERTS{alertstate="firing",severity="page"}')
            assert not firing, firing
            print(f"{len(queries)} queries have data")
        server.child.send_signal(signal.SIGTERM)
        assert server.child.wait(20) == 0, server.child.returncode


if __name__ == "__main__":
    main()
