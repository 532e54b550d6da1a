//! Cells of HTTP: every operation of the API, by everybody who might ask it.
//!
//! - [`framed`]: operations that do what a frame does; they are expected to answer as it does
//! - [`accounts`], [`installation`]: all others, a function for each
//! - [`cell`]: one asker at one operation

mod accounts;
mod cell;
mod framed;
mod installation;

use std::collections::BTreeMap;

use anser_proto::ErrorCode;
use anyhow::Context as _;
use serde_json::Value;

use self::cell::Cell;
use super::actors::{Actor, Asker, Kind, Scope};
use super::http::Ask;
use super::scene::Scene;
use super::stage::Stage;

/// What lets one in to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Nothing is needed.
    Open,
    /// The access token of a person.
    Token,
    /// An API key that allows this.
    Key(Scope),
}

impl Door {
    /// How somebody is refused who is not let in.
    fn turns_away(self, asker: Asker) -> Option<ErrorCode> {
        match (self, asker) {
            (Door::Open, _) | (Door::Token, Asker::Person(_)) | (Door::Key(_), Asker::FittingKey) => None,
            (Door::Token, Asker::RevokedDevice | Asker::DeactivatedAccount) => Some(ErrorCode::Revoked),
            (Door::Key(_), Asker::UnfittingKey) => Some(ErrorCode::NotAllowed),
            _ => Some(ErrorCode::Unauthenticated),
        }
    }

    /// The security schemes of which one is needed, as the document names them.
    fn schemes(self) -> &'static [&'static str] {
        match self {
            Door::Open => &[],
            Door::Token => &["accessToken"],
            Door::Key(_) => &["apiKey"],
        }
    }
}

/// One operation that is no frame.
struct Row {
    /// Its id in the document.
    operation: &'static str,
    door: Door,
    /// It, as it would be answered if whoever asks were let in.
    sample: fn(&mut Cell<'_, '_>) -> anyhow::Result<Ask>,
    /// Everything that somebody who is let in may ask of it.
    play: fn(&mut Cell<'_, '_>) -> anyhow::Result<()>,
}

fn rows() -> Vec<Row> {
    accounts::rows().into_iter().chain(installation::rows()).collect()
}

/// Plays all operations.
///
/// # Errors
/// One has no row, or an asker no answer.
pub fn play(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let document = stage.http.must(&Ask::get("/openapi.json"), None)?;
    every_operation_has_a_row(&document)?;
    let operations = operations(&document)?;
    let scene = stage.set(Kind::Group)?;
    for (number, request) in stage.requests(&scene.cid, &scene, Actor::Owner).iter().enumerate() {
        let Some((operation, _)) = framed::over_http(request).filter(|(operation, _)| stage.plays(operation))
        else {
            continue;
        };
        let statuses = &operations[operation].statuses;
        framed::cells(stage, number, statuses)?;
        let ask = |stage: &mut Stage<'_>| {
            let request = stage.requests(&scene.cid, &scene, Actor::Owner).swap_remove(number);
            Ok(framed::over_http(&request).context("it is the same request")?.1)
        };
        turned_away(stage, (operation, Door::Token, statuses), Some(&scene), ask)?;
    }
    for row in rows() {
        if !stage.plays(row.operation) {
            continue;
        }
        let statuses = &operations[row.operation].statuses;
        for asker in Asker::all().filter(|asker| row.door.turns_away(*asker).is_none()) {
            let mut cell = Cell::new(stage, row.operation, asker, row.door, statuses);
            (row.play)(&mut cell).with_context(|| format!("{asker:?} asks {}", row.operation))?;
        }
        let ask = |stage: &mut Stage<'_>| {
            let owner = Asker::Person(Actor::Owner);
            (row.sample)(&mut Cell::new(stage, row.operation, owner, row.door, statuses))
        };
        turned_away(stage, (row.operation, row.door, statuses), None, ask)?;
    }
    Ok(())
}

