//! `data/errors.json` to the enum `ErrorCode`.

use std::fmt::Write;

use serde_json::Value;

const NEEDS: &str = "each error needs code, retry, closes and meaning";

/// The source of `ErrorCode` and `Retry`.
pub fn generate(catalogue: &Value) -> Result<String, Box<dyn std::error::Error>> {
    let classes = catalogue["retry_classes"].as_object().ok_or("retry_classes must be an object")?;
    let mut retry = String::from(
        "/// Whether, and how, asking again can help.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub enum Retry {\n",
    );
    for (name, meaning) in classes {
        let meaning = meaning.as_str().ok_or("a retry class needs a meaning")?;
        writeln!(retry, "    /// {meaning}\n    {},", camel(name))?;
    }
    retry.push_str("}\n");
    let names = classes.keys().map(|name| (camel(name), name.clone())).collect::<Vec<_>>();
    write_lookup(&mut retry, "Retry", "The name in the catalogue.", "as_str", &names)?;
    let meanings = classes
        .iter()
        .map(|(name, meaning)| (camel(name), meaning.as_str().unwrap_or_default().to_owned()))
        .collect::<Vec<_>>();
    write_lookup(&mut retry, "Retry", "What to do.", "meaning", &meanings)?;
    write_all(&mut retry, "Retry", &names)?;

    let mut out = retry;
    out.push_str(
        "/// Why a request was refused, or a connection ended.\n#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]\npub enum ErrorCode {\n",
    );
    let mut codes = Vec::new();
    let mut meanings = Vec::new();
    let (mut retries, mut closing) = (String::new(), String::new());
    for error in catalogue["errors"].as_array().ok_or("errors must be a list")? {
        let code = error["code"].as_str().ok_or(NEEDS)?;
        let meaning = error["meaning"].as_str().ok_or(NEEDS)?;
        let class = error["retry"].as_str().ok_or(NEEDS)?;
        if !classes.contains_key(class) {
            return Err(format!("{code}: no such retry class: {class}").into());
        }
        let variant = camel(code);
        writeln!(out, "    /// {meaning}\n    {variant},")?;
        writeln!(retries, "            Self::{variant} => Retry::{},", camel(class))?;
        let closes = error["closes"].as_bool().ok_or(NEEDS)?;
        writeln!(closing, "            Self::{variant} => {closes},")?;
        codes.push((variant.clone(), code.to_owned()));
        meanings.push((variant, meaning.to_owned()));
    }
    out.push_str("}\n");
    write_lookup(&mut out, "ErrorCode", "The code on the wire.", "as_str", &codes)?;
    write_lookup(&mut out, "ErrorCode", "What it says, for people.", "meaning", &meanings)?;
    write_all(&mut out, "ErrorCode", &codes)?;
    writeln!(
        out,
        "impl ErrorCode {{
    /// Whether, and how, asking again can help.
    pub const fn retry(self) -> Retry {{
        match self {{\n{retries}        }}
    }}

    /// Whether the server closes the connection after it.
    #[allow(clippy::match_like_matches_macro)]
    pub const fn closes(self) -> bool {{
        match self {{\n{closing}        }}
    }}
}}"
    )?;
    Ok(out)
}

fn write_lookup(
    out: &mut String,
    of: &str,
    doc: &str,
    name: &str,
    arms: &[(String, String)],
) -> std::fmt::Result {
    writeln!(
        out,
        "impl {of} {{\n    /// {doc}\n    pub const fn {name}(self) -> &'static str {{\n        match self {{"
    )?;
    for (variant, text) in arms {
        writeln!(out, "            Self::{variant} => {text:?},")?;
    }
    writeln!(out, "        }}\n    }}\n}}")
}

fn write_all(out: &mut String, of: &str, variants: &[(String, String)]) -> std::fmt::Result {
    let list = variants.iter().map(|(name, _)| format!("{of}::{name}")).collect::<Vec<_>>();
    writeln!(
        out,
        "impl {of} {{\n    /// All of them, in the catalogue's order.\n    pub const ALL: &[{of}] = &[{}];\n}}",
        list.join(", ")
    )
}

fn camel(snake: &str) -> String {
    let mut out = String::new();
    for word in snake.split('_') {
        let mut letters = word.chars();
        out.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}
