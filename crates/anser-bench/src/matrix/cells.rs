//! Cells of the socket: every request of every kind of conversation, by everybody who is attached, and by those
//! whom nothing lets in.

use anser_proto::v1::{self, client_frame::Request, event, response, server_frame};
use anyhow::Context as _;

use super::actors::{Actor, Asker, Kind, Seat, holds};
use super::answers::{self, Audience, Expected};
use super::frames;
use super::line::{Answer, heard_until_closed};
use super::scene::Scene;
use super::stage::Stage;

/// Every request, of every kind of conversation, by everybody who is attached.
///
/// # Errors
/// A cell has no answer.
pub fn attached(stage: &mut Stage<'_>) -> anyhow::Result<()> {
    let scene = stage.set(Kind::Group)?;
    let rows = stage.requests(&scene.cid, &scene, Actor::Owner);
    frames::every_request_has_a_row(&rows)?;
    for (row, request) in rows.iter().enumerate() {
        if !stage.plays(frames::name(request)) {
            continue;
        }
        for kind in Kind::ALL {
            for &actor in kind.askers() {
                cell(stage, kind, actor, row)?;
            }
        }
    }
    Ok(())
}

fn cell(stage: &mut Stage<'_>, kind: Kind, actor: Actor, row: usize) -> anyhow::Result<()> {
    let scene = stage.set(kind)?;
    let request = stage.requests(&scene.cid, &scene, actor).swap_remove(row);
    let what = format!("{actor:?} asks {} of the {kind:?}", frames::name(&request));
    let expected = answers::expected(&request, kind, actor);
    let audience = answers::audience(&request, kind, &expected);
    let answer = stage.players.line(actor).ask(request).with_context(|| what.clone())?;
    stage.tally.count(&expected);
    if let Some(why) = what_is_wrong(&expected, &scene, actor, &answer) {
        stage.tally.wrong.push(format!("{what}: {why}"));
    }
    if expected == Expected::AsIfNothing {
        let nowhere = stage.nowhere();
        let other = stage.requests(&nowhere, &scene, actor).swap_remove(row);
        let other = stage.players.line(actor).ask(other)?;
        if other.bytes != answer.bytes {
            let (told, of_nothing) = (answer.result, other.result);
            stage.tally.leaks.push(format!("{what}: it hears {told:?}, of nothing {of_nothing:?}"));
        }
    }
    stage.listen(&what, Asker::Person(actor), Some(&scene), audience)
}

/// What is wrong with an answer, if anything.
fn what_is_wrong(expected: &Expected, scene: &Scene, actor: Actor, answer: &Answer) -> Option<String> {
    let code = match &answer.result {
        response::Result::Error(error) => Some(error.code.as_str()),
        _ => None,
    };
    let is_right = match expected {
        Expected::Accepted => matches!(answer.result, response::Result::Accepted(_)),
        Expected::Own => code.is_none(),
        Expected::Shows(words) | Expected::Clipped(words) => {
            let is_there = |word: &&str| holds(&answer.bytes, format!("{word}{}", scene.number).as_bytes());
            code.is_none() && words.iter().all(is_there)
        }
        Expected::Refused(expected) => code == Some(expected.as_str()),
        Expected::AsIfNothing => {
            // An empty list, or that there is no such thing.
            code == Some("not_found")
                || matches!(&answer.result, response::Result::ConversationList(list) if list.heads.is_empty())
        }
    };
    if !is_right {
        return Some(format!("{expected:?} was expected, and the answer is {:?}", answer.result));
    }
    let response::Result::Page(page) = &answer.result else { return None };
    let seat = scene.kind.seat(actor);
    let of_message = |event: &v1::Event| match &event.change {
        Some(event::Change::Message(message)) if message.withheld => Some(event.seq),
        _ => None,
    };
    let seqs = page.events.iter().map(|event| event.seq).collect::<Vec<_>>();
    let withheld = page.events.iter().filter_map(of_message).collect::<Vec<_>>();
    clipping(scene, seat, &seqs, &withheld)
}

/// What is wrong with the seqs that somebody is shown of a group that was just made, and with those of which it
/// is not shown what they say.
pub fn clipping(scene: &Scene, seat: Seat, seqs: &[u64], withheld: &[u64]) -> Option<String> {
    if !matches!(scene.kind, Kind::Group | Kind::Channel) {
        return None;
    }
    let visible = scene.visible_to(seat);
    let should_be_withheld = if seat == Seat::Former { vec![scene.draft] } else { Vec::new() };
    (seqs != visible || withheld != should_be_withheld)
        .then(|| format!("it is shown {seqs:?}, without words {withheld:?}, and may see {visible:?}"))
}

/// Whoever has no token, or one that is good no more, is answered nothing but that.
///
/// # Errors
/// A cell has no answer.
pub fn turned_away(stage: &mut Stage<'_>, authority: &str) -> anyhow::Result<()> {
    let credentials = stage.credentials.clone();
    let nobodies = [
        (Asker::NoToken, None, "hello_required"),
        (Asker::ExpiredToken, Some(credentials.expired), "unauthenticated"),
        (Asker::RevokedDevice, Some(credentials.revoked.token), "revoked"),
        (Asker::DeactivatedAccount, Some(credentials.deactivated.token), "revoked"),
        (Asker::FittingKey, Some(credentials.key), "unauthenticated"),
    ];
    let scene = stage.set(Kind::Group)?;
    for (who, token, code) in nobodies {
        for request in stage.requests(&scene.cid, &scene, Actor::Owner) {
            if matches!(request, Request::Hello(_)) || !stage.plays(frames::name(&request)) {
                continue;
            }
            let what = format!("{who:?} asks {}", frames::name(&request));
            let hello = token.clone().map(|token| {
                let (version_min, version_max) = (anser_proto::VERSION_MIN, anser_proto::VERSION_MAX);
                Request::Hello(v1::Hello { version_min, version_max, token, ..v1::Hello::default() })
            });
            let frames = heard_until_closed(authority, hello.into_iter().chain([request]).collect())
                .with_context(|| what.clone())?;
            stage.tally.refused += 1;
            if frames.len() != 1 || !frames.iter().all(|frame| is_error(frame, code)) {
                stage.tally.leaks.push(format!("{what}: hears {frames:?}"));
            }
        }
        stage.listen(&format!("{who:?}"), who, Some(&scene), Audience::Asker)?;
    }
    Ok(())
}

fn is_error(frame: &v1::ServerFrame, code: &str) -> bool {
    matches!(&frame.frame, Some(server_frame::Frame::Response(v1::Response {
        result: Some(response::Result::Error(error)), ..
    })) if error.code == code)
}
