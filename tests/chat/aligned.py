"""Whether a captured screen is aligned: `tmux capture-pane -p -e | python3 aligned.py COLUMNS ROWS`.

Every row ends inside of the screen, and the borders between panes stand in the same columns in every row
above the rule."""

import sys

import svg


def main():
    columns, rows = int(sys.argv[1]), int(sys.argv[2])
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style = svg.Style()
    shown = [svg.row_of(line, style) for line in lines]
    assert len(shown) <= rows, f"{len(shown)} rows, not {rows}"
    borders = None
    for number, row in enumerate(shown):
        end = max((column + wide for column, wide, grapheme, _ in row if grapheme != " "), default=0)
        assert end <= columns, f"row {number} ends at {end}: {lines[number]!r}"
        at = [column for column, _, grapheme, _ in row if grapheme == "│"]
        if any(grapheme == "┴" for _, _, grapheme, _ in row):
            joints = [column for column, _, grapheme, _ in row if grapheme == "┴"]
            assert joints == borders, f"row {number}: the rule meets {borders} at {joints}"
            return
        assert borders in (None, at), f"row {number} has its borders at {at}, not at {borders}: {lines[number]!r}"
        borders = at


if __name__ == "__main__":
    main()
