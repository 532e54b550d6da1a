//! The schema's messages, fields and comments as Rust data.

use std::collections::HashMap;
use std::fmt::Write;

use protox::prost_reflect::prost_types::field_descriptor_proto::{Label, Type};
use protox::prost_reflect::prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet,
};

// Field numbers in descriptor.proto, of which the paths of comments are made.
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const MESSAGE_FIELDS: i32 = 2;
const ENUM_VALUES: i32 = 2;

/// The source of the constants `MESSAGES` and `ENUMS`.
pub fn generate(set: &FileDescriptorSet) -> String {
    let file =
        set.file.iter().find(|file| file.package() == "anser.v1").expect("the schema is package anser.v1");
    let comments = comments(file);
    let comment = |path: &[i32]| comments.get(path).cloned().unwrap_or_default();
    let mut out = String::from("const MESSAGES: &[MessageDoc] = &[\n");
    for (index, message) in file.message_type.iter().enumerate() {
        let at = [FILE_MESSAGES, index as i32];
        let _ = writeln!(
            out,
            "    MessageDoc {{ name: {:?}, comment: {:?}, fields: &[",
            message.name(),
            comment(&at)
        );
        for (index, field) in message.field.iter().enumerate() {
            let _ = writeln!(
                out,
                "        FieldDoc {{ json: {:?}, number: {}, kind: {:?}, one_of: {:?}, comment: {:?} }},",
                field.json_name(),
                field.number(),
                kind(message, field),
                one_of(message, field),
                comment(&[at[0], at[1], MESSAGE_FIELDS, index as i32])
            );
        }
        out.push_str("    ] },\n");
    }
    out.push_str("];\nconst ENUMS: &[EnumDoc] = &[\n");
    for (index, described) in file.enum_type.iter().enumerate() {
        let at = [FILE_ENUMS, index as i32];
        let _ = writeln!(out, "    EnumDoc {{ name: {:?}, values: &[", described.name());
        for (index, value) in described.value.iter().enumerate() {
            let comment = comment(&[at[0], at[1], ENUM_VALUES, index as i32]);
            let _ = writeln!(out, "        ({:?}, {}, {comment:?}),", value.name(), value.number());
        }
        out.push_str("    ] },\n");
    }
    out.push_str("];\n");
    out
}

fn comments(file: &FileDescriptorProto) -> HashMap<Vec<i32>, String> {
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    locations
        .map(|location| {
            let lines = location.leading_comments().lines().map(str::trim).collect::<Vec<_>>();
            (location.path.clone(), lines.join(" ").trim().to_owned())
        })
        .collect()
}

fn one_of<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> &'a str {
    field.oneof_index.map_or("", |index| message.oneof_decl[index as usize].name())
}

/// How the table names the type of a field: `uint64`, `[Head]`, `{uint32: uint64}`.
fn kind(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let name = match field.r#type() {
        Type::Message | Type::Enum => {
            let name = field.type_name().rsplit('.').next().unwrap_or_default().to_owned();
            match message.nested_type.iter().find(|nested| nested.name() == name) {
                Some(entry) => {
                    return format!("{{{}: {}}}", kind(entry, &entry.field[0]), kind(entry, &entry.field[1]));
                }
                None => name,
            }
        }
        scalar => scalar.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    if field.label() == Label::Repeated { format!("[{name}]") } else { name }
}
