//! The WebSocket handshake, the Origin rule, and what else the listener answers.

use anser_tests::{Server, http};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A handshake with these headers instead of, or beside, the usual ones.
async fn handshake(server: &Server, changes: &[(&str, &str)]) -> http::Answer {
    let host = server.address().to_string();
    let mut headers = vec![
        ("Host", host.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    for &(name, value) in changes {
        headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    http::raw(server.address(), format!("GET /ws HTTP/1.1\r\n{lines}\r\n").as_bytes()).await
}

#[tokio::test]
async fn a_handshake_is_exactly_right_or_refused() {
    let server = Server::start().await;
    let good = handshake(&server, &[]).await;
    assert_eq!(good.status, 101);
    // The example of RFC 6455, section 1.3.
    assert!(good.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", good.head);
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[("Connection", "keep-alive, Upgrade"), ("Upgrade", "WebSocket")], 101),
        (&[("Upgrade", "")], 426),
        (&[("Connection", "keep-alive")], 426),
        (&[("Upgrade", "h2c")], 426),
        (&[("Sec-WebSocket-Version", "")], 426),
        (&[("Sec-WebSocket-Version", "8")], 426),
        (&[("Sec-WebSocket-Key", "")], 400),
        (&[("Sec-WebSocket-Key", "not a key")], 400),
    ];
    for (changes, status) in cases {
        let answer = handshake(&server, changes).await;
        assert_eq!(answer.status, status, "{changes:?}: {}", answer.body);
        if status == 426 {
            // RFC 6455, section 4.2.2, and RFC 9110, section 15.5.22.
            let head = answer.head.to_ascii_lowercase();
            assert!(head.contains("sec-websocket-version: 13"), "{changes:?}: {head}");
            assert!(head.contains("upgrade: websocket"), "{changes:?}: {head}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_site_may_not_connect() {
    let server = Server::start().await;
    let address = server.address();
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://{address}.evil.example"),
        format!("http://evil.example/{address}"),
        format!("http://{}:1", address.ip()),
        "null".to_owned(),
    ] {
        let answer = handshake(&server, &[("Origin", &origin)]).await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    assert_eq!(handshake(&server, &[("Origin", &format!("http://{address}"))]).await.status, 101);
    assert_eq!(handshake(&server, &[("Origin", &format!("https://{address}"))]).await.status, 101);
}

#[tokio::test]
async fn other_requests_to_the_listener_are_answered() {
    let server = Server::start().await;
    let cases = [
        ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 405),
        ("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("NOT HTTP AT ALL\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        assert_eq!(http::raw(server.address(), request.as_bytes()).await.status, status, "{request}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(1 << 20));
    let answer = http::raw(server.address(), long.as_bytes()).await;
    assert!(matches!(answer.status, 414 | 431), "{}", answer.status);
}
