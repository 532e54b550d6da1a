//! `docs/openapi.json` is what the code says, and says something of every value. `ANSER_WRITE=1` rewrites it.

use std::collections::BTreeSet;

use anser_server::http::openapi;
use serde_json::Value;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

fn document() -> Value {
    serde_json::from_str(&openapi()).expect("the document is JSON")
}

#[test]
fn the_document_is_what_the_code_says() {
    let now = openapi();
    if std::env::var_os("ANSER_WRITE").is_some() {
        std::fs::write(DOCUMENT, &now).expect("the document can be written");
    }
    let current = std::fs::read_to_string(DOCUMENT).unwrap_or_default();
    assert!(now == current, "run this test with ANSER_WRITE=1");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    each(&document, "", &mut |at, value| {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').expect("nothing lies elsewhere");
            assert!(document.pointer(pointer).is_some(), "{at}: {reference}");
        }
    });
}

#[test]
fn every_operation_says_who_may_and_what_may_come() {
    let document = document();
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in item.as_object().expect("a path has operations") {
            let what = format!("{method} {path}");
            assert!(
                ids.insert(operation["operationId"].as_str().expect("it has a name").to_owned()),
                "{what}"
            );
            assert!(operation["security"].is_array() && operation["summary"].is_string(), "{what}");
            let answers = operation["responses"].as_object().expect("it answers");
            let of_class = |class: char| answers.keys().filter(|status| status.starts_with(class)).count();
            assert_eq!(of_class('2'), 1, "{what}");
            assert!(of_class('4') > 0 && of_class('5') > 0, "{what}");
            assert_eq!(
                answers.contains_key("401"),
                operation["security"][0].is_object() || is_entrance(path),
                "{what}"
            );
        }
    }
    assert!(ids.len() > 20, "{ids:?}");
}

/// Where one shows who one is by other means than a header.
fn is_entrance(path: &str) -> bool {
    ["/api/v1/sign-in", "/api/v1/refresh"].contains(&path)
}

/// Everything that is sent or answered is typed, with limits.
#[test]
fn no_value_is_untyped() {
    let document = document();
    let mut schemas = 0;
    each_schema(
        &document["components"]["schemas"],
        &document["paths"],
        &document["components"]["responses"],
        &mut |at, schema| {
            schemas += 1;
            typed(at, schema);
        },
    );
    assert!(schemas > 100, "{schemas}");
}

fn typed(at: &str, schema: &Value) {
    // What custom messages are made of is whatever JSON their authors like, and says so.
    if at == "JsonValue" {
        return assert_eq!(schema["type"].as_array().map(Vec::len), Some(6), "{schema}");
    }
    let fields = schema.as_object().unwrap_or_else(|| panic!("{at} says nothing: {schema}"));
    let says =
        ["type", "$ref", "const", "enum", "oneOf", "anyOf"].iter().any(|key| fields.contains_key(*key));
    assert!(says, "{at} is untyped: {schema}");
    let kinds: Vec<&str> = match &fields.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let named = fields.contains_key("const") || fields.contains_key("enum");
    if kinds.contains(&"object") {
        let open = fields.get("additionalProperties").is_none_or(|more| more == &Value::Bool(true));
        assert!(!open, "{at} takes whatever comes");
        assert!(
            fields.contains_key("properties") || fields["additionalProperties"].is_object(),
            "{at} has no fields"
        );
    }
    if kinds.contains(&"array") {
        assert!(fields.contains_key("items") && fields.contains_key("maxItems"), "{at} has no end");
    }
    if kinds.contains(&"string") && !named {
        assert!(fields.contains_key("maxLength"), "{at} has no end");
    }
    if kinds.contains(&"integer") {
        assert!(fields.contains_key("minimum") && fields.contains_key("maximum"), "{at} has no bounds");
    }
}

/// Visits every schema of the document.
fn each_schema(schemas: &Value, paths: &Value, responses: &Value, visit: &mut impl FnMut(&str, &Value)) {
    for (name, schema) in schemas.as_object().expect("there are schemas") {
        each_subschema(name, schema, visit);
    }
    for root in [paths, responses] {
        each(root, "", &mut |at, value| {
            if let Some(schema) = value.get("schema") {
                each_subschema(&format!("{at}/schema"), schema, visit);
            }
        });
    }
}

fn each_subschema(at: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(at, schema);
    for key in ["properties", "oneOf", "anyOf"] {
        match &schema[key] {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, field)| each_subschema(&format!("{at}/{name}"), field, visit));
            }
            Value::Array(choices) => {
                choices
                    .iter()
                    .enumerate()
                    .for_each(|(n, choice)| each_subschema(&format!("{at}/{key}{n}"), choice, visit));
            }
            _ => {}
        }
    }
    for key in ["items", "additionalProperties"] {
        if schema[key].is_object() {
            each_subschema(&format!("{at}/{key}"), &schema[key], visit);
        }
    }
}

/// Visits every value below `value`.
fn each(value: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(at, value);
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| each(field, &format!("{at}/{name}"), visit));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| each(item, &format!("{at}/{n}"), visit));
        }
        _ => {}
    }
}
