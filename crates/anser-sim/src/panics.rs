//! Panics as findings: what the code under test panics with is caught and told, not printed.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    /// What the code under test panicked with on this thread; `None` while nothing is under test.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

static LISTENING: Once = Once::new();

/// Runs what may panic. `Err` says with what it did, and where.
///
/// # Errors
/// The panic's message and place.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    LISTENING.call_once(listen);
    let outer = SAID.with_borrow_mut(|said| said.replace(String::new()));
    // What was half changed by the panic is thrown away with the case that it belongs to.
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let said = SAID.with_borrow_mut(|said| std::mem::replace(said, outer)).unwrap_or_default();
    outcome.map_err(|_| said)
}

/// Keeps what is under test quiet; everybody else's panics go where they went before.
fn listen() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let kept = SAID.with_borrow_mut(|said| match said {
            Some(said) => {
                *said = words(info);
                true
            }
            None => false,
        });
        if !kept {
            before(info);
        }
    }));
}

fn words(info: &PanicHookInfo<'_>) -> String {
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line()));
    format!("panic: {}{}", info.payload_as_str().unwrap_or("without words"), place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(caught(|| 1 + 1), Ok(2));
        let said =
            caught(|| assert!(std::hint::black_box(false), "the cap moves up")).expect_err("it panics");
        assert!(said.starts_with("panic: the cap moves up at "), "{said}");
        assert!(said.contains("panics.rs:"), "{said}");
    }
}
