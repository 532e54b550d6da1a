//! The form before there is a session: signing in, or registering.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::chat::line::Line;
use crate::chat::words::Words;

/// A field of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    Server,
    Handle,
    Password,
    Name,
    Invitation,
}

/// What was filled in.
pub struct Form {
    pub words: &'static Words,
    pub registers: bool,
    /// Which field is typed in.
    pub at: usize,
    pub problem: Option<String>,
    pub busy: bool,
    lines: [Line; 5],
}

/// What a key in the form comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Pressed {
    Nothing,
    Submit,
    Quit,
}

impl Form {
    /// A form with what is known already.
    pub fn new(words: &'static Words, server: &str, handle: &str, invitation: &str) -> Form {
        let mut form = Form {
            words,
            registers: !invitation.is_empty(),
            at: 0,
            problem: None,
            busy: false,
            lines: [server, handle, "", "", invitation].map(Line::new),
        };
        form.at = form.first_blank().unwrap_or(0);
        form
    }

    /// The fields that are shown.
    pub fn fields(&self) -> &'static [Field] {
        const ALL: [Field; 5] =
            [Field::Server, Field::Handle, Field::Password, Field::Name, Field::Invitation];
        if self.registers { &ALL } else { &ALL[..3] }
    }

    /// What a field is called.
    pub fn label(&self, field: Field) -> &'static str {
        let words = &self.words.sign_in;
        match field {
            Field::Server => words.server,
            Field::Handle => words.handle,
            Field::Password => words.password,
            Field::Name => words.name,
            Field::Invitation => words.invitation,
        }
    }

    /// The line of a field.
    pub fn line(&self, field: Field) -> &Line {
        &self.lines[field as usize]
    }

    /// What was typed in a field; a password keeps its blanks.
    pub fn text(&self, field: Field) -> &str {
        let text = self.line(field).text();
        if field == Field::Password { text } else { text.trim() }
    }

    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        let text = text.lines().next().unwrap_or_default();
        self.typed().insert(text);
    }

    /// It did not work.
    pub fn refuse(&mut self, problem: String) {
        (self.busy, self.problem) = (false, Some(problem));
    }

    /// A key was pressed.
    pub fn key(&mut self, key: &KeyEvent) -> Pressed {
        let count = self.fields().len();
        match (key.modifiers, key.code) {
            (KeyModifiers::CONTROL, KeyCode::Char('c' | 'q')) => return Pressed::Quit,
            _ if self.busy => {}
            (KeyModifiers::CONTROL, KeyCode::Char('t')) => {
                self.registers = !self.registers;
                self.problem = None;
                self.at = self.first_blank().unwrap_or(0);
            }
            (_, KeyCode::Tab | KeyCode::Down) => self.at = (self.at + 1) % count,
            (_, KeyCode::BackTab | KeyCode::Up) => self.at = (self.at + count - 1) % count,
            (_, KeyCode::Enter) => return self.enter(),
            _ => {
                self.typed().key(key);
            }
        }
        Pressed::Nothing
    }

    fn typed(&mut self) -> &mut Line {
        let field = self.fields()[self.at.min(self.fields().len() - 1)];
        &mut self.lines[field as usize]
    }

    /// Goes on to the next field, and from the last one to the server.
    fn enter(&mut self) -> Pressed {
        if self.at + 1 < self.fields().len() {
            self.at += 1;
            return Pressed::Nothing;
        }
        if let Some(blank) = self.first_blank() {
            self.at = blank;
            self.problem = Some((self.words.sign_in.fill)(self.label(self.fields()[blank])));
            return Pressed::Nothing;
        }
        (self.busy, self.problem) = (true, None);
        Pressed::Submit
    }

    /// The first field that must not stay empty. Nobody needs an invitation everywhere.
    fn first_blank(&self) -> Option<usize> {
        let fields = self.fields().iter();
        let needed = |field: &Field| !matches!(field, Field::Invitation | Field::Name);
        fields.clone().position(|field| needed(field) && self.text(*field).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::words::EN;

    fn type_in(form: &mut Form, text: &str) -> Pressed {
        form.paste(text);
        form.key(&KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE))
    }

    #[test]
    fn enter_goes_through_the_fields_and_submits() {
        let mut form = Form::new(&EN, "http://127.0.0.1:7700", "", "");
        assert_eq!(form.fields()[form.at], Field::Handle);
        assert_eq!(type_in(&mut form, "li_lei"), Pressed::Nothing);
        assert_eq!(type_in(&mut form, "secret words"), Pressed::Submit);
        assert!(form.busy);
        form.refuse("wrong".to_owned());
        assert_eq!((form.text(Field::Handle), form.busy), ("li_lei", false));
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut form = Form::new(&EN, "x", "", "code");
        assert!(form.registers);
        form.at = 4;
        assert_eq!(form.key(&KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE)), Pressed::Nothing);
        assert_eq!(form.problem.as_deref(), Some("Please fill in: Handle"));
    }
}
