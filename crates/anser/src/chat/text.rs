//! Text in columns: Chinese takes two, a combining mark none.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in exactly `columns`: cut with … or filled with blanks.
pub fn fit(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let blanks = columns.saturating_sub(width(&cut));
    cut + &" ".repeat(blanks)
}

/// The text in at most `columns`, cut with ….
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut shown = String::new();
    let room = columns.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        if width(&shown) + width(grapheme) > room {
            break;
        }
        shown.push_str(grapheme);
    }
    if columns > 0 {
        shown.push('…');
    }
    shown
}

/// `left` and `right` at both ends of `columns`; `left` gives way.
pub fn both_ends(left: &str, right: &str, columns: usize) -> String {
    let right = cut(right, columns);
    let room = columns.saturating_sub(width(&right));
    let left_room = if right.is_empty() { room } else { room.saturating_sub(1) };
    let left = cut(left, left_room);
    let blanks = room.saturating_sub(width(&left));
    format!("{left}{}{right}", " ".repeat(blanks))
}

/// Lines of at most `columns`, broken between words where there are some.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for word in paragraph.split_word_bounds() {
            if width(&line) + width(word) <= columns {
                line.push_str(word);
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if word.trim().is_empty() {
                continue;
            }
            for grapheme in word.graphemes(true) {
                if width(&line) + width(grapheme) > columns {
                    lines.push(std::mem::take(&mut line));
                }
                line.push_str(grapheme);
            }
        }
        lines.push(line);
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

/// Somebody else's text as a terminal may show it: no control characters, none that turn its direction.
pub fn tamed(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let tame = |c: char| match c {
        '\n' => Some('\n'),
        '\t' => Some(' '),
        c if c.is_control() || turns(c) || c == '\u{feff}' => None,
        c => Some(c),
    };
    text.chars().filter_map(tame).collect()
}

/// The same on one line, without what terminals disagree about the width of.
pub fn one_line(text: &str) -> String {
    let plain = tamed(text).replace(['\u{fe0f}', '\u{200d}'], "");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_exact() {
        assert_eq!(fit("鸿雁", 6), "鸿雁  ");
        assert_eq!(fit("鸿雁设计组", 6), "鸿雁… ");
        assert_eq!(both_ends("周屿", "14:32", 12), "周屿   14:32");
        assert_eq!(both_ends("鸿雁设计组", "14:32", 12), "鸿雁…  14:32");
        assert_eq!(width(&both_ends("a👋b", "9", 10)), 10);
    }

    #[test]
    fn lines_break_between_words_and_anywhere_in_chinese() {
        assert_eq!(wrap("hello big world", 10), ["hello big", "world"]);
        assert_eq!(wrap("会话列表的行高", 6), ["会话列", "表的行", "高"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
    }

    #[test]
    fn nobody_else_steers_the_terminal() {
        assert_eq!(tamed("a\u{1b}[2J\u{202e}b"), "a[2Jb");
        assert_eq!(one_line("a\n  b\u{fe0f}"), "a b");
    }
}
