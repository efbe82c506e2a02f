"""Draws the Grafana dashboard of the tree as one SVG, from what a real Prometheus answers.

  draw_dashboard.py BUILD_FOLDER OUTPUT.svg [SECONDS]

Starts dragoman-server with the bundled model and Prometheus, runs a scripted load for about SECONDS (90) and
asks every query of every panel over that time. This is no Grafana: places, titles, queries, units and
legends are those of deploy/grafana/dashboards/dragoman.json, the drawing is our own.
"""

import html
import math
import pathlib
import re
import sys
import time

import real_service as rs

COLUMN, LINE, GAP = 50, 24, 6  # pixels
COLOURS = ("#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#e02f44", "#8ab8ff", "#96d98d",
           "#ffcb7d", "#ca95e5")
LOAD = ((3, 12), (8, 15), (14, 20), (6, 12))  # streams, seconds of speaking


def number(value, unit):
    """A value as Grafana would write it, nearly."""
    if math.isnan(value):
        return "-"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if abs(value) < 1 else f"{value:.3g} s"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "dateTimeFromNow":
        return f"{(time.time() * 1000 - value) / 60000:.1f} min ago"
    if unit in ("bytes", "Bps"):
        for prefix in ("", "Ki", "Mi", "Gi"):
            if abs(value) < 1024 or prefix == "Gi":
                return f"{value:.3g} {prefix}B{'/s' if unit == 'Bps' else ''}"
            value /= 1024
    suffix = {"wps": " /s", "reqps": " /s", "cps": " /s", "d": " d"}.get(unit, "")
    return f"{value:.4g}{suffix}" if abs(value) < 10000 else f"{value:,.0f}{suffix}"


class Picture:
    def __init__(self, width, height):
        self.size = width, height
        self.parts = []

    def text(self, x, y, text, size=11, fill="#ccccdc", anchor="start"):
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" fill="{fill}" '
                          f'text-anchor="{anchor}">{html.escape(text)}</text>')

    def box(self, x, y, w, h, fill, stroke="none"):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
                          f'fill="{fill}" stroke="{stroke}"/>')

    def line(self, points, colour, dashed=False):
        path = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"'
                          + (' stroke-dasharray="4 3"' if dashed else "") + "/>")

    def save(self, path):
        width, height = self.size
        body = "\n".join(self.parts)
        pathlib.Path(path).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'font-family="sans-serif">\n<rect width="{width}" height="{height}" fill="#111217"/>\n'
            f"{body}\n</svg>\n")


def legend(template, labels):
    for name, value in labels.items():
        template = template.replace("{{" + name + "}}", value)
    return re.sub(r"\{\{.*?\}\}", "", template).strip() or "none"


def draw_series(picture, panel, series, frame, span):
    x, y, w, h = frame
    defaults = panel["fieldConfig"]["defaults"]
    stacked = defaults["custom"]["stacking"]["mode"] == "normal"
    unit = defaults["unit"]
    threshold = [s["value"] for s in defaults.get("thresholds", {}).get("steps", ()) if s["value"] is not None]
    if stacked:
        below = {}
        for one in series:
            one["values"] = [(t, below.setdefault(t, 0) + v) for t, v in one["values"]]
            below.update(dict(one["values"]))
    values = [v for one in series for _, v in one["values"] if not math.isnan(v)]
    top = max([*values, 0])
    if threshold and threshold[0] < 4 * top:
        top = max(top, threshold[0])
    top = defaults.get("max") or top * 1.1 or 1
    left, right, upper, lower = x + 56, x + w - 8, y + 26, y + h - 34
    place = lambda t, v: (left + (right - left) * (t - span[0]) / (span[1] - span[0]),
                          lower - (lower - upper) * min(v / top, 1))
    for share in (0, .5, 1):
        level = lower - (lower - upper) * share
        picture.line([(left, level), (right, level)], "#2c3235")
        picture.text(left - 4, level + 4, number(top * share, unit), 9, "#8e8e98", "end")
    if threshold and threshold[0] <= top:
        level = place(span[0], threshold[0])[1]
        picture.line([(left, level), (right, level)], "#e02f44", dashed=True)
    if not stacked:  # the largest first, as far as the legend has room
        series.sort(key=lambda one: -max((v for _, v in one["values"] if not math.isnan(v)), default=0))
    names = []
    for i, one in enumerate(series):
        points = [place(t, v) for t, v in one["values"] if not math.isnan(v)]
        if points:
            picture.line(points if len(points) > 1 else points * 2, COLOURS[i % len(COLOURS)])
        names.append((one["name"], COLOURS[i % len(COLOURS)]))
    where = left
    for name, colour in names:
        needed = 14 + 5.4 * len(name)
        if where + needed > right:
            picture.text(where, lower + 26, "...", 9)
            break
        picture.box(where, lower + 20, 8, 3, colour)
        picture.text(where + 11, lower + 26, name, 9)
        where += needed + 4


