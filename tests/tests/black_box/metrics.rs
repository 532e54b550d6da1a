//! The operator's listener: metrics in Prometheus' text format, read as a scraper reads them, and readiness.

use std::collections::{BTreeMap, BTreeSet};

use anser_tests::{Client, Person, Server, http, until};

const DOCUMENT: &str = include_str!("../../../docs/operation.md");

/// Samples by name and labels, and the type of each metric.
#[derive(Default)]
struct Page {
    types: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads the text format, version 0.0.4, and refuses what is not in it.
fn parse(text: &str) -> Page {
    let mut page = Page::default();
    let mut helped = BTreeSet::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a name and its help");
            assert!(helped.insert(name.to_owned()), "{name} is explained twice");
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').expect("a name and its type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "{name} is explained before");
            assert!(page.types.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} has one type");
        } else {
            let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}: the value is a number"));
            let name = sample.split('{').next().expect("a name");
            let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
            assert!(name.chars().all(valid), "{line}");
            let bare = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family =
                bare.filter(|family| page.types.get(*family).is_some_and(|kind| kind == "histogram"));
            let kind = page.types.get(family.unwrap_or(name));
            assert!(kind.is_some(), "{line}: declared before");
            assert!(kind.is_some_and(|kind| kind != "counter") || value >= 0.0, "{line}");
            labels(&sample[name.len()..]);
            assert!(page.samples.insert(sample.to_owned(), value).is_none(), "{line}: told once");
        }
    }
    assert_eq!(helped.len(), page.types.len());
    page
}

/// Reads `{name="value",…}`.
fn labels(text: &str) {
    let Some(inner) = text.strip_prefix('{') else { return assert_eq!(text, "") };
    let inner = inner.strip_suffix('}').expect("labels end");
    for label in inner.split("\",") {
        let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{text}: a name and a value"));
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{text}");
        assert!(!value.trim_end_matches('"').contains('"'), "{text}");
    }
}

async fn metrics(server: &Server) -> Page {
    let address = server.admin_address().expect("it has an operator's listener");
    let answer = http::raw(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    parse(&answer.body)
}

#[tokio::test]
async fn what_happens_is_counted() {
    let server = Server::start().await;
    let [ann, ben] = Person::register_all(&server, ["ann", "ben"]).await;
    let mut client = Client::attach(&server, &ann).await;
    for round in 0..5 {
        client.tell(&ben, &format!("message {round}")).await;
    }
    let wrong = anser_proto::v1::Recall {
        r#in: Some(anser_proto::v1::Target::peer(ben.account)),
        client_id: client.mint(),
        seq: 99,
        timeline: client.welcome.timeline,
    };
    let error = client.ask(anser_proto::v1::client_frame::Request::Recall(wrong)).await;
    let code = error.expect_err("there is no such message").code;

    // Where slots stand is told now and then.
    let stands = async || {
        let page = metrics(&server).await;
        (page.samples.get("anser_slots_open") == Some(&256.0)).then_some(page)
    };
    let page = until("all slots are open", stands).await;
    let value =
        |sample: &str| page.samples.get(sample).copied().unwrap_or_else(|| panic!("{sample} is missing"));
    assert_eq!(value("anser_commands_total{kind=\"send\",result=\"ok\"}"), 5.0);
    assert_eq!(value("anser_connections"), 1.0);
    assert_eq!(value("anser_sessions"), 1.0);
    assert!(value("anser_frames_received_total") >= 7.0 && value("anser_frames_sent_total") >= 7.0);
    assert!(value("anser_appended_facts_total") >= 5.0 && value("anser_append_seconds_count") >= 5.0);
    assert!(value("anser_append_seconds_sum") > 0.0);
    assert!(
        value("anser_command_seconds_count") >= 5.0 && value("anser_command_queueing_seconds_count") >= 5.0
    );
    assert!(value(&format!("anser_errors_total{{code=\"{code}\"}}")) >= 1.0);
    assert_eq!(
        value("anser_http_requests_total{route=\"/api/v1/register\",method=\"POST\",status=\"201\"}"),
        2.0
    );
    assert_eq!(value("anser_http_requests_total{route=\"/ws\",method=\"GET\",status=\"101\"}"), 1.0);
    assert!(value("anser_log_bytes") > 0.0 && value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 3.0 && value("process_max_fds") >= value("process_open_fds"));
    // Buckets hold what the ones before them hold, and the last one everything.
    let buckets: Vec<f64> =
        [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0]
            .map(|bound| value(&format!("anser_append_seconds_bucket{{le=\"{bound}\"}}")))
            .to_vec();
    assert!(buckets.is_sorted());
    assert_eq!(value("anser_append_seconds_bucket{le=\"+Inf\"}"), value("anser_append_seconds_count"));

    for name in page.types.keys() {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} does not stand in docs/operation.md");
    }
    let later = metrics(&server).await;
    assert!(later.types == page.types);
}

#[tokio::test]
async fn paths_that_nobody_serves_make_no_new_rows() {
    let server = Server::start().await;
    for path in 0..20 {
        let request = format!("GET /nothing/{path} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http::raw(server.address(), request.as_bytes()).await.status, 404);
    }
    let page = metrics(&server).await;
    let rows = page.samples.keys().filter(|sample| sample.starts_with("anser_http_requests_total")).count();
    assert_eq!(rows, 1, "they are one row");
}

#[tokio::test]
async fn the_operators_listener_is_apart_and_can_be_off() {
    let mut server = Server::start().await;
    let admin = server.admin_address().expect("there is one");
    assert!(admin.ip().is_loopback() && admin != server.address());
    for (path, status) in
        [("/health", 200), ("/ready", 200), ("/metrics", 200), ("/ws", 404), ("/api/v1/register", 404)]
    {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http::raw(admin, request.as_bytes()).await.status, status, "{path}");
    }
    let public = http::raw(server.address(), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(public.status, 404, "the public sees no metrics");
    server.stop().await;

    let off = Server::start_with(&["--admin-listen", "none"]).await;
    assert_eq!(off.admin_address(), None);
    let taken = off.address().to_string();
    let refused = Server::prepared(&["--admin-listen", &taken]).expect_refusal("127.0.0.1:0").await;
    assert!(!refused.status.success());
    assert!(
        refused.stderr.contains(&taken) && refused.stderr.contains("--admin-listen"),
        "{}",
        refused.stderr
    );
}
