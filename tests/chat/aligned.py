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
    borders, box = None, None
    for number, row in enumerate(shown):
        end = max((column + wide for column, wide, grapheme, _ in row if grapheme != " "), default=0)
        assert end <= columns, f"row {number} ends at {end}: {lines[number]!r}"
        at = {sign: [column for column, _, grapheme, _ in row if grapheme == sign] for sign in "│┌┐└┘┴"}
        if at["┌"]:
            box = (at["┌"][0], at["┐"][0])
        expected = borders
        if box and borders is not None:
            # What lies over the chat hides what is behind it, with a column around.
            expected = [column for column in borders if not box[0] - 1 <= column <= box[1] + 1]
            inside = not (at["┌"] or at["└"])
            expected = sorted(expected + list(box)) if inside else expected
        if at["└"]:
            assert (at["└"][0], at["┘"][0]) == box, f"row {number}: the box ends elsewhere: {lines[number]!r}"
            box = None
        if at["┴"]:
            assert at["┴"] == [it for it in borders if it in at["┴"]], f"row {number}: the rule meets {borders} at {at}"
            continue
        if number >= rows - 2:
            continue
        assert expected in (None, at["│"]), f"row {number}: borders at {at['│']}, not {expected}: {lines[number]!r}"
        if borders is None:
            borders = at["│"]


if __name__ == "__main__":
    main()
