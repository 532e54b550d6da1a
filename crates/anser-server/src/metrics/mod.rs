//! What an operator watches, as numbers. The shells count here, with relaxed atomics; the machines that decide
//! know nothing of it. [`Metrics::page`] writes everything down in Prometheus' text format, and what it declares is
//! where the table in docs/operation.md comes from.

mod page;
mod process;
mod value;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock};

use anser_proto::ErrorCode;

pub use page::{Family, Kind, Page};
pub use value::{Counter, Histogram};

/// Commands by kind, and by what they came to.
pub type CommandCounts = BTreeMap<(&'static str, &'static str), u64>;

/// Everything that is counted. One of each installation of parts: nothing is global.
pub struct Metrics {
    /// Messages off sockets, WebSocket's own frames not among them.
    pub frames_received: Counter,
    /// Messages written to sockets.
    pub frames_sent: Counter,
    /// Bytes off sockets.
    pub bytes_received: Counter,
    /// Bytes written to sockets.
    pub bytes_sent: Counter,
    /// Connections that began.
    pub connections_opened: Counter,
    /// Connections that were not taken: too many, or it is draining.
    pub connections_refused: Counter,
    /// Connections closed by the sweep, since nothing was heard of them.
    pub connections_silent: Counter,
    /// Times that a session was told to sync again, since it read too slowly or a slot changed hands.
    pub resyncs: Counter,
    /// Sessions that were put out.
    pub kicks: Counter,
    /// TLS handshakes that came to nothing.
    pub tls_failures: Counter,
    /// WebSocket handshakes refused by the Origin rule.
    pub origins_refused: Counter,
    /// From a command's arrival in the mailbox until its worker took it.
    pub queueing: Histogram,
    /// From a command's arrival in the mailbox until its answer was released.
    pub commands_took: Histogram,
    /// From handing a record to the log until it was durable.
    pub append: Histogram,
    /// Records that did not become durable.
    pub append_failures: Counter,
    /// Bytes of records handed to the log.
    pub appended_bytes: Counter,
    /// Facts handed to the log.
    pub appended_facts: Counter,
    /// Reloads of the configuration, and those that were refused.
    pub reloads: Counter,
    /// See `reloads`.
    pub reloads_refused: Counter,
    refused: Vec<Counter>,
    commands: Mutex<CommandCounts>,
    http: Mutex<BTreeMap<HttpKey, u64>>,
    workers: OnceLock<Vec<WorkerGauges>>,
}

/// One row of HTTP requests.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HttpKey {
    route: String,
    method: &'static str,
    status: u16,
}

/// Where the slots of one worker stand, as of its last tick.
#[derive(Default)]
pub struct WorkerGauges {
    slots_open: AtomicI64,
    index_lag: AtomicI64,
    history_lag: AtomicI64,
    tail: AtomicI64,
    conversations: AtomicI64,
}

/// What a worker tells of its slots, summed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Slots that serve.
    pub slots_open: usize,
    /// Durable facts that the index does not hold yet.
    pub index_lag: u64,
    /// Durable facts that History does not hold yet.
    pub history_lag: u64,
    /// Facts in memory that wait to be folded.
    pub tail: usize,
    /// Conversations in memory.
    pub conversations: usize,
}

/// What is looked up when the page is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looked {
    /// Whether requests should come here.
    pub ready: bool,
    /// Connections there are.
    pub connections: usize,
    /// Connections on which somebody is signed in.
    pub sessions: usize,
    /// Bytes of the log's files.
    pub log_bytes: u64,
    /// Segments of the log.
    pub log_segments: usize,
    /// Bytes that the data folder's file system has left for this process.
    pub disk_free_bytes: Option<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            frames_received: Counter::default(),
            frames_sent: Counter::default(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            connections_opened: Counter::default(),
            connections_refused: Counter::default(),
            connections_silent: Counter::default(),
            resyncs: Counter::default(),
            kicks: Counter::default(),
            tls_failures: Counter::default(),
            origins_refused: Counter::default(),
            queueing: Histogram::default(),
            commands_took: Histogram::default(),
            append: Histogram::default(),
            append_failures: Counter::default(),
            appended_bytes: Counter::default(),
            appended_facts: Counter::default(),
            reloads: Counter::default(),
            reloads_refused: Counter::default(),
            refused: ErrorCode::ALL.iter().map(|_| Counter::default()).collect(),
            commands: Mutex::default(),
            http: Mutex::default(),
            workers: OnceLock::new(),
        }
    }
}

impl Metrics {
    /// Counts an error told to a session, by its code of the catalogue.
    pub fn refused(&self, code: &str) {
        if let Some(index) = ErrorCode::ALL.iter().position(|known| known.as_str() == code) {
            self.refused[index].add(1);
        }
    }

