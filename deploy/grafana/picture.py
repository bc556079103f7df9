#!/usr/bin/env python3
"""Draws the dashboard's panels from a running Prometheus, for documents: the same queries, the same rows, without Grafana.

    pip install matplotlib
    deploy/grafana/picture.py http://127.0.0.1:9090 300 docs/pictures/dashboard.png     # the last 300 seconds
"""
import json
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

STEP = 1  # seconds
UNITS = {"ops": "per second", "s": "seconds", "percentunit": "", "bytes": "MiB", "short": ""}


def series(prometheus, query, start, end):
    """Each series of a query over time: its labels, its instants in seconds since `start`, its values."""
    parameters = {"query": query.replace("$__rate_interval", "10s"), "start": start, "end": end, "step": STEP}
    url = f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        for found in json.load(answer)["data"]["result"]:
            instants, values = zip(*found["values"])
            yield found["metric"], [instant - start for instant in instants], [float(value) for value in values]


def legend(template, labels):
    for name, value in labels.items():
        template = template.replace("{{%s}}" % name, value)
    return template


def draw(axes, panel, prometheus, start, end):
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        for labels, instants, values in series(prometheus, target["expr"], start, end):
            values = [value / 2**20 if unit == "bytes" else value for value in values]
            axes.plot(instants, values, linewidth=1, label=legend(target["legendFormat"], labels))
    axes.set_title(panel["title"], fontsize=8)
    axes.set_ylabel(UNITS[unit], fontsize=6)
    axes.set_xlim(0, end - start)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=6)
    axes.grid(linewidth=0.3)
    if axes.lines:
        axes.legend(fontsize=5, loc="upper left", ncols=2, framealpha=0.6)


def main(prometheus, seconds, file):
    dashboard = json.loads((Path(__file__).parent / "loyalty-worker.json").read_text())
    rows = []
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            rows.append((panel["title"], []))
        else:
            rows[-1][1].append(panel)
    end = time.time()
    figure = plt.figure(figsize=(15, 2.6 * sum(-(-len(panels) // 3) for _, panels in rows)), layout="constrained")
    parts = figure.subfigures(len(rows), 1, height_ratios=[-(-len(panels) // 3) for _, panels in rows])
    for part, (title, panels) in zip(parts, rows):
        part.suptitle(title, fontsize=11, weight="bold")
        grid = part.subplots(-(-len(panels) // 3), 3, squeeze=False).flatten()
        for axes, panel in zip(grid, panels):
            draw(axes, panel, prometheus, end - float(seconds), end)
        for axes in grid[len(panels) :]:
            axes.axis("off")
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
