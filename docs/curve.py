"""Draw a pretraining's held-out figures by step, from its log, as a picture for a page.

python docs/curve.py RUN > docs/images/pretraining.svg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 24, 28, 34
TICKS = 4
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #555 }
.title { font-weight: 600 } .grid { stroke: #8884 } .known { stroke: #888; stroke-dasharray: 4 3 }
.line { stroke: #1f6feb; stroke-width: 1.8; fill: none }
""".strip()

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One figure by step, and what it is for who knows only word counts, or tosses a coin."""

    title: str
    points: Sequence[Point]
    baseline: float
    unit: str = ""

    @property
    def lowest(self) -> float:
        """Where the axis begins."""
        return min(self.baseline, *(value for _, value in self.points))

    @property
    def highest(self) -> float:
        """Where the axis ends."""
        return max(self.baseline, *(value for _, value in self.points))


def panels_of(run: Path) -> list[Panel]:
    """Read a finished run's log and what its manifest says of baselines."""
    lines = (run / "log/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    measured = [each for each in map(json.loads, lines) if "validation" in each]
    known = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["statistics"][
        "baseline"
    ]

    def panel(title: str, name: str, scale: float = 1, unit: str = "") -> Panel:
        points = [(each["step"], scale * each["validation"][name]) for each in measured]
        return Panel(title, points, scale * known[name], unit)

    return [
        panel("masked tokens: loss", "mlm_loss"),
        panel("masked tokens: accuracy", "mlm_accuracy", 100, " %"),
        panel("next sentence: accuracy", "nsp_accuracy", 100, " %"),
    ]


def drawing(panels: Sequence[Panel]) -> str:
    """Return the picture as SVG, the panels side by side."""
    drawn = [
        f'<g transform="translate({number * WIDTH} 0)">\n{_panel(panel)}\n</g>'
        for number, panel in enumerate(panels)
    ]
    size = f'viewBox="0 0 {len(panels) * WIDTH} {HEIGHT}"'
    parts = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>\n{parts}\n</svg>'
    )


def _panel(panel: Panel) -> str:
    last = panel.points[-1][0]
    margin = 0.08 * (panel.highest - panel.lowest)
    lowest, highest = panel.lowest - margin, panel.highest + margin

    def x(step: float) -> float:
        return LEFT + step / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - lowest) / (highest - lowest) * (HEIGHT - TOP - BOTTOM)

    def level(value: float, kind: str) -> str:
        return f'<path class="{kind}" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>'

    digits = 1 if highest - lowest < 2 * TICKS else 0
    parts = [f'<text class="title" x="{LEFT}" y="16">{panel.title}</text>']
    for number in range(TICKS + 1):
        value = lowest + number / TICKS * (highest - lowest)
        step = number / TICKS * last
        told = f"{value:.{digits}f}{panel.unit}"
        parts += [
            level(value, "grid"),
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{told}</text>',
            f'<text x="{x(step):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{step:,.0f}</text>',
        ]
    path = "L".join(f"{x(step):.1f} {y(value):.1f}" for step, value in panel.points)
    parts += [level(panel.baseline, "known"), f'<path class="line" d="M{path}"/>']
    return "\n".join(parts)


if __name__ == "__main__":
    print(drawing(panels_of(Path(sys.argv[1]))))
