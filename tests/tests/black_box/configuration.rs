//! The configuration file: what it says counts, what is wrong with it is said, and it is read again while the server
//! runs.

use anser_tests::{Client, Person, Server, cli, http, until};

const ORIGIN: &str = "https://web.example.org";

/// The status of a WebSocket handshake of a page of another site.
async fn handshake(server: &Server) -> u16 {
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: im.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: {ORIGIN}\r\n\r\n"
    );
    http::raw(server.address(), request.as_bytes()).await.status
}

async fn until_handshake_is(server: &Server, status: u16) {
    let looked = async || (handshake(server).await == status).then_some(());
    until(&format!("a handshake is answered {status}"), looked).await;
}

async fn until_logged(server: &Server, words: &[&str]) {
    let looked = async || {
        let said = server.stderr();
        said.lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
    };
    until(&format!("{words:?} is logged"), looked).await;
}

#[tokio::test]
async fn a_file_that_is_wrong_is_refused_with_key_line_value_and_remedy() {
    let server = Server::prepared(&[]);
    let cases: [(&str, &[&str]); 9] = [
        ("listen = \"a\n", &["anser.toml:1:", "no TOML"]),
        ("\nlisten = 7\n", &["anser.toml:2:", "listen = 7", "127.0.0.1:7700"]),
        ("workers = 65", &["anser.toml:1:", "workers = 65", "from 1 to 64"]),
        ("# a\n# b\nregistrations = \"open\"", &["anser.toml:3:", "\"registrations\"", "write registration"]),
        ("trusted_proxies = [\"10.0.0.0/99\"]", &["trusted_proxies", "\"10.0.0.0/99\"", "10.0.0.0/8"]),
        ("allowed_origins = \"*\"", &["allowed_origins = \"*\"", "https://chat.example.org"]),
        ("[rates]\nsign-in = \"fast\"", &["anser.toml:2:", "rates.sign-in = \"fast\"", "BURST/MILLISECONDS"]),
        ("tls_cert = \"cert.pem\"", &["cert.pem", "tls_key names nothing"]),
        ("log_level = \"loud\"", &["log_level = \"loud\"", "off, error, warn"]),
    ];
    for (text, reasons) in cases {
        server.configure(text);
        let ended = server.expect_refusal("127.0.0.1:0").await;
        assert_eq!(ended.status.code(), Some(1), "{text}: {ended:?}");
        for reason in reasons {
            assert!(ended.stderr.contains(reason), "{text}: {reason:?} is not said: {}", ended.stderr);
        }
        let file = server.data().join("anser.toml");
        let checked = cli::run(server.data(), &["config", "check", &file.to_string_lossy()], "").await;
        assert_eq!(checked.code, 1);
        assert!(reasons.iter().all(|reason| checked.stderr.contains(reason)), "{text}: {}", checked.stderr);
    }
    let named = Server::prepared(&["--config", "there/is/none.toml"]);
    let ended = named.expect_refusal("127.0.0.1:0").await;
    assert!(ended.stderr.contains("there/is/none.toml"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_example_is_right_and_is_what_is_checked_in() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let example = cli::run(folder.path(), &["config", "example"], "").await;
    assert_eq!(example.code, 0, "{example:?}");
    let checked_in = include_str!("../../../docs/anser.example.toml");
    assert_eq!(example.stdout, checked_in);
    let file = folder.path().join("example.toml");
    std::fs::write(&file, &example.stdout).expect("it can be written");
    let checked = cli::run(folder.path(), &["config", "check", &file.to_string_lossy()], "").await;
    assert_eq!((checked.code, checked.stdout.contains("changes nothing")), (0, true), "{checked:?}");
}

#[tokio::test]
async fn the_file_is_read_again_on_a_hangup_and_when_it_changes() {
    let mut server = Server::prepared(&[]);
    server.configure("listen = \"198.51.100.1:1\"\n");
    server.start_again().await;
    assert_eq!(handshake(&server).await, 403, "the command line beats the file, or it would not serve");

    server.configure(&format!("allowed_origins = [\"{ORIGIN}\"]\n"));
    server.hang_up();
    until_handshake_is(&server, 101).await;

    // Wrong in one place: refused as a whole.
    server.configure("allowed_origins = []\nconnections_max = 0\n");
    server.hang_up();
    until_logged(&server, &["refused", "connections_max = 0", "anser.toml:2:"]).await;
    assert_eq!(handshake(&server).await, 101, "nothing has changed");

    // Without a signal. What takes a restart is named.
    server.configure("allowed_origins = []\nworkers = 2\nlog_level = \"debug\"\n");
    until_handshake_is(&server, 403).await;
    until_logged(&server, &["count after a restart", "workers"]).await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    Client::attach(&server, &ann).await.tell(&ben, "what is told of at this level").await;
    until_logged(&server, &["DEBUG", "command"]).await;

    std::fs::remove_file(server.data().join("anser.toml")).expect("it is there");
    server.hang_up();
    until_logged(&server, &["read again", "log_level"]).await;
    server.stop().await;
}

#[tokio::test]
async fn a_rate_counts_as_soon_as_it_is_read() {
    let server = Server::start_limited(&[]).await;
    let wrong = serde_json::json!({ "handle": "nobody", "password": "wrong password", "device_name": "x" });
    let sign_in = async || http::json(server.address(), "POST", "/api/v1/sign-in", "", &wrong).await.status;
    assert_eq!(sign_in().await, 401);
    server.configure("[rates]\nsign-in = \"1/600000\"\n");
    server.hang_up();
    until("the rate counts", async || (sign_in().await == 429).then_some(())).await;
}
