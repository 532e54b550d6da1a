//! Connections that fall silent: told so and closed, while those that ping stay.

use std::time::Duration;

use anser_tests::{Client, Person, Server};

const HEARTBEAT_MS: u64 = 1_000;

#[tokio::test]
async fn who_is_silent_for_too_long_is_closed_and_who_pings_is_not() {
    let server = Server::start_with(&["--heartbeat-interval-ms", &HEARTBEAT_MS.to_string()]).await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut silent = Client::attach(&server, &ann).await;
    let mut alive = Client::attach_in_json(&server, &ben).await;
    assert_eq!(silent.welcome.heartbeat_interval_ms, HEARTBEAT_MS);
    let mut heart = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS / 2));
    let beating = async {
        loop {
            heart.tick().await;
            alive.drain().await;
        }
    };
    let error = tokio::select! {
        error = silent.closed() => error.expect("it is told why"),
        () = beating => unreachable!("a heart beats on"),
    };
    assert_eq!(error.code, "too_slow");
    alive.tell(&ann, "are you there").await;
}