def draw_heat(picture, series, frame, span):
    x, y, w, h = frame
    rows = sorted(series, key=lambda one: float(one["labels"]["le"]))
    times = [t for t, _ in rows[0]["values"]] if rows else []
    left, right, upper, lower = x + 56, x + w - 8, y + 26, y + h - 16
    cells = [dict(one["values"]) for one in rows]
    counts = [[max(0, cells[i].get(t, 0) - (cells[i - 1].get(t, 0) if i else 0)) for t in times]
              for i in range(len(rows))]
    most = max((v for row in counts for v in row if not math.isnan(v)), default=0) or 1
    height = (lower - upper) / max(1, len(rows))
    width = (right - left) / max(1, len(times))
    for i, row in enumerate(counts):
        picture.text(left - 4, lower - height * i - height / 3, rows[i]["labels"]["le"], 8, "#8e8e98", "end")
        for j, value in enumerate(row):
            if value > 0 and not math.isnan(value):
                shade = int(60 + 195 * math.sqrt(value / most))
                picture.box(left + j * width, lower - height * (i + 1), width, height,
                            f"#{shade // 3:02x}{shade // 2:02x}{shade:02x}")


def draw_panel(picture, prometheus, panel, span, step):
    place = panel["gridPos"]
    x, y = place["x"] * COLUMN + GAP / 2, place["y"] * LINE + 40
    w, h = place["w"] * COLUMN - GAP, place["h"] * LINE - GAP
    if panel["type"] == "row":
        picture.text(x, y + 16, panel["title"], 14, "#ffffff")
        return
    picture.box(x, y, w, h, "#181b1f", "#2c3235")
    picture.text(x + 8, y + 16, panel["title"], 11)
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
    series = []
    for target in panel["targets"]:
        expression = rs.fill_variables(target["expr"])
        if panel["type"] in ("stat", "table"):
            found = prometheus.query(expression)
            series += [{"labels": s["metric"], "values": [(0, float(s["value"][1]))]} for s in found]
            continue
        for one in prometheus.query_range(expression, *span, step):
            series.append({"labels": one["metric"], "name": legend(target["legendFormat"], one["metric"]),
                           "values": [(float(t), float(v)) for t, v in one["values"]]})
    if not series:
        picture.text(x + w / 2, y + h / 2, "No data", 12, "#8e8e98", "middle")
    elif panel["type"] == "stat":
        value = series[0]["values"][0][1]
        colour = "#73bf69"
        for mark in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
            if mark["value"] is None or value >= mark["value"]:
                colour = {"green": "#73bf69", "orange": "#ff780a", "red": "#e02f44"}[mark["color"]]
        picture.text(x + w / 2, y + h / 2 + 14, number(value, unit), 22, colour, "middle")
    elif panel["type"] == "table":
        for i, one in enumerate(series):
            words = [f"{k}={v}" for k, v in one["labels"].items() if k not in ("__name__", "job", "instance")]
            picture.text(x + 8, y + 38 + 14 * i, ", ".join(words)[:110], 9)
    elif panel["type"] == "heatmap":
        draw_heat(picture, series, (x, y, w, h), span)
    else:
        draw_series(picture, panel, series, (x, y, w, h), span)


def main():
    build, output = sys.argv[1:3]
    rs.VARIABLES["$__rate_interval"] = "10s"
    scale = float(sys.argv[3]) / 90 if len(sys.argv) > 3 else 1.0
    board = rs.dashboard()
    height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in board["panels"]) * LINE + 50
    picture = Picture(24 * COLUMN, height)
    with rs.work_folder() as folder, rs.running_server(build, folder, ["--slots", "24"]) as server:
        with rs.running_prometheus(folder, server.admin) as prometheus:
            rs.wait_for("a scrape", lambda: prometheus.query("dragoman_build_info"))
            begin = time.time()
            for streams, seconds in LOAD:
                rs.load(build, server, folder, streams, max(2, round(seconds * scale)))
            span = begin, time.time()
            step = max(1, round((span[1] - span[0]) / 60))
            picture.text(GAP, 24, f"Dragoman: panels of the dashboard over {span[1] - span[0]:.0f} s of scripted "
                                  "load, drawn from the answers of Prometheus", 15, "#ffffff")
            for panel in board["panels"]:
                draw_panel(picture, prometheus, panel, span, step)
    picture.save(output)
    print(f"{output}: {pathlib.Path(output).stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
