//! Text in columns: Chinese takes two, a combining mark none. Measured by what a person sees as one
//! character, as the screen is painted.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Marks on one character beyond this are left out: a tower of them reaches into other lines.
const MARKS_SHOWN: usize = 6;
/// Punctuation that does not begin a line where it can be helped.
const CLOSING: &str = "，。、！？；：）》」』】〉”’…,.!?;:)]}%";

/// Columns that a text takes.
pub fn width(text: &str) -> usize {
    if text.is_ascii() {
        return text.bytes().filter(|byte| !byte.is_ascii_control()).count();
    }
    text.graphemes(true).map(columns).sum()
}

/// Columns of what is seen as one character.
fn columns(grapheme: &str) -> usize {
    if grapheme.starts_with(char::is_control) { 0 } else { grapheme.width() }
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
    let mut used = 0;
    let room = columns.saturating_sub(1);
    for grapheme in text.graphemes(true) {
        used += self::columns(grapheme);
        if used > room {
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
        wrap_paragraph(paragraph, columns, &mut lines);
    }
    lines.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    lines
}

fn wrap_paragraph(paragraph: &str, columns: usize, lines: &mut Vec<String>) {
    let mut line = String::new();
    let mut used = 0;
    for word in paragraph.split_word_bounds() {
        let wide = width(word);
        if used + wide <= columns {
            line.push_str(word);
            used += wide;
            continue;
        }
        if word.trim().is_empty() {
            // The blank that would begin the next line is where this one ends.
            lines.push(std::mem::take(&mut line));
            used = 0;
            continue;
        }
        let carried = if CLOSING.contains(word) { last_word(&line).to_owned() } else { String::new() };
        line.truncate(line.len() - carried.len());
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        line = carried;
        used = width(&line);
        for grapheme in word.graphemes(true) {
            if used + self::columns(grapheme) > columns {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(grapheme);
            used += self::columns(grapheme);
        }
    }
    lines.push(line);
}

/// The last word of a line, if another stands before it and it is short.
fn last_word(line: &str) -> &str {
    let last = line.split_word_bounds().next_back().unwrap_or_default();
    let alone = last.len() == line.len() || last.trim().is_empty() || CLOSING.contains(last);
    if alone || width(last) > 12 { "" } else { last }
}

/// Somebody else's text as a terminal may show it: control characters as pictures, and nothing that
/// turns the direction of the text, hides in it or towers over it.
pub fn tamed(text: &str) -> String {
    let mut marks = 0;
    let mut tame = String::with_capacity(text.len());
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
        match c {
            '\n' | '\u{2028}' | '\u{2029}' => tame.push('\n'),
            '\r' => {}
            '\t' => tame.push_str("    "),
            '\u{0}'..='\u{1f}' => tame.push(picture(c)),
            '\u{7f}' => tame.push('␡'),
            c if c.is_control() => tame.push('�'),
            c if is_hidden(c) || marks > MARKS_SHOWN => {}
            c => tame.push(c),
        }
    }
    tame
}

/// What shows a control character: ␛ for the one that begins terminal sequences.
fn picture(c: char) -> char {
    char::from_u32(0x2400 + u32::from(c)).unwrap_or('�')
}

/// What has no place in a terminal: marks of direction, and what takes no room and joins nothing.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{610}'..='\u{61a}' | '\u{e31}'
        | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// The same on one line.
pub fn one_line(text: &str) -> String {
    tamed(text).split_whitespace().collect::<Vec<_>>().join(" ")
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
    fn what_is_seen_as_one_character_is_measured_as_one() {
        for (text, columns) in [
            ("👨‍👩‍👧", 2),
            ("🇨🇳", 2),
            ("❤️", 2),
            ("❤", 1),
            ("👍🏽", 2),
            ("e\u{301}", 1),
            ("한글", 4),
            ("ｱ", 1),
            ("a👩‍🚀b", 4),
        ] {
            assert_eq!(width(text), columns, "{text}");
        }
    }

    #[test]
    fn lines_break_between_words_and_anywhere_in_chinese() {
        assert_eq!(wrap("hello big world", 10), ["hello big", "world"]);
        assert_eq!(wrap("会话列表的行高", 6), ["会话列", "表的行", "高"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap("ab    cd", 3), ["ab", "cd"]);
    }

    #[test]
    fn punctuation_does_not_begin_a_line() {
        assert_eq!(wrap("行高我改，好", 8), ["行高我", "改，好"]);
        assert_eq!(wrap("one two three.", 13), ["one two", "three."]);
    }

    #[test]
    fn no_line_is_wider_than_asked() {
        let texts = [
            "一二，三！四 five，six 👨‍👩‍👧👨‍👩‍👧 …… e\u{301}e\u{301}",
            "……，，，。。。",
            "https://example.invalid/a/long/path?x=1",
        ];
        for text in texts {
            for columns in 2..30 {
                let lines = wrap(text, columns);
                assert!(lines.iter().all(|line| width(line) <= columns), "{columns}: {lines:?}");
                let kept = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                assert_eq!(kept(&lines.concat()), kept(text));
            }
        }
    }

    #[test]
    fn nobody_else_steers_the_terminal() {
        assert_eq!(tamed("a\u{1b}[2J\u{202e}b\u{9b}1m"), "a␛[2Jb�1m");
        assert_eq!(tamed("\u{2066}x\u{200b}\u{7f}\r\n"), "x␡\n");
        assert_eq!(tamed(&format!("e{}", "\u{301}".repeat(90))).chars().count(), 1 + MARKS_SHOWN);
        assert_eq!(one_line("a\n  b"), "a b");
    }
}
