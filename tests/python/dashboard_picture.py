"""Draws the panels of the dashboard from a Prometheus, as one picture, for people to look at. Needs matplotlib."""

import math
import time

UNITS = {"s": 1, "bytes": 2**20, "percentunit": 0.01}


def legend(template, labels):
    for name, value in labels.items():
        template = template.replace("{{" + name + "}}", value)
    return template


def lines(prometheus, panel, seconds):
    """Each line of a panel: (name, times, values)."""
    end = time.time()
    for target in panel["targets"]:
        query = target["expr"].replace("$__rate_interval", "30s").replace("$instance", ".*")
        found = prometheus.ask("query_range", query=query, start=end - seconds, end=end, step=2)["result"]
        for series in found:
            times = [at - end for at, _ in series["values"]]
            yield legend(target["legendFormat"], series["metric"]), times, [float(value) for _, value in series["values"]]


def draw(prometheus, dashboard, path, seconds=120):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    columns = 5
    figure, axes = pyplot.subplots(math.ceil(len(panels) / columns), columns, figsize=(30, 38))
    for axis, panel in zip(axes.flat, panels):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        scale = UNITS.get(unit, 1)
        for name, times, values in lines(prometheus, panel, seconds):
            axis.plot(times, [value / scale for value in values], label=name[:40], linewidth=1)
        shown = {"bytes": "MiB", "percentunit": "%", "s": "s"}.get(unit, "")
        axis.set_title(f"{panel['title']} {shown}", fontsize=11)
        axis.set_ylim(bottom=0)
        if axis.lines:
            axis.legend(fontsize=6, loc="upper left")
        else:
            axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center", color="red")
    for axis in list(axes.flat)[len(panels) :]:
        axis.axis("off")
    figure.tight_layout()
    figure.savefig(path, dpi=60)
