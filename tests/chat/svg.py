"""What a terminal shows, as an SVG: `tmux capture-pane -e -p | python3 svg.py COLUMNS TITLE > out.svg`.

Standard library only. Every character stands in its cells, whatever the fonts are: what is narrow goes
in runs of a fixed length, everything else in a text of its own in the middle of its cells, and lines and
blocks are drawn, not written.
"""

import re
import sys
import unicodedata
from html import escape

CELL_WIDTH, CELL_HEIGHT, BASELINE, FONT_SIZE, WIDE_SIZE = 9, 20, 14.6, 15, 16.5
PADDING, BAR = 14, 30
PAPER, INK = "#101418", "#e8ecef"
FONTS = ("ui-monospace, 'Cascadia Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', "
         "'PingFang SC', 'Microsoft YaHei', 'Noto Sans SC', 'Noto Color Emoji', monospace")
BASIC = ["#1b2127", "#c0504d", "#7fc89b", "#d7a65f", "#6f9fda", "#b48ead", "#6fc0da", "#c8d0d6",
         "#56616b", "#ff9a8b", "#9fe0b5", "#ebcb8b", "#8fb8e8", "#cfa8d8", "#9fd8ea", "#ffffff"]
# What is drawn: rectangles as parts of the cell, x y width height.
DRAWN = {
    "─": [(0, .47, 1, .06)], "│": [(.44, 0, .12, 1)], "┴": [(0, .47, 1, .06), (.44, 0, .12, .5)],
    "┌": [(.44, .47, .56, .06), (.44, .47, .12, .53)], "┐": [(0, .47, .56, .06), (.44, .47, .12, .53)],
    "└": [(.44, .47, .56, .06), (.44, 0, .12, .53)], "┘": [(0, .47, .56, .06), (.44, 0, .12, .53)],
    "▌": [(0, 0, .5, 1)], "▎": [(0, 0, .25, 1)], "█": [(0, 0, 1, 1)], "░": [],
}


