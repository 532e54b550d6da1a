//! A value that one thread will give and another's task awaits.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// The giving end. Dropped without a value, it gives `lost`'s.
pub(crate) struct Promise<T> {
    cell: Arc<Mutex<Cell<T>>>,
    lost: fn() -> T,
}

/// The awaiting end.
pub(crate) struct Promised<T>(Arc<Mutex<Cell<T>>>);

enum Cell<T> {
    Waiting(Option<Waker>),
    Given(T),
    Taken,
}

/// A pair of ends; `lost` makes the value of a promise that nobody keeps.
pub(crate) fn promise<T>(lost: fn() -> T) -> (Promise<T>, Promised<T>) {
    let cell = Arc::new(Mutex::new(Cell::Waiting(None)));
    (Promise { cell: cell.clone(), lost }, Promised(cell))
}

impl<T> Promise<T> {
    pub fn keep(self, value: T) {
        give(&self.cell, value);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if matches!(&*held(&self.cell), Cell::Waiting(_)) {
            give(&self.cell, (self.lost)());
        }
    }
}

impl<T> Future for Promised<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut cell = held(&self.0);
        match std::mem::replace(&mut *cell, Cell::Taken) {
            Cell::Given(value) => Poll::Ready(value),
            Cell::Waiting(_) => {
                *cell = Cell::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            Cell::Taken => panic!("a promised value is polled after it was taken"),
        }
    }
}

fn held<T>(cell: &Mutex<Cell<T>>) -> MutexGuard<'_, Cell<T>> {
    cell.lock().expect("nothing panics while it holds a promise")
}

fn give<T>(cell: &Mutex<Cell<T>>, value: T) {
    let before = std::mem::replace(&mut *held(cell), Cell::Given(value));
    // Woken outside the lock: the task may be polled at once.
    if let Cell::Waiting(Some(waker)) = before {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use anser_core::ports::log_conformance::block_on;

    use super::*;

    #[test]
    fn a_value_given_before_or_after_the_first_poll_arrives() {
        let (promise, promised) = self::promise(|| 0);
        promise.keep(5);
        assert_eq!(block_on(promised), 5);
        let (promise, promised) = self::promise(|| 0);
        let waiting = std::thread::spawn(move || block_on(promised));
        promise.keep(6);
        assert_eq!(waiting.join().expect("no panic"), 6);
    }

    #[test]
    fn a_promise_that_is_dropped_says_so() {
        let (promise, promised) = promise(|| "lost");
        drop(promise);
        assert_eq!(block_on(promised), "lost");
    }
}
