//! `anser doctor`: finds what is wrong, says what to do, and exits with 1 if it would not serve.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anser_tests::{Server, cli};
use serde_json::Value;

struct Seen {
    code: i32,
    checks: Vec<Value>,
}

async fn doctor(data: &Path, options: &[&str]) -> Seen {
    let data = data.to_string_lossy();
    let arguments = [&["doctor", "--json", "--data", &data][..], options].concat();
    let ran = cli::run(Path::new("."), &arguments, "").await;
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"));
    let checks = report["checks"].as_array().expect("there are checks").clone();
    assert_eq!(report["fit"], ran.code == 0, "the exit code says the same: {ran:?}");
    for check in &checks {
        assert!(
            check["level"] == "ok" || check["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
            "{check}"
        );
    }
    Seen { code: ran.code, checks }
}

impl Seen {
    /// How the check came out, and what was said.
    fn of(&self, name: &str) -> (&str, String) {
        let check = self.checks.iter().find(|check| check["name"] == name);
        let check = check.unwrap_or_else(|| panic!("{name} was not checked: {:?}", self.checks));
        (check["level"].as_str().expect("a level"), format!("{} {}", check["found"], check["fix"]))
    }
}

#[tokio::test]
async fn a_folder_is_looked_at_before_while_and_after_it_is_served() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let free = ["--listen", "127.0.0.1:0", "--connections-max", "100"];
    let before = doctor(&folder.path().join("new"), &free).await;
    assert_eq!(before.code, 0, "{:?}", before.checks);
    for name in [
        "configuration",
        "folder",
        "disk space",
        "disk speed",
        "listener",
        "admin listener",
        "descriptors",
        "memory",
        "clock",
    ] {
        assert_ne!(before.of(name).0, "fail", "{name}");
    }
    assert!(!folder.path().join("new").exists(), "looking makes nothing");

    let mut server = Server::start().await;
    let (public, admin) = (server.address().to_string(), server.admin_address().expect("one").to_string());
    let at = ["--listen", &public, "--admin-listen", &admin, "--connections-max", "100"];
    let running = doctor(server.data(), &at).await;
    assert!(running.of("log").1.contains("a server runs on it"), "{:?}", running.checks);
    assert!(
        running.of("listener").1.contains("answers") && running.of("admin listener").1.contains("answers")
    );
    assert_eq!(running.code, 0, "{:?}", running.checks);
    let elsewhere = doctor(server.data(), &["--listen", "127.0.0.1:1"]).await;
    assert_eq!(elsewhere.of("listener").0, "fail");

    server.stop().await;
    let after = doctor(server.data(), &free).await;
    assert!(after.of("log").1.contains("it opens"), "{:?}", after.checks);
    server.start_again().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_remedy() {
    let mut server = Server::start().await;
    let other = Server::start().await;
    server.stop().await;
    let data = server.data();
    let free = ["--listen", "127.0.0.1:0", "--connections-max", "100"];

    let key = data.join("secrets/signing.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("it is ours");
    let seen = doctor(data, &free).await;
    let (level, said) = seen.of("secrets");
    assert_eq!((level, seen.code), ("fail", 1));
    assert!(said.contains("signing.key") && said.contains("chmod 600"), "{said}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("it is ours");

    fs::set_permissions(data, Permissions::from_mode(0o777)).expect("it is ours");
    assert_eq!(doctor(data, &free).await.of("folder").0, "fail");
    fs::set_permissions(data, Permissions::from_mode(0o700)).expect("it is ours");

    let taken = other.address().to_string();
    let seen = doctor(data, &["--listen", &taken]).await;
    assert!(seen.of("listener").0 == "fail" && seen.of("listener").1.contains("--listen"));

    let seen = doctor(data, &["--listen", "127.0.0.1:0", "--connections-max", "9999999"]).await;
    assert!(seen.of("descriptors").0 != "ok" && seen.of("descriptors").1.contains("ulimit -n"));

    server.configure("connection_max = 1");
    let seen = doctor(data, &free).await;
    let (level, said) = seen.of("configuration");
    assert!(level == "fail" && said.contains("anser.toml:1") && said.contains("connections_max"), "{said}");
    server.configure("tls_cert = \"cert.pem\"\ntls_key = \"key.pem\"");
    assert_eq!(doctor(data, &free).await.of("certificate").0, "fail");
    server.configure("");

    let segment = fs::read(server.first_segment()).expect("a segment");
    let mut damaged = segment.clone();
    damaged[100] ^= 1;
    fs::write(server.first_segment(), &damaged).expect("it is ours");
    let seen = doctor(data, &free).await;
    assert!(seen.of("log").0 == "fail" && seen.of("log").1.contains("damaged"), "{:?}", seen.of("log"));
    fs::write(server.first_segment(), &segment).expect("it is ours");
    assert_eq!(doctor(data, &free).await.code, 0);

    let mut segments =
        fs::read_dir(data.join("history")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let is_facts = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "facts");
    if let Some(facts) = segments.find(is_facts) {
        let whole = fs::read(&facts).expect("a segment");
        let mut damaged = whole.clone();
        damaged[100] ^= 1;
        fs::write(&facts, &damaged).expect("it is ours");
        let seen = doctor(data, &free).await;
        let (level, said) = seen.of("history");
        assert!(level == "fail" && said.contains(".facts at byte 16"), "{said}");
        fs::write(&facts, &whole).expect("it is ours");
        assert_eq!(doctor(data, &free).await.code, 0);
    }

    let people =
        cli::run(Path::new("."), &["doctor", "--data", &data.to_string_lossy(), "--listen", &taken], "")
            .await;
    assert_eq!(people.code, 1);
    assert!(people.stdout.contains("fail  listener") && people.stdout.contains("→ "), "{}", people.stdout);
}