/// Whoever is not let in is answered nothing but that, and nobody hears of it.
fn turned_away(
    stage: &mut Stage<'_>,
    (operation, door, statuses): (&'static str, Door, &[u16]),
    scene: Option<&Scene>,
    ask: impl Fn(&mut Stage<'_>) -> anyhow::Result<Ask>,
) -> anyhow::Result<()> {
    for asker in Asker::all() {
        let Some(code) = door.turns_away(asker) else { continue };
        let ask = ask(stage)?;
        let mut cell = Cell::new(stage, operation, asker, door, statuses);
        cell.scene = scene.cloned();
        let what = if code == ErrorCode::NotAllowed { "without the scope" } else { "from outside" };
        cell.refused(what, &ask, code)?;
    }
    Ok(())
}

/// What the document says of an operation.
struct Described {
    schemes: Vec<String>,
    statuses: Vec<u16>,
}

fn operations(document: &Value) -> anyhow::Result<BTreeMap<String, Described>> {
    let mut operations = BTreeMap::new();
    let paths = document["paths"].as_object().context("the document lists paths")?;
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let id = operation["operationId"].as_str().with_context(|| format!("{method} {path}: no id"))?;
            let schemes = operation["security"].as_array().into_iter().flatten();
            let schemes = schemes.flat_map(|one| one.as_object().into_iter().flatten());
            let statuses = operation["responses"].as_object().into_iter().flatten();
            let described = Described {
                schemes: schemes.map(|(name, _)| name.clone()).collect(),
                statuses: statuses.filter_map(|(status, _)| status.parse().ok()).collect(),
            };
            let before = operations.insert(id.to_owned(), described);
            anyhow::ensure!(before.is_none(), "two operations are called {id}");
        }
    }
    Ok(operations)
}

/// Fails unless each operation of the document has exactly one row, behind the door that the row is for.
fn every_operation_has_a_row(document: &Value) -> anyhow::Result<()> {
    let mut described = operations(document)?;
    let framed = framed::operations().into_iter().map(|operation| (operation, Door::Token));
    for (operation, door) in framed.chain(rows().iter().map(|row| (row.operation, row.door))) {
        let found = described.remove(operation);
        let found = found.with_context(|| format!("{operation} has two rows, or is not in the document"))?;
        anyhow::ensure!(
            found.schemes == door.schemes(),
            "{operation} is for {door:?}, and the document says {:?}",
            found.schemes
        );
    }
    let missing = described.keys().collect::<Vec<_>>();
    anyhow::ensure!(missing.is_empty(), "no row in the matrix: {missing:?}");
    Ok(())
}

/// Names of all rows, of both kinds.
#[cfg(test)]
pub fn names() -> Vec<&'static str> {
    framed::operations().into_iter().chain(rows().iter().map(|row| row.operation)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::from_str(include_str!("../../../../../docs/openapi.json")).expect("the document is JSON")
    }

    #[test]
    fn every_operation_of_the_document_has_a_row() {
        every_operation_has_a_row(&document()).expect("each has one");
    }

    #[test]
    fn an_operation_without_a_row_or_behind_another_door_is_found() {
        let mut more = document();
        more["paths"]["/api/v1/new"]["get"] = serde_json::json!({"operationId": "lookAround"});
        let missing = every_operation_has_a_row(&more).expect_err("one has none").to_string();
        assert!(missing.contains("lookAround"), "{missing}");
        let mut fewer = document();
        fewer["paths"].as_object_mut().expect("paths").remove("/api/v1/sync");
        let gone = every_operation_has_a_row(&fewer).expect_err("a row has no operation").to_string();
        assert!(gone.contains("sync"), "{gone}");
        let mut open = document();
        open["paths"]["/api/v1/devices"]["get"]["security"] = serde_json::json!([]);
        let door = every_operation_has_a_row(&open).expect_err("it lets everybody in").to_string();
        assert!(door.contains("listDevices"), "{door}");
    }
}
