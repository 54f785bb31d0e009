# SPDX-License-Identifier: Apache-2.0

"""Medians, tables and the machine, for the driver of the benchmarks."""

import os
import platform
import statistics
import sys


def median(values):
    return statistics.median(values) if values else None


def interleave(subjects, n_runs):
    """{name: [result of each run]} of {name: what measures it}: each run takes every subject once,
    so that they share what else happens on the machine. A result of None is left out."""
    results = {name: [] for name in subjects}
    for run in range(n_runs):
        for name, measure in subjects.items():
            print(f"run {run + 1} of {n_runs}: {name}", file=sys.stderr)
            result = measure()
            if result is not None:
                results[name].append(result)
    return results


def number(value, digits=2):
    """Three digits or so, as people read them."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{0 if value == 0 else 1 if abs(value) >= 10 else digits}f}"


def spread(values):
    """Half of what lies between the least and the most, in percent of the median."""
    middle = median(values)
    return f"±{(max(values) - min(values)) / 2 / middle * 100:.0f} %" if middle else "–"


def ratio(value, base):
    return f"{number(value / base)} ×" if value is not None and base else "–"


def table(head, rows):
    """A Markdown table, aligned for people; the first column is text, the others are numbers."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        first, rest = cells[0].ljust(widths[0]), zip(cells[1:], widths[1:])
        return "| " + " | ".join([first, *(cell.rjust(width) for cell, width in rest)]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), "| " + " | ".join(rule) + " |", *map(line, rows)]) + "\n"


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = " ".join(line.split(":", 1)[1].split())
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()} {platform.machine()}"
    )


def load_average():
    return f"{os.getloadavg()[0]:.1f}"
