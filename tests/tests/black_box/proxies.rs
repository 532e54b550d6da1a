//! Servers behind proxies: who is believed about where a request comes from.

use anser_tests::{Client, Person, Server, http};
use serde_json::json;

/// Registers from an address, as a proxy says.
async fn register(server: &Server, handle: &str, header: &str) -> u16 {
    let body =
        json!({ "handle": handle, "password": "a long enough password", "name": handle, "device_name": "x" });
    let body = body.to_string();
    let request = format!(
        "POST /api/v1/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{header}\r\n\r\n{body}",
        body.len()
    );
    http::raw(server.address(), request.as_bytes()).await.status
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_nobody_else_is() {
    let limited = ["--rate", "sign-in=1/600000"];
    let trusting =
        Server::start_limited(&[&limited[..], &["--trusted-proxies", "127.0.0.0/8,::1"]].concat()).await;
    assert_eq!(register(&trusting, "ann", "X-Forwarded-For: 203.0.113.1").await, 201);
    assert_eq!(register(&trusting, "ben", "X-Forwarded-For: 203.0.113.2").await, 201, "another client");
    assert_eq!(register(&trusting, "cat", "X-Forwarded-For: 203.0.113.2").await, 429, "the same client");
    let spoofed = "X-Forwarded-For: 198.51.100.77, 203.0.113.2";
    assert_eq!(register(&trusting, "cat", spoofed).await, 429, "what the client wrote itself is left of it");
    assert_eq!(
        register(&trusting, "cat", "Forwarded: for=203.0.113.9").await,
        201,
        "as from the proxy itself"
    );
    assert_eq!(register(&trusting, "dan", "X-Real-IP: 203.0.113.9").await, 429, "one header is believed");

    let other = [&limited[..], &["--trusted-proxies", "127.0.0.1", "--proxy-header", "forwarded"]].concat();
    let other = Server::start_limited(&other).await;
    assert_eq!(register(&other, "ann", "Forwarded: for=203.0.113.1;proto=https").await, 201);
    assert_eq!(register(&other, "ben", "Forwarded: for=\"[2001:db8::1]:4711\"").await, 201);
    assert_eq!(register(&other, "cat", "Forwarded: for=\"[2001:db8::2]\"").await, 429, "one network");

    let suspicious = Server::start_limited(&limited).await;
    assert_eq!(register(&suspicious, "ann", "X-Forwarded-For: 203.0.113.1").await, 201);
    assert_eq!(register(&suspicious, "ben", "X-Forwarded-For: 203.0.113.2").await, 429, "nobody is believed");
}

#[tokio::test]
async fn connections_through_a_proxy_ping_more_often() {
    let server = Server::start_with(&["--trusted-proxies", "127.0.0.1"]).await;
    let [ann] = Person::register_all(&server, ["ann"]).await;
    let mut client = Client::open_with(server.address(), &[("x-forwarded-for", "203.0.113.1")]).await;
    client.greet(Client::hello(&ann.token)).await.expect("the token is good");
    assert_eq!(client.welcome.heartbeat_interval_ms, 45_000);

    let direct = Server::start_with(&["--trusted-proxies", "10.0.0.0/8"]).await;
    let [ann] = Person::register_all(&direct, ["ann"]).await;
    let mut client = Client::open_with(direct.address(), &[("x-forwarded-for", "203.0.113.1")]).await;
    client.greet(Client::hello(&ann.token)).await.expect("the token is good");
    assert_eq!(client.welcome.heartbeat_interval_ms, 240_000);
}

#[tokio::test]
async fn a_silent_connection_through_a_proxy_is_closed_by_its_own_interval() {
    let options = ["--trusted-proxies", "127.0.0.1", "--proxied-heartbeat-interval-ms", "500"];
    let server = Server::start_with(&options).await;
    let [ann] = Person::register_all(&server, ["ann"]).await;
    let mut client = Client::attach(&server, &ann).await;
    assert_eq!(client.welcome.heartbeat_interval_ms, 500);
    assert_eq!(client.closed().await.expect("it is told why").code, "too_slow");
}