    /// Adds a worker's tally, and empties it.
    pub fn add_commands(&self, tally: &mut CommandCounts) {
        if tally.is_empty() {
            return;
        }
        let mut commands = self.commands.lock().expect("nothing panics while it holds the counts");
        for (key, count) in std::mem::take(tally) {
            *commands.entry(key).or_default() += count;
        }
    }

    /// Counts one HTTP request. The route is the pattern, never the path: there are only so many.
    pub fn http_request(&self, route: &str, method: &str, status: u16) {
        const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
        let method = METHODS.into_iter().find(|&known| known == method).unwrap_or("other");
        let key = HttpKey { route: route.to_owned(), method, status };
        *self.http.lock().expect("nothing panics while it holds the counts").entry(key).or_default() += 1;
    }

    /// Makes room for the gauges of so many workers, once.
    pub fn set_workers(&self, count: usize) {
        let first = self.workers.set((0..count).map(|_| WorkerGauges::default()).collect());
        assert!(first.is_ok(), "one node counts into one set of metrics");
    }

    /// Notes where the slots of a worker stand.
    pub fn stand(&self, worker: usize, standing: Standing) {
        let gauges = &self.workers.get().expect("a node makes room before its workers run")[worker];
        let Standing { slots_open, index_lag, history_lag, tail, conversations } = standing;
        gauges.slots_open.store(slots_open as i64, Ordering::Relaxed);
        gauges.index_lag.store(index_lag.cast_signed(), Ordering::Relaxed);
        gauges.history_lag.store(history_lag.cast_signed(), Ordering::Relaxed);
        gauges.tail.store(tail as i64, Ordering::Relaxed);
        gauges.conversations.store(conversations as i64, Ordering::Relaxed);
    }

    fn sum(&self, of: impl Fn(&WorkerGauges) -> &AtomicI64) -> f64 {
        let workers = self.workers.get().map_or(&[][..], Vec::as_slice);
        workers.iter().map(|gauges| of(gauges).load(Ordering::Relaxed) as f64).sum()
    }

    /// Everything, in Prometheus' text format.
    pub fn page(&self, looked: &Looked) -> Page {
        let mut page = Page::default();
        self.connections(&mut page, looked);
        self.commands(&mut page);
        self.storage(&mut page, looked);
        self.http(&mut page);
        page.gauge("anser_ready", "1 while requests should come here", f64::from(u8::from(looked.ready)));
        page.begin("anser_config_reloads_total", Kind::Counter, &["result"], "Reloads of the configuration");
        page.sample(&[("result", "applied")], self.reloads.get() as f64);
        page.sample(&[("result", "refused")], self.reloads_refused.get() as f64);
        page.begin("anser_build_info", Kind::Gauge, &["version"], "1, with the version that runs");
        page.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        process::write(&mut page);
        page
    }

    fn connections(&self, page: &mut Page, looked: &Looked) {
        page.gauge("anser_connections", "WebSocket connections", looked.connections as f64);
        page.gauge("anser_sessions", "Connections on which somebody is signed in", looked.sessions as f64);
        page.counter("anser_connections_opened_total", "Connections that began", &self.connections_opened);
        let refused = "Connections not taken: there were too many, or the server was stopping";
        page.counter("anser_connections_refused_total", refused, &self.connections_refused);
        let silent = "Connections closed since nothing was heard of them";
        page.counter("anser_connections_silent_total", silent, &self.connections_silent);
        page.counter("anser_frames_received_total", "Messages from clients", &self.frames_received);
        page.counter("anser_frames_sent_total", "Messages to clients", &self.frames_sent);
        page.counter("anser_received_bytes_total", "Bytes from WebSocket clients", &self.bytes_received);
        page.counter("anser_sent_bytes_total", "Bytes to WebSocket clients", &self.bytes_sent);
        let resyncs = "Times that a session was told to sync again, mostly since it read too slowly";
        page.counter("anser_resyncs_total", resyncs, &self.resyncs);
        page.counter("anser_kicks_total", "Sessions put out by a revocation or a policy", &self.kicks);
        page.begin("anser_errors_total", Kind::Counter, &["code"], "Errors told to WebSocket clients");
        for (code, count) in ErrorCode::ALL.iter().zip(&self.refused) {
            page.sample(&[("code", code.as_str())], count.get() as f64);
        }
        let failures = "TLS handshakes that came to nothing";
        page.counter("anser_tls_handshake_failures_total", failures, &self.tls_failures);
        let origins = "WebSocket handshakes of pages whose Origin is not allowed";
        page.counter("anser_origins_refused_total", origins, &self.origins_refused);
    }

