//! Lists the files of the web client, where it has been built, so that `src/http/web.rs` has them in the
//! program. Where it has not been built the list is empty, and everything else builds all the same.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo:rerun-if-env-changed=ANSER_WEB_DIST");
    let folder = std::env::var_os("ANSER_WEB_DIST").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/apps/client/dist"),
        PathBuf::from,
    );
    if folder.is_dir() {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let mut names = Vec::new();
    if folder.join("index.html").is_file() {
        collect(&folder, "", &mut names);
    }
    names.sort();
    let mut list = String::from("&[\n");
    for name in names.iter().filter(|name| !name.ends_with(".gz") && !name.ends_with(".br")) {
        let include = |name: &str| {
            let path = folder.join(&name[1..]).canonicalize().expect("a listed file is there");
            format!("include_bytes!({:?})", path.display().to_string())
        };
        let compressed = |ending: &str| {
            let name = format!("{name}.{ending}");
            if names.contains(&name) { format!("Some({})", include(&name)) } else { "None".to_owned() }
        };
        writeln!(
            list,
            "    Asset {{ path: {name:?}, plain: {}, gzip: {}, brotli: {} }},",
            include(name),
            compressed("gz"),
            compressed("br"),
        )
        .expect("a text takes what is written to it");
    }
    list.push_str("]\n");
    let out = std::env::var_os("OUT_DIR").expect("cargo names the folder for what is generated");
    std::fs::write(Path::new(&out).join("web_assets.rs"), list).expect("the folder can be written to");
}

/// Paths of all files below, with a slash before each.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("the client's folder can be read") {
        let entry = entry.expect("the client's folder can be read");
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        match entry.path() {
            path if path.is_dir() => collect(&path, &name, names),
            _ if name.rsplit('/').next().is_some_and(|file| file.starts_with('.')) => {}
            _ => names.push(name),
        }
    }
}
