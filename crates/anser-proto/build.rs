//! Turns the schema and the error catalogue into Rust: `v1` types with their JSON form, `ErrorCode`,
//! and the schema's own documentation as data.

#[path = "build/catalogue.rs"]
mod catalogue;
#[path = "build/schema_doc.rs"]
mod schema_doc;

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

const SCHEMA: &str = "schema/anser/v1/client.proto";
const CATALOGUE: &str = "data/errors.json";

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["build.rs", "build", SCHEMA, CATALOGUE] {
        println!("cargo:rerun-if-changed={input}");
    }
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let descriptors = protox::compile([SCHEMA], ["schema"])?;

    prost_build::Config::new()
        .out_dir(&out)
        .bytes(["."])
        .btree_map(["."])
        .compile_fds(descriptors.clone())?;
    write_json_form(&out, &descriptors.encode_to_vec())?;
    std::fs::write(out.join("schema_doc.rs"), schema_doc::generate(&descriptors))?;

    let catalogue = std::fs::read_to_string(CATALOGUE)?;
    std::fs::write(out.join("errors.rs"), catalogue::generate(&serde_json::from_str(&catalogue)?)?)?;
    Ok(())
}

/// Writes the serde form. Both sides tolerate what they do not know: a reader skips unknown fields and
/// takes an unknown enum value for the unspecified one; a writer that holds an unknown number (it came
/// in binary from a newer peer) writes the unspecified value too, where pbjson would fail.
fn write_json_form(out: &Path, descriptors: &[u8]) -> Result<(), Box<dyn Error>> {
    let path = out.join("anser.v1.serde.rs");
    pbjson_build::Builder::new()
        .register_descriptors(descriptors)?
        .ignore_unknown_fields()
        .ignore_unknown_enum_variants()
        .btree_map(["."])
        .out_dir(out)
        .build(&["."])?;
    // A variant named SELF is `Self_` to prost; pbjson forgets the keyword when it writes it.
    let code =
        std::fs::read_to_string(&path)?.replace("::Self =>", "::Self_ =>").replace("::Self)", "::Self_)");
    let mut lines = Vec::new();
    for line in code.lines() {
        match line.find(".map_err(|_| serde::ser::Error::custom(format!(\"Invalid variant") {
            Some(fallible) => lines.push(format!("{}.unwrap_or_default();", &line[..fallible])),
            None => lines.push(line.to_owned()),
        }
    }
    std::fs::write(path, lines.join("\n"))?;
    Ok(())
}
