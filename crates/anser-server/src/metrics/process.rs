//! The process as the system counts it, under the names that Prometheus' own clients use. Nothing where there is no
//! `/proc`.

use super::{Kind, Page};

pub(super) fn write(page: &mut Page) {
    let memory = "Resident memory of the process";
    write_if_known(page, "process_resident_memory_bytes", memory, resident_bytes());
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|folder| folder.count() as f64);
    write_if_known(page, "process_open_fds", "Descriptors that are open", open);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map(|limit| limit as f64);
    write_if_known(page, "process_max_fds", "Descriptors that may be open", limit);
}

fn write_if_known(page: &mut Page, name: &'static str, help: &'static str, value: Option<f64>) {
    page.begin(name, Kind::Gauge, &[], help);
    if let Some(value) = value {
        page.sample(&[], value);
    }
}

/// The second number of `statm`, in pages.
fn resident_bytes() -> Option<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: f64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as f64)
}
