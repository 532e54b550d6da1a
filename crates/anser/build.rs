//! How the binary is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The tables that turn an address in a backtrace into a line are two thirds of the binary as they come. The
    // standard library reads them compressed.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    }
}
