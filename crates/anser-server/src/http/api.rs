//! The routes, and the OpenAPI document that follows from them: what a handler takes and answers says what
//! stands in the document, so neither can be changed without the other.

use std::collections::BTreeMap;
use std::future::Future;

use anser_proto::ErrorCode;
use axum::Json;
use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::document;
use super::error::status;
use super::{ApiError, HttpState};

/// Where every operation lies.
pub const BASE: &str = "/api/v1";
/// What any operation may be refused with.
const ANY: &[ErrorCode] = &[
    ErrorCode::BadValue,
    ErrorCode::RateLimited,
    ErrorCode::StorageFull,
    ErrorCode::Overloaded,
    ErrorCode::Unavailable,
    ErrorCode::UnknownOutcome,
    ErrorCode::Draining,
    ErrorCode::Internal,
];

/// One operation as the document shows it.
pub struct Operation {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) about: String,
    /// Names of the security schemes of which one is needed.
    pub(super) security: Vec<&'static str>,
    pub(super) parameters: Vec<Value>,
    pub(super) body: Option<Schema>,
    /// Status, what it means, and what comes with it.
    pub(super) answers: BTreeMap<u16, (&'static str, Option<Schema>)>,
    /// What it may be refused with, by status.
    pub(super) errors: BTreeMap<u16, Vec<ErrorCode>>,
}

impl Operation {
    /// More than the summary says.
    pub fn about(&mut self, about: &str) -> &mut Self {
        self.about = about.to_owned();
        self
    }

    /// What it may be refused with, besides what its parts may.
    pub fn fails(&mut self, codes: &[ErrorCode]) -> &mut Self {
        for &code in codes {
            self.fails_as(status(code), code);
        }
        self
    }

    /// The same, where the status does not follow from the code.
    pub fn fails_as(&mut self, status: StatusCode, code: ErrorCode) -> &mut Self {
        let codes = self.errors.entry(status.as_u16()).or_default();
        if !codes.contains(&code) {
            codes.push(code);
            codes.sort_unstable_by_key(|code| code.as_str());
        }
        self
    }

    /// Which parameters its address may carry.
    fn queries(&self) -> Vec<String> {
        let queries = self.parameters.iter().filter(|parameter| parameter["in"] == "query");
        queries.filter_map(|parameter| Some(parameter["name"].as_str()?.to_owned())).collect()
    }

    /// The fields of `T` as parameters that stand in `place`.
    pub(super) fn parameters<T: JsonSchema>(&mut self, place: &str, schemas: &mut SchemaGenerator) {
        let schema = T::json_schema(schemas);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        for (name, mut field) in fields {
            let mut parameter =
                json!({"name": name, "in": place, "required": required.contains(&name.as_str())});
            if let Some(about) = field.as_object_mut().and_then(|field| field.remove("description")) {
                parameter["description"] = about;
            }
            parameter["schema"] = without_null(field);
            self.parameters.push(parameter);
        }
    }
}

/// The schema of something that is left out of an address where it is not there.
fn without_null(mut schema: Value) -> Value {
    let is_null = |choice: &Value| choice["type"] == "null";
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([only, null] | [null, only]) if is_null(null) && !is_null(only) => only.clone(),
        _ => {
            if schema["default"].is_null()
                && let Some(fields) = schema.as_object_mut()
            {
                fields.remove("default");
            }
            schema
        }
    }
}

/// What a handler takes, as the document shows it.
pub trait Part {
    /// Adds what it asks of a request, and what it may refuse.
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

impl Part for State<HttpState> {
    fn describe(_: &mut Operation, _: &mut SchemaGenerator) {}
}

impl<P: Part> Part for Result<P, ApiError> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        P::describe(operation, schemas);
    }
}

/// What a handler answers, as the document shows it.
pub trait Outcome {
    /// Adds its statuses.
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

impl<T: Outcome> Outcome for Result<T, ApiError> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        T::describe(operation, schemas);
    }
}

impl<T: JsonSchema> Outcome for Json<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers.insert(200, ("Done.", Some(schemas.subschema_for::<T>())));
    }
}

/// Something came to be.
pub struct Created<T>(pub T);

impl<T: serde::Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Outcome for Created<T> {
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
        operation.answers.insert(201, ("It came to be.", Some(schemas.subschema_for::<T>())));
    }
}

/// It is so, and there is nothing to say of it.
pub struct Nothing;

