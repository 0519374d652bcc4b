"""Bars and lines as SVG, readable on light and dark pages."""
import math
from html import escape

COLOURS = {"nginx": "#3a9d5d", "haproxy": "#6c7a92", "balancer": "#d9682b"}
TEXT = 'font-family="system-ui, sans-serif" font-size="13" fill="#808080"'


def page(width, height, title, parts):
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">', f"<title>{escape(title)}</title>", *parts, "</svg>", ""])


def text(x, y, words, anchor="start", more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" {TEXT}{more}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour="#808080", width=1, more=""):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}" {more}/>'


def legend(names, x, y):
    for number, name in enumerate(names):
        yield f'<rect x="{x + 100 * number}" y="{y - 10}" width="12" height="12" fill="{COLOURS[name]}"/>'
        yield text(x + 100 * number + 18, y, name)


def bars(title, groups):
    """`groups`: label -> {name: (middle, least, most)}; a line stands at 1."""
    left, width, row, gap = 290, 820, 16, 14
    names = list(next(iter(groups.values())))
    most = max(value[2] for group in groups.values() for value in group.values())
    scale = (width - left - 60) / max(most, 1.1)
    parts, y = [text(10, 20, title, more=' font-weight="bold"'), *legend(names, left, 44)], 60
    top = y
    for label, group in groups.items():
        parts.append(text(left - 10, y + row * len(names) / 2 + 5, label, "end"))
        for name, (middle, least, greatest) in group.items():
            parts.append(f'<rect x="{left}" y="{y + 1}" width="{middle * scale:.1f}" height="{row - 2}" fill="{COLOURS[name]}"/>')
            if greatest > least:
                parts.append(line(left + least * scale, y + row / 2, left + greatest * scale, y + row / 2, "#202020"))
            parts.append(text(left + greatest * scale + 6, y + row - 3, f"{middle:.2f}"))
            y += row
        y += gap
    parts.append(line(left + scale, top - 4, left + scale, y - gap + 4, more='stroke-dasharray="4 3"'))
    return page(width, y, title, parts)


def curves(title, x_label, series):
    """`series`: name -> [(x, y)]; y on a logarithmic scale, in ms."""
    left, top, width, height = 70, 70, 820, 430
    xs = [x for points in series.values() for x, _ in points]
    ys = [y for points in series.values() for _, y in points]
    low, high = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))
    at = lambda x, y: (left + (x / max(xs)) * (width - left - 30), height - 40 - (math.log10(y) - low) / (high - low) * (height - 40 - top))
    parts = [text(10, 20, title, more=' font-weight="bold"'), *legend(series, left, 44)]
    for power in range(low, high + 1):
        _, y = at(0, 10**power)
        parts += [line(left, y, width - 30, y, "#c0c0c0", 0.5), text(left - 8, y + 4, f"{10**power:g} ms", "end")]
    for x in sorted(set(xs)):
        parts.append(text(at(x, 10**low)[0], height - 22, f"{x:,}", "middle"))
    parts.append(text((left + width) / 2, height - 4, x_label, "middle"))
    for name, points in series.items():
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5"/>')
    return page(width, height, title, parts)
