//! Messages through their JSON form, and the schemas of bodies beside the check of bodies.

use super::*;

fn sent(message: Value) -> Result<v1::Message, ApiError> {
    serde_json::from_value::<MessageToSend>(message).expect("its fields are known").wire()
}

fn shown(message: v1::Message) -> Value {
    serde_json::to_value(MessageBody::from(message)).expect("it is written")
}

#[test]
fn a_message_is_shown_as_it_was_sent() {
    let location = json!({"latitude": 31.2304, "longitude": 121.4737, "name": "上海"});
    for said in [
        json!({"kind": "text", "text": "你好"}),
        json!({"kind": "location", "text": "[location]", "body": location}),
        json!({"kind": "custom", "body": {"a": [1, -2.5, null, {"b": "鸿雁"}]}}),
        json!({"kind": "x-sticker", "text": "[sticker]", "body": "/+8A"}),
        json!({"kind": "x-wave"}),
    ] {
        let shown = shown(sent(said.clone()).expect("it is right"));
        for (field, value) in said.as_object().expect("an object") {
            assert_eq!(shown[field], *value, "{said}");
        }
        assert_eq!(shown.get("text").is_some(), said.get("text").is_some(), "{said}");
    }
    let stored = sent(json!({"kind": "custom", "body": {"b": 1, "a": 2}})).expect("it is right").body;
    let again = sent(json!({"kind": "custom", "body": {"a": 2, "b": 1}})).expect("it is right").body;
    assert_eq!(stored, again, "the order of fields is nobody's intent: a repetition is one");
}

#[test]
fn a_body_that_is_not_what_its_kind_says_is_shown_as_bytes() {
    let message = v1::Message { kind: "card".into(), body: vec![0xff].into(), ..v1::Message::default() };
    assert_eq!(shown(message)["body"], "/w==");
    let message = v1::Message { kind: "card".into(), recalled: true, ..v1::Message::default() };
    assert_eq!(shown(message).get("body"), None);
}

#[test]
fn whole_numbers_are_taken_in_every_form() {
    let place =
        json!({"file": "f", "mime": "audio/ogg", "bytes": 9.0, "duration_ms": 1e3, "waveform": [1.0]});
    let sent = sent(json!({"kind": "voice", "body": place})).expect("they are whole");
    let body: Value = serde_json::from_slice(&sent.body).expect("JSON");
    assert_eq!(
        (&body["bytes"], &body["duration_ms"], &body["waveform"]),
        (&json!(9), &json!(1_000), &json!([1]))
    );
    let null = serde_json::from_value::<MessageToSend>(json!({"kind": "x-wave", "body": null}));
    assert!(null.expect("its fields are known").wire().is_err(), "null is no base64");
}

/// What the schema of a body allows at its ends, the check of bodies takes, and nothing of another shape.
#[test]
fn the_schemas_of_bodies_are_what_is_checked() {
    let mut kinds = standard_kinds();
    kinds.push((TRANSCRIPT, "", transcript()));
    for (kind, _, schema) in kinds {
        let fields = schema["properties"].as_object().expect("fields");
        for ends in [least, most] {
            let body: Map<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), ends(field))).collect();
            let take =
                |body: &Map<String, Value>| bodies::check(kind, &serde_json::to_vec(body).expect("JSON"));
            assert_eq!(take(&body), Ok(()), "{kind}: {body:?}");
            for name in fields.keys() {
                let mut without = body.clone();
                without.remove(name);
                let needed = schema["required"].as_array().expect("a list").contains(&json!(name));
                assert_eq!(take(&without).is_err(), needed, "{kind} without {name}");
                let mut other = body.clone();
                other.insert(name.clone(), json!({"of": "another shape"}));
                assert!(take(&other).is_err(), "{kind} with another {name}");
            }
            let mut more = body.clone();
            more.insert("more".into(), json!(1));
            assert!(take(&more).is_err(), "{kind} with more");
        }
    }
}

/// The smallest thing that a schema of a body allows.
fn least(schema: &Value) -> Value {
    if schema["anyOf"].is_array() {
        return Value::Null;
    }
    made(schema, "minLength", "minimum", "minItems", least)
}

/// The largest thing.
fn most(schema: &Value) -> Value {
    match schema["anyOf"].get(0) {
        Some(there) => most(there),
        None => made(schema, "maxLength", "maximum", "maxItems", most),
    }
}

fn made(schema: &Value, length: &str, number: &str, items: &str, ends: fn(&Value) -> Value) -> Value {
    if let Some(choices) = schema["oneOf"].as_array() {
        return ends(&choices[0]);
    }
    if let Some(only) = schema.get("const") {
        return only.clone();
    }
    if schema["$ref"] == "#/components/schemas/Account" {
        return json!("7");
    }
    match schema["type"].as_str().expect("a type") {
        "string" => {
            let prefix = ["image/", "audio/", "video/"].into_iter().find(|kind| {
                schema["pattern"].as_str().is_some_and(|pattern| pattern.starts_with(&format!("^{kind}")))
            });
            let is_mime = schema["pattern"].as_str().is_some_and(|pattern| pattern.contains(MIME_PART));
            let prefix = prefix.unwrap_or(if is_mime { "a/" } else { "" });
            let length = schema[length].as_u64().unwrap_or(1).min(20_000) as usize;
            json!(format!("{prefix}{}", "x".repeat(length.saturating_sub(prefix.len()).max(1))))
        }
        "integer" | "number" => schema[number].clone(),
        "array" => {
            let count = schema[items].as_u64().unwrap_or(0).min(2);
            json!((0..count).map(|_| ends(&schema["items"])).collect::<Vec<_>>())
        }
        "object" => {
            let fields = schema["properties"].as_object().expect("fields").iter();
            json!(fields.map(|(name, field)| (name.clone(), ends(field))).collect::<Map<_, _>>())
        }
        other => panic!("no body holds a {other}"),
    }
}

#[test]
fn every_kind_has_its_schema() {
    let mut schemas = schemars::generate::SchemaSettings::draft2020_12().into_generator();
    let schema = MessageToSend::json_schema(&mut schemas);
    let mapping = schema.get("discriminator").and_then(|it| it["mapping"].as_object()).expect("a mapping");
    assert_eq!(mapping.len(), standard_kinds().len() + 3, "and text, transcript and custom");
    let choices = schema.get("oneOf").and_then(Value::as_array).expect("choices");
    assert_eq!(choices.len(), mapping.len() + 1, "and all other kinds");
    for kind in mapping.keys().filter(|kind| *kind != TEXT) {
        assert!(is_standard(kind), "{kind}");
    }
}