impl IntoResponse for Nothing {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Outcome for Nothing {
    fn describe(operation: &mut Operation, _: &mut SchemaGenerator) {
        operation.answers.insert(204, ("Done; there is nothing to say of it.", None));
    }
}

/// A handler whose parts `Parts` and outcome describe themselves.
pub trait Described<Parts> {
    /// Adds all of them.
    fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator);
}

macro_rules! described {
    ($($part:ident),*) => {
        impl<F, Out, $($part),*> Described<($($part,)*)> for F
        where
            F: Fn($($part),*) -> Out,
            Out: Future<Output: Outcome>,
            $($part: Part,)*
        {
            fn describe(operation: &mut Operation, schemas: &mut SchemaGenerator) {
                $($part::describe(operation, schemas);)*
                <Out::Output as Outcome>::describe(operation, schemas);
            }
        }
    };
}
described!(A, B);
described!(A, B, C);
described!(A, B, C, D);

/// Routes and document, while both grow.
pub struct Api {
    router: Router<HttpState>,
    schemas: SchemaGenerator,
    tags: Vec<(&'static str, &'static str)>,
    operations: Vec<Operation>,
}

impl Api {
    /// Without any operation.
    pub fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        });
        let schemas = settings.into_generator();
        Api { router: Router::new(), schemas, tags: Vec::new(), operations: Vec::new() }
    }

    /// The operations that follow belong together.
    pub fn section(&mut self, tag: &'static str, about: &'static str) {
        self.tags.push((tag, about));
    }

    /// Adds an operation.
    pub fn on<H, T, Parts>(
        &mut self,
        (method, path): (Method, &str),
        (id, summary): (&'static str, &'static str),
        handler: H,
    ) -> &mut Operation
    where
        H: Handler<T, HttpState> + Described<Parts>,
        T: 'static,
    {
        let (tag, _) = *self.tags.last().expect("every operation stands in a section");
        let mut operation = Operation {
            method: method.clone(),
            path: format!("{BASE}{path}"),
            id,
            tag,
            summary,
            about: String::new(),
            security: Vec::new(),
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            errors: BTreeMap::new(),
        };
        operation.fails(ANY);
        H::describe(&mut operation, &mut self.schemas);
        let known = operation.queries();
        let filter = MethodFilter::try_from(method).expect("a method that routes know");
        let only = from_fn(move |request: Request, next: Next| {
            let unknown = unknown_query(request.uri().query(), &known);
            async move {
                match unknown {
                    Some(what) => ApiError::new(ErrorCode::BadValue, what).into_response(),
                    None => next.run(request).await,
                }
            }
        });
        let route = MethodRouter::new().on(filter, handler).route_layer(only);
        self.router = std::mem::take(&mut self.router).route(&operation.path, route);
        self.operations.push(operation);
        self.operations.last_mut().expect("it was just added")
    }

    /// The routes, and the document.
    pub fn finish(mut self) -> (Router<HttpState>, Value) {
        let mut schemas = self.schemas.take_definitions(true);
        document::close_objects(&mut schemas);
        let document = document::assemble(&self.tags, self.operations, schemas);
        (self.router, document)
    }
}

/// What is wrong with the part of an address behind `?`, by the names that may stand there, once each.
fn unknown_query(query: Option<&str>, known: &[String]) -> Option<String> {
    let mut seen = Vec::new();
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !known.iter().any(|known| known == name) {
            let right = match known.join(", ") {
                none if none.is_empty() => "this address takes none".to_owned(),
                names => format!("this address takes {names}"),
            };
            return Some(format!("there is no parameter {name:?}: {right}"));
        }
        if seen.contains(&name) {
            return Some(format!("the parameter {name} is given twice"));
        }
        seen.push(name);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_known_and_given_once() {
        let known = ["limit".to_owned(), "after".to_owned()];
        let wrong = |query| unknown_query(query, &known);
        assert_eq!(wrong(None), None);
        assert_eq!(wrong(Some("")), None);
        assert_eq!(wrong(Some("limit=1&after=2")), None);
        assert!(wrong(Some("limit=1&limit=2")).unwrap().contains("twice"));
        assert!(wrong(Some("x=1")).unwrap().contains("limit, after"));
        assert!(wrong(Some("=1")).is_some());
        assert!(unknown_query(Some("x"), &[]).unwrap().contains("none"));
    }
}
