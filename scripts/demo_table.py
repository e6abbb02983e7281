"""How the demo looks on a terminal, and what of it is left when the output goes to a file."""
import os
import sys

# Title and width of each column; negative: set to the left.
COLUMNS = (("window", 6), ("version", 7), ("events", 6), ("c2st AUC", 13), ("p", 7), ("smallest KS p", 13), ("of", -8),
           ("invalid", 8), ("fidelity (floor)", 16), ("decision", -9), ("", -1))


class Screen:
    """Lines on stdout; one status line below them, on a terminal only."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.colour = self.terminal and not os.environ.get("NO_COLOR")
        self.status_shown = False

    def line(self, text=""):
        if self.status_shown:
            print("\r\033[K", end="")
            self.status_shown = False
        print(text, flush=True)

    def status(self, text):
        if self.terminal:
            width = max(20, os.get_terminal_size().columns - 1)
            print("\r\033[K" + text[:width], end="", flush=True)
            self.status_shown = True

    def cells(self, texts, bad=()):
        """A line of the table; the cells named in `bad` passed their threshold: a star, and red where there is colour."""
        out = []
        for (title, width), text in zip(COLUMNS, texts):
            text += "*" if title in bad else ""
            text = f"{text:<{-width}}" if width < 0 else f"{text:>{width}}"
            out.append(f"\033[31m{text}\033[0m" if title in bad and self.colour else text)
        self.line("  ".join(out).rstrip())

    def titles(self):
        self.cells([title for title, _ in COLUMNS])


def bar(fraction, width=24):
    full = round(max(0.0, min(1.0, fraction)) * width)
    return "[" + "#" * full + "-" * (width - full) + f"] {100 * fraction:3.0f} %"


def find(iteration, name, verdict="drift"):
    return [s for s in iteration["statistics"] if s["name"] == name and s["verdict"] == verdict]


def alarmed(statistic):
    p, threshold = statistic["p_value"], statistic["threshold"]
    return p is not None and threshold is not None and p <= threshold


def p_text(p):
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def thresholds(iteration):
    """One line that says what each p-value is held against."""
    parts = []
    for name, title in (("c2st", "classifier"), ("ks", "KS, each feature"), ("invalid_rows", "invalid rows")):
        for s in find(iteration, name)[:1]:
            parts.append(f"{title} p <= {s['threshold']:.1e}")
    return "alarm (*) if " + " or ".join(parts)


def show(screen, iteration, remark):
    """One line for an iteration."""
    texts = {"window": str(iteration["iteration"]), "version": str(iteration["version"]),
             "events": str(iteration["events"]), "decision": iteration["decision"], "": remark}
    bad = set()

    def put(title, text, statistic):
        texts[title] = text
        if alarmed(statistic):
            bad.add(title)

    for s in find(iteration, "c2st"):
        texts["c2st AUC"] = f"{s['value']:.3f} ± {s['error'] or 0:.3f}"
        put("p", p_text(s["p_value"]), s)
    ks = [s for s in find(iteration, "ks") if s["p_value"] is not None]
    for s in sorted(ks, key=lambda k: k["p_value"])[:1]:
        put("smallest KS p", p_text(s["p_value"]), s)
        texts["of"] = s["feature"]
    for s in find(iteration, "invalid_rows"):
        put("invalid", f"{100 * s['value']:.2f} %", s)
    for s in find(iteration, "c2st", "fidelity"):
        texts["fidelity (floor)"] = f"{s['value']:.3f} ({s['floor']:.3f})"
    screen.cells([texts.get(title, "-") for title, _ in COLUMNS], bad)