class Style:
    """How a cell looks."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.ink, self.paper = None, None
        self.bold = self.dim = self.reverse = False

    def take(self, numbers):
        """Takes one SGR sequence."""
        numbers = list(numbers) or [0]
        while numbers:
            number = numbers.pop(0)
            if number == 0:
                self.reset()
            elif number in (1, 2, 7):
                setattr(self, {1: "bold", 2: "dim", 7: "reverse"}[number], True)
            elif number == 22:
                self.bold = self.dim = False
            elif number == 27:
                self.reverse = False
            elif number in (38, 48):
                setattr(self, "ink" if number == 38 else "paper", colour(numbers))
            elif number in (39, 49):
                setattr(self, "ink" if number == 39 else "paper", None)
            elif 30 <= number <= 37 or 90 <= number <= 97:
                self.ink = BASIC[number - 30 if number < 90 else number - 82]
            elif 40 <= number <= 47 or 100 <= number <= 107:
                self.paper = BASIC[number - 40 if number < 100 else number - 92]

    def looks(self):
        """Ink, paper (None: as it is), whether bold, how opaque."""
        ink, paper = self.ink or INK, self.paper
        if self.reverse:
            ink, paper = paper or PAPER, ink
        return ink, paper, self.bold, 0.6 if self.dim else 1


def colour(numbers):
    """The colour behind a 38 or a 48."""
    if numbers and numbers.pop(0) == 2:
        red, green, blue = (numbers.pop(0) for _ in range(3))
        return f"#{red:02x}{green:02x}{blue:02x}"
    number = numbers.pop(0)
    if number < 16:
        return BASIC[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    parts = [(number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6]
    return "#" + "".join(f"{part and 55 + 40 * part:02x}" for part in parts)


def graphemes(text):
    """What is seen as one character, near enough: marks, joiners, flags, tones."""
    found = []
    for char in text:
        joins = found and (
            unicodedata.combining(char) or char in "\u200d\ufe0f\ufe0e" or "\U0001f3fb" <= char <= "\U0001f3ff"
            or found[-1].endswith("\u200d")
            or (is_flag(char) and is_flag(found[-1][-1]) and len(found[-1]) == 1))
        if joins:
            found[-1] += char
        else:
            found.append(char)
    return found


def is_flag(char):
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def cells(grapheme):
    """How many cells it takes."""
    if "\ufe0f" in grapheme or is_flag(grapheme[0]) or "\u200d" in grapheme:
        return 2
    return 2 if unicodedata.east_asian_width(grapheme[0]) in "WF" else 1


def row_of(line, style):
    """The graphemes of a captured line, each with its column, cells and looks. What the terminal thinks
    narrower than it is leaves a blank behind it, which goes."""
    row, column, swallow = [], 0, False
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            style.take(int(number or 0) for number in part[2:-1].split(";"))
            continue
        for grapheme in graphemes(part.replace("\x0f", "").replace("\x0e", "")):
            if swallow and grapheme == " ":
                swallow = False
                continue
            wide = cells(grapheme)
            row.append((column, wide, grapheme, style.looks()))
            swallow = "\ufe0f" in grapheme and unicodedata.east_asian_width(grapheme[0]) not in "WF"
            column += wide
    return row


def painted(row, y, columns):
    """One row as SVG."""
    parts = []
    for column, wide, _, (_, paper, _, _) in row:
        if paper and paper != PAPER and column < columns:
            x, width = PADDING + column * CELL_WIDTH, wide * CELL_WIDTH
            if parts and parts[-1][0] == paper and parts[-1][1] + parts[-1][2] == x:
                parts[-1][2] += width
            else:
                parts.append([paper, x, width])
    svg = [f'<rect x="{x}" y="{y}" width="{width}" height="{CELL_HEIGHT}" fill="{paper}"/>' for paper, x, width in parts]
    runs = []
    for column, wide, grapheme, (ink, _, bold, opacity) in row:
        look = (ink, bold, opacity)
        if grapheme in DRAWN:
            for dx, dy, width, height in DRAWN[grapheme]:
                svg.append(f'<rect x="{PADDING + (column + dx) * CELL_WIDTH:.2f}" y="{y + dy * CELL_HEIGHT:.2f}" '
                           f'width="{width * CELL_WIDTH:.2f}" height="{height * CELL_HEIGHT:.2f}" fill="{ink}"/>')
        elif wide == 1 and grapheme.isascii():
            if runs and runs[-1][0] == look and runs[-1][1] + len(runs[-1][2]) == column:
                runs[-1][2] += grapheme
            else:
                runs.append([look, column, grapheme])
        else:
            size = f' font-size="{WIDE_SIZE}"' if wide == 2 else ""
            svg.append(written(look, PADDING + (column + wide / 2) * CELL_WIDTH, y, grapheme, f' text-anchor="middle"{size}'))
    for look, column, text in runs:
        kept = text.strip()
        if kept:
            column += len(text) - len(text.lstrip())
            length = f' textLength="{len(kept) * CELL_WIDTH}"' if len(kept) > 1 else ""
            svg.append(written(look, PADDING + column * CELL_WIDTH, y, kept, length))
    return svg


def written(look, x, y, text, more):
    ink, bold, opacity = look
    weight = ' font-weight="700"' if bold else ""
    faint = f' fill-opacity="{opacity}"' if opacity != 1 else ""
    return f'<text x="{x:g}" y="{y + BASELINE:g}" fill="{ink}"{weight}{faint}{more} xml:space="preserve">{escape(text)}</text>'


def main():
    global PAPER, INK
    columns, title = int(sys.argv[1]), sys.argv[2]
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style = Style()
    rows = [row_of(line, style) for line in lines]
    # The paper is what most cells stand on.
    papers = [paper for row in rows for _, wide, _, (_, paper, _, _) in row for _ in range(wide) if paper]
    if papers:
        PAPER = max(set(papers), key=papers.count)
    light = int(PAPER[1:3], 16) > 127
    width = columns * CELL_WIDTH + 2 * PADDING
    height = len(rows) * CELL_HEIGHT + 2 * PADDING + BAR - 6
    edge, faint = ("#c4cbd2", "#56616b") if light else ("#262d34", "#a3aeb7")
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
          f'role="img" font-family="{FONTS}" font-size="{FONT_SIZE}">')
    print(f"<title>{escape(title)}</title>")
    print(f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10" fill="{PAPER}" stroke="{edge}"/>')
    for index in range(3):
        print(f'<circle cx="{20 + 18 * index}" cy="17" r="5" fill="{edge}"/>')
    print(f'<text x="{width / 2}" y="21" fill="{faint}" font-size="12" text-anchor="middle">{escape(title)}</text>')
    for index, row in enumerate(rows):
        for part in painted(row, BAR + PADDING - 6 + index * CELL_HEIGHT, columns):
            print(part)
    print("</svg>")


if __name__ == "__main__":
    main()
