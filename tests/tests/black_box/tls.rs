//! TLS by one flag: the SDK, through the command line, against the server; and what is wrong on either side.

use std::path::{Path, PathBuf};

use anser_tests::cli::{self, Following};
use anser_tests::{Server, http, until};
use tempfile::TempDir;

/// Somebody's home, and the certificate that they trust.
struct Somebody {
    home: TempDir,
    ca: PathBuf,
    url: String,
}

impl Somebody {
    fn of(server: &Server) -> Somebody {
        let home = tempfile::tempdir().expect("there is room for a folder");
        let ca = server.data().join("tls/cert.pem");
        Somebody { home, ca, url: format!("https://{}", server.address()) }
    }

    async fn register(&self, handle: &str, ca: &Path) -> cli::Ran {
        let ca = ca.to_string_lossy();
        let arguments =
            ["user", "register", "--server", &self.url, "--ca", &ca, "--profile", handle, "--handle", handle];
        cli::run(self.home.path(), &arguments, "").await
    }
}

#[tokio::test]
async fn people_talk_over_tls() {
    let server = Server::start_with(&["--tls", "self-signed"]).await;
    let us = Somebody::of(&server);
    for handle in ["ann", "ben"] {
        let registered = us.register(handle, &us.ca).await;
        assert_eq!(registered.code, 0, "{registered:?}");
    }
    let mut tail = Following::start(us.home.path(), &["tail", "--profile", "ben", "--json"]);
    let long = "字".repeat(4_000);
    let lines: String = (0..50).map(|number| format!("{number} {long}\n")).collect();
    let sent = cli::run(us.home.path(), &["send", "--profile", "ann", "--to", "ben", "-"], &lines).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    for number in 0..50 {
        let line = tail.line().await;
        assert!(line.contains(&format!("\"{number} 字")), "{number}: {}", &line[..120.min(line.len())]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_tls_is_said() {
    let (server, stranger) = (
        Server::start_with(&["--tls", "self-signed"]).await,
        Server::start_with(&["--tls", "self-signed"]).await,
    );
    let us = Somebody::of(&server);
    let wrong = us.register("ann", &stranger.data().join("tls/cert.pem")).await;
    assert!(wrong.code != 0 && wrong.stderr.contains("certificate is not trusted"), "{wrong:?}");
    let wrong = us.register("ann", &server.data().join("tls/key.pem")).await;
    assert!(wrong.code != 0 && wrong.stderr.contains("BEGIN CERTIFICATE"), "{wrong:?}");
    let untrusted = ["user", "register", "--server", &us.url, "--handle", "ann"];
    let wrong = cli::run(us.home.path(), &untrusted, "").await;
    assert!(wrong.code != 0 && wrong.stderr.contains("certificate is not trusted"), "{wrong:?}");
    let plain = format!("http://{}", server.address());
    let ca = us.ca.to_string_lossy();
    let wrong = cli::run(
        us.home.path(),
        &["user", "register", "--server", &plain, "--ca", &ca, "--handle", "ann"],
        "",
    )
    .await;
    assert!(wrong.code != 0 && wrong.stderr.contains("write https://"), "{wrong:?}");

    let bare = Server::start().await;
    let url = format!("https://{}", bare.address());
    let wrong =
        cli::run(us.home.path(), &["user", "register", "--server", &url, "--ca", &ca, "--handle", "ann"], "")
            .await;
    assert!(wrong.code != 0 && wrong.stderr.contains("does not speak TLS"), "{wrong:?}");

    for (cert, key, said) in [
        ("tls/cert.pem", "tls/cert.pem", "private key"),
        ("tls/key.pem", "tls/key.pem", "holds no certificate"),
        ("tls/none.pem", "tls/key.pem", "none.pem"),
    ] {
        let (cert, key) = (server.data().join(cert), server.data().join(key));
        let options = ["--tls-cert", &cert.to_string_lossy(), "--tls-key", &key.to_string_lossy()];
        let ended = Server::prepared(&options).expect_refusal("127.0.0.1:0").await;
        assert!(!ended.status.success() && ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
    let half = Server::prepared(&["--tls-cert", &ca]).expect_refusal("127.0.0.1:0").await;
    assert!(half.stderr.contains("tls_key names nothing"), "{}", half.stderr);
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_shown_from_then_on() {
    let other = Server::start_with(&["--tls", "self-signed"]).await;
    let mut server = Server::prepared(&[]);
    let folder = server.data().join("certs");
    std::fs::create_dir(&folder).expect("it is ours");
    let copy = |from: &Server, name: &str| {
        let copied = std::fs::copy(from.data().join("tls").join(name), folder.join(name));
        copied.expect("it can be copied");
    };
    let first = Server::start_with(&["--tls", "self-signed"]).await;
    ["cert.pem", "key.pem"].iter().for_each(|name| copy(&first, name));
    server.configure("tls_cert = \"certs/cert.pem\"\ntls_key = \"certs/key.pem\"\n");
    server.start_again().await;
    let mut us = Somebody::of(&server);
    us.ca = first.data().join("tls/cert.pem");
    assert_eq!(us.register("ann", &us.ca).await.code, 0);
    let mut tail = Following::start(us.home.path(), &["tail", "--profile", "ann", "--json"]);

    // Half of it: refused, and the old one is shown.
    copy(&other, "key.pem");
    until("half a certificate is refused", async || {
        server.stderr().contains("cannot be used together").then_some(())
    })
    .await;
    assert_eq!(us.register("ben", &us.ca).await.code, 0);
    copy(&other, "cert.pem");
    let new = other.data().join("tls/cert.pem");
    until("the new one is shown", async || (us.register("cat", &new).await.code == 0).then_some(())).await;
    assert!(us.register("dan", &us.ca).await.stderr.contains("not trusted"));
    // Connections that began before go on.
    let sent =
        cli::run(us.home.path(), &["send", "--profile", "cat", "--to", "ann", "still there?"], "").await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(tail.line().await.contains("still there?"));
}

#[tokio::test]
async fn the_operators_listener_speaks_no_tls_and_counts_failures() {
    let server = Server::start_with(&["--tls", "self-signed"]).await;
    let us = Somebody::of(&server);
    let stranger = Server::start_with(&["--tls", "self-signed"]).await;
    us.register("ann", &stranger.data().join("tls/cert.pem")).await;
    let admin = server.admin_address().expect("there is one");
    let failures = async || {
        let page = http::raw(admin, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.body;
        page.contains("\nanser_tls_handshake_failures_total 1\n").then_some(())
    };
    until("the failure is counted", failures).await;
}
