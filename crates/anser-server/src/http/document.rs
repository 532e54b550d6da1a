//! The OpenAPI 3.1 document, put together from the operations.

use anser_proto::ErrorCode;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::api::Operation;
use super::error::ERROR_MESSAGE_CHARS;

/// The names of the security schemes.
pub const ACCESS_TOKEN: &str = "accessToken";
/// The same, for application servers.
pub const API_KEY: &str = "apiKey";

/// Objects with named fields have no others, wherever the types have left it open.
pub fn close_objects(schemas: &mut Map<String, Value>) {
    schemas.values_mut().for_each(close);
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_plain = !["$ref", "allOf", "oneOf", "anyOf"].iter().any(|key| fields.contains_key(*key));
            if is_plain
                && fields.get("type").is_some_and(|kind| kind == "object")
                && fields.contains_key("properties")
            {
                fields.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The whole document.
pub fn assemble(
    tags: &[(&'static str, &'static str)],
    operations: Vec<Operation>,
    mut schemas: Map<String, Value>,
) -> Value {
    let all: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    schemas.insert("Error".into(), error_schema(&all));
    let mut responses = Map::new();
    let mut paths = Map::new();
    for operation in operations {
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        let method = operation.method.as_str().to_ascii_lowercase();
        path[method] = operation_object(operation, &mut responses);
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "Anser HTTP API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Accounts, conversations, messages and sync as JSON. Ids are strings of decimal digits, \
                conversations 32 hexadecimal digits; times are milliseconds since 1970. Everything that changes \
                something carries a client id, a UUIDv7 minted by whoever asks: the same one asked again has no \
                second effect, and gets the first answer.",
        },
        "servers": [{"url": "/", "description": "This server"}],
        "tags": tags.iter().map(|(name, about)| json!({"name": name, "description": about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": responses,
            "securitySchemes": {
                ACCESS_TOKEN: {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The access token that signing in gives. It is good for 15 minutes; refresh it.",
                },
                API_KEY: {
                    "type": "http", "scheme": "bearer", "bearerFormat": "ak_ and 43 characters",
                    "description": "A key of an application server, with the scope that the operation names.",
                },
            },
        },
    })
}

fn error_schema(codes: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "additionalProperties": false,
        "properties": {"error": {
            "type": "object",
            "required": ["code", "message", "retry_after_ms"],
            "additionalProperties": false,
            "properties": {
                "code": {"type": "string", "enum": codes, "description": "A name of the error catalogue."},
                "message": {
                    "type": "string", "maxLength": ERROR_MESSAGE_CHARS,
                    "description": "For people: what is wrong and what would be right.",
                },
                "retry_after_ms": {
                    "type": "integer", "minimum": 0, "maximum": 86_400_000,
                    "description": "Wait so long before asking again; 0: waiting does not help.",
                },
            },
        }},
    })
}

fn operation_object(operation: Operation, responses: &mut Map<String, Value>) -> Value {
    let mut answers = Map::new();
    for (status, (about, schema)) in &operation.answers {
        let mut answer = json!({"description": about});
        if let Some(schema) = schema {
            answer["content"] = json!({"application/json": {"schema": schema}});
        }
        answers.insert(status.to_string(), answer);
    }
    for (status, codes) in &operation.errors {
        answers.insert(status.to_string(), refusal(*status, codes, responses));
    }
    let mut object = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": operation.security.iter().map(|name| json!({*name: []})).collect::<Vec<_>>(),
        "responses": answers,
    });
    if !operation.about.is_empty() {
        object["description"] = operation.about.into();
    }
    if !operation.parameters.is_empty() {
        object["parameters"] = operation.parameters.into();
    }
    if let Some(body) = operation.body {
        object["requestBody"] = json!({"required": true, "content": {"application/json": {"schema": body}}});
    }
    object
}

/// A refusal with one of these codes; the same ones stand in the document once.
fn refusal(status: u16, codes: &[ErrorCode], responses: &mut Map<String, Value>) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let key = format!("{status}.{}", names.join("."));
    if !responses.contains_key(&key) {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let meanings: Vec<String> =
            codes.iter().map(|code| format!("- `{code}`: {}", code.meaning())).collect();
        let about = format!("{}.\n\n{}", reason.unwrap_or("Refused"), meanings.join("\n"));
        let mut response = json!({
            "description": about,
            "content": {"application/json": {"schema": error_schema(&names)}},
        });
        if status == StatusCode::UNAUTHORIZED.as_u16() {
            let schema = json!({"type": "string", "const": "Bearer"});
            response["headers"] = json!({"WWW-Authenticate": {"schema": schema, "required": true}});
        }
        responses.insert(key.clone(), response);
    }
    json!({"$ref": format!("#/components/responses/{key}")})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_objects_are_closed() {
        let mut schemas = json!({
            "A": {"type": "object", "properties": {"b": {"type": "object", "properties": {}}}},
            "C": {"type": "object", "additionalProperties": {"type": "string"}},
            "D": {"type": "object", "properties": {}, "$ref": "#/A"},
        });
        schemas.as_object_mut().into_iter().for_each(close_objects);
        assert_eq!(schemas["A"]["additionalProperties"], false);
        assert_eq!(schemas["A"]["properties"]["b"]["additionalProperties"], false);
        assert_eq!(schemas["C"]["additionalProperties"]["type"], "string");
        assert!(schemas["D"].get("additionalProperties").is_none());
    }
}