    fn commands(&self, page: &mut Page) {
        let help = "Commands answered: by kind, and ok or why they were refused";
        page.begin("anser_commands_total", Kind::Counter, &["kind", "result"], help);
        let commands = self.commands.lock().expect("nothing panics while it holds the counts");
        for (&(kind, result), &count) in commands.iter() {
            page.sample(&[("kind", kind), ("result", result)], count as f64);
        }
        drop(commands);
        let queueing = "From a command's arrival until its worker took it";
        page.histogram("anser_command_queueing_seconds", queueing, &self.queueing);
        let took = "From a command's arrival until its answer went out";
        page.histogram("anser_command_seconds", took, &self.commands_took);
    }

    fn storage(&self, page: &mut Page, looked: &Looked) {
        let append = "From handing a record to the log until it was durable";
        page.histogram("anser_append_seconds", append, &self.append);
        let failures = "Records that did not become durable";
        page.counter("anser_append_failures_total", failures, &self.append_failures);
        page.counter("anser_appended_facts_total", "Facts handed to the log", &self.appended_facts);
        page.counter(
            "anser_appended_bytes_total",
            "Bytes of records handed to the log",
            &self.appended_bytes,
        );
        page.gauge("anser_log_bytes", "Bytes of the log's files", looked.log_bytes as f64);
        page.gauge("anser_log_segments", "Segments of the log", looked.log_segments as f64);
        let lag = "Durable facts that a store does not hold yet";
        page.begin("anser_flush_lag_facts", Kind::Gauge, &["store"], lag);
        page.sample(&[("store", "index")], self.sum(|gauges| &gauges.index_lag));
        page.sample(&[("store", "history")], self.sum(|gauges| &gauges.history_lag));
        let tail = "Facts in memory that wait to be folded";
        page.gauge("anser_tail_facts", tail, self.sum(|gauges| &gauges.tail));
        let conversations = "Conversations in memory";
        page.gauge("anser_conversations_cached", conversations, self.sum(|gauges| &gauges.conversations));
        page.gauge("anser_slots_open", "Slots that serve, of 256", self.sum(|gauges| &gauges.slots_open));
        let free = "Bytes left to this process on the data folder's file system";
        page.begin("anser_disk_free_bytes", Kind::Gauge, &[], free);
        if let Some(bytes) = looked.disk_free_bytes {
            page.sample(&[], bytes as f64);
        }
    }

    fn http(&self, page: &mut Page) {
        let labels = &["route", "method", "status"];
        page.begin("anser_http_requests_total", Kind::Counter, labels, "HTTP requests answered");
        let http = self.http.lock().expect("nothing panics while it holds the counts");
        for (HttpKey { route, method, status }, &count) in http.iter() {
            let labels = [("route", route.as_str()), ("method", method), ("status", &status.to_string())];
            page.sample(&labels, count as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operation.md");

    /// The table of docs/operation.md; `ANSER_WRITE=1` writes it anew.
    #[test]
    fn every_metric_stands_in_the_document() {
        let mut table = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
        for family in Metrics::default().page(&Looked::default()).families {
            let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, help) = (family.name, family.kind.as_str(), family.help);
            table.push_str(&format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", ")));
        }
        let document = std::fs::read_to_string(DOCUMENT).expect("it is there");
        let (before, rest) = document.split_once("<!-- metrics -->\n").expect("the table begins");
        let (_, after) = rest.split_once("<!-- /metrics -->\n").expect("the table ends");
        let current = format!("{before}<!-- metrics -->\n{table}<!-- /metrics -->\n{after}");
        if std::env::var_os("ANSER_WRITE").is_some() {
            std::fs::write(DOCUMENT, &current).expect("it can be written");
        }
        let document = std::fs::read_to_string(DOCUMENT).expect("it is there");
        assert!(document == current, "run this test with ANSER_WRITE=1");
    }

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.set_workers(2);
        metrics.frames_received.add(3);
        metrics.refused(ErrorCode::TooSlow.as_str());
        metrics.refused("no such code");
        metrics.add_commands(&mut CommandCounts::from([(("send", "ok"), 2)]));
        metrics.add_commands(&mut CommandCounts::from([(("send", "ok"), 5)]));
        metrics.http_request("/api/v1/people/{handle}", "BREW", 405);
        metrics.stand(0, Standing { index_lag: 4, ..Standing::default() });
        metrics.stand(1, Standing { index_lag: 6, ..Standing::default() });
        let page = metrics.page(&Looked { ready: true, ..Looked::default() });
        for line in [
            "anser_frames_received_total 3",
            "anser_errors_total{code=\"too_slow\"} 1",
            "anser_commands_total{kind=\"send\",result=\"ok\"} 7",
            "anser_http_requests_total{route=\"/api/v1/people/{handle}\",method=\"other\",status=\"405\"} 1",
            "anser_flush_lag_facts{store=\"index\"} 10",
            "anser_ready 1",
        ] {
            assert!(page.text.lines().any(|shown| shown == line), "{line}: {}", page.text);
        }
    }
}
