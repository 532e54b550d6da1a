//! Colours: what each part of the screen looks like, in four themes.

use ratatui::style::{Color, Modifier, Style};

/// Which theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ThemeName {
    /// What the environment suggests
    Auto,
    /// Light text on dark paper
    Dark,
    /// Dark text on light paper
    Light,
    /// The terminal's own sixteen colours, on its own paper
    Terminal,
    /// No colours
    Plain,
}

/// The looks of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub name: ThemeName,
    /// Everything that nothing else is said of.
    pub text: Style,
    pub muted: Style,
    /// Rules and borders.
    pub line: Style,
    pub accent: Style,
    pub danger: Style,
    /// Who is there.
    pub present: Style,
    pub bold: Style,
    /// What a click or a key would act on.
    pub chosen: Style,
    /// What was searched for.
    pub found: Style,
    /// The text of a button or badge on the accent.
    pub badge: Style,
}

const fn rgb(number: u32) -> Color {
    Color::Rgb((number >> 16) as u8, (number >> 8) as u8, number as u8)
}

const fn fg(color: Color) -> Style {
    Style::new().fg(color)
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// The tokens of the product's dark theme.
static DARK: Theme = Theme {
    name: ThemeName::Dark,
    text: fg(rgb(0xE8_EC_EF)).bg(rgb(0x10_14_18)),
    muted: fg(rgb(0xA3_AE_B7)),
    line: fg(rgb(0x3A_44_4D)),
    accent: fg(rgb(0x6F_C0_DA)),
    danger: fg(rgb(0xFF_9A_8B)),
    present: fg(rgb(0x7F_C8_9B)),
    bold: BOLD,
    chosen: Style::new().bg(rgb(0x1F_3A_47)),
    found: fg(rgb(0x0C_1B_21)).bg(rgb(0x6F_C0_DA)),
    badge: fg(rgb(0x0C_1B_21)).bg(rgb(0x6F_C0_DA)),
};

/// The tokens of its light one.
static LIGHT: Theme = Theme {
    name: ThemeName::Light,
    text: fg(rgb(0x1B_21_27)).bg(rgb(0xF6_F7_F9)),
    muted: fg(rgb(0x56_61_6B)),
    line: fg(rgb(0xC4_CB_D2)),
    accent: fg(rgb(0x1F_6F_8B)),
    danger: fg(rgb(0xB8_32_27)),
    present: fg(rgb(0x1E_6B_3C)),
    bold: BOLD,
    chosen: Style::new().bg(rgb(0xE3_EE_F5)),
    found: fg(rgb(0xFF_FF_FF)).bg(rgb(0x1F_6F_8B)),
    badge: fg(rgb(0xFF_FF_FF)).bg(rgb(0x1F_6F_8B)),
};

static TERMINAL: Theme = Theme {
    name: ThemeName::Terminal,
    text: Style::new(),
    muted: Style::new().add_modifier(Modifier::DIM),
    line: Style::new().add_modifier(Modifier::DIM),
    accent: fg(Color::Cyan),
    danger: fg(Color::Red),
    present: fg(Color::Green),
    bold: BOLD,
    chosen: Style::new().add_modifier(Modifier::REVERSED),
    found: Style::new().add_modifier(Modifier::REVERSED),
    badge: fg(Color::Cyan).add_modifier(Modifier::REVERSED),
};

static PLAIN: Theme = Theme {
    name: ThemeName::Plain,
    text: Style::new(),
    muted: Style::new(),
    line: Style::new(),
    accent: BOLD,
    danger: BOLD,
    present: Style::new(),
    bold: BOLD,
    chosen: Style::new().add_modifier(Modifier::REVERSED),
    found: Style::new().add_modifier(Modifier::REVERSED),
    badge: Style::new().add_modifier(Modifier::REVERSED),
};

impl Theme {
    /// The theme of this name; `variable` reads the environment.
    pub fn named(name: ThemeName, variable: impl Fn(&str) -> Option<String>) -> &'static Theme {
        match name {
            ThemeName::Auto => Theme::suggested(variable),
            ThemeName::Dark => &DARK,
            ThemeName::Light => &LIGHT,
            ThemeName::Terminal => &TERMINAL,
            ThemeName::Plain => &PLAIN,
        }
    }

    /// The next one, for who tries them.
    pub fn next(&self) -> &'static Theme {
        match self.name {
            ThemeName::Dark => &LIGHT,
            ThemeName::Light => &TERMINAL,
            ThemeName::Terminal => &PLAIN,
            ThemeName::Plain | ThemeName::Auto => &DARK,
        }
    }

    /// No colours where none are wanted (<https://no-color.org>); the product's where the terminal can show
    /// them, light on what says that it is light; else the terminal's own.
    fn suggested(variable: impl Fn(&str) -> Option<String>) -> &'static Theme {
        let said = |name: &str| variable(name).filter(|value| !value.is_empty());
        if said("NO_COLOR").is_some() || said("TERM").is_some_and(|term| term == "dumb") {
            return &PLAIN;
        }
        if !said("COLORTERM").is_some_and(|colours| colours == "truecolor" || colours == "24bit") {
            return &TERMINAL;
        }
        // "15;0": the last number is the colour of the paper, and 7 and above are light but for 8.
        let paper = said("COLORFGBG").and_then(|both| both.rsplit(';').next()?.parse::<u8>().ok());
        match paper {
            Some(7 | 9..) => &LIGHT,
            _ => &DARK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggested(variables: &[(&str, &str)]) -> ThemeName {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|it| it.1.to_owned());
        Theme::named(ThemeName::Auto, find).name
    }

    #[test]
    fn the_environment_suggests() {
        assert_eq!(suggested(&[]), ThemeName::Terminal);
        assert_eq!(suggested(&[("COLORTERM", "truecolor")]), ThemeName::Dark);
        assert_eq!(suggested(&[("COLORTERM", "24bit"), ("COLORFGBG", "0;15")]), ThemeName::Light);
        assert_eq!(suggested(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), ThemeName::Plain);
        assert_eq!(suggested(&[("COLORTERM", "truecolor"), ("NO_COLOR", "")]), ThemeName::Dark);
        assert_eq!(suggested(&[("TERM", "dumb")]), ThemeName::Plain);
    }

    /// Relative luminance, as WCAG 2.1 defines it.
    fn luminance(color: Color) -> f64 {
        let Color::Rgb(r, g, b) = color else { panic!("{color} is no colour of a token") };
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.03928 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
    }

    fn contrast(one: Color, other: Color) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_everything_it_stands_on() {
        for theme in [DARK, LIGHT] {
            let paper = theme.text.bg.unwrap();
            let text = theme.text.fg.unwrap();
            for style in [theme.text, theme.muted, theme.accent, theme.danger, theme.present] {
                for ground in [paper, theme.chosen.bg.unwrap()] {
                    let ratio = contrast(style.fg.unwrap(), ground);
                    assert!(ratio >= 4.5, "{:?}: {:?} on {ground}: {ratio:.2}", theme.name, style.fg);
                }
            }
            for style in [theme.found, theme.badge] {
                assert!(contrast(style.fg.unwrap(), style.bg.unwrap()) >= 4.5);
            }
            assert!(contrast(text, theme.chosen.bg.unwrap()) >= 7.0);
        }
    }

    #[test]
    fn every_theme_comes_round() {
        let mut theme = &DARK;
        for expected in [ThemeName::Light, ThemeName::Terminal, ThemeName::Plain, ThemeName::Dark] {
            theme = theme.next();
            assert_eq!(theme.name, expected);
        }
    }
}
