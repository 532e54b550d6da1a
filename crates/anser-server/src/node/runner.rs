//! What runs a worker: a thread of its own, or whoever wakes it and has little for it to do.
//!
//! A message alone is a chain of threads that wake one another, and each link of it costs more than what is done there. So
//! a thread that has handed a worker a few things may go on with it at once ([`gathering`]); many are left to the worker's
//! own thread, beside which it then does something else.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Things at once that whoever hands them in goes on with.
pub const FEW: usize = 8;
/// How often in a row somebody who is not its thread goes on with a worker.
const ROUNDS: usize = 4;

/// There is something to do.
const WOKEN: u8 = 1;
/// Somebody does it.
const RUNNING: u8 = 2;
/// There is nothing left that could be woken.
const ENDED: u8 = 4;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A worker and who runs it.
pub(super) struct Runner {
    state: AtomicU8,
    /// Locked by whoever has set [`RUNNING`], so nobody ever waits for it.
    run: Mutex<Option<Run>>,
    thread: OnceLock<Thread>,
    runtime: Handle,
}

thread_local! {
    /// Runners that were woken by this thread while it gathers them.
    static GATHERED: RefCell<Option<Vec<Arc<Runner>>>> = const { RefCell::new(None) };
}

/// Does something that hands workers a few things, and goes on with those that it woke.
pub fn gathering<T>(hand_in: impl FnOnce() -> T) -> T {
    if GATHERED.with_borrow(Option::is_some) {
        return hand_in();
    }
    GATHERED.set(Some(Vec::new()));
    let gathered = Gathered;
    let result = hand_in();
    let mut rounds = ROUNDS;
    while rounds > 0
        && let Some(runner) = gathered.next()
    {
        runner.go_on(&mut rounds);
    }
    result
}

/// Leaves those that were not gone on with to their threads, however the gathering ends.
struct Gathered;

impl Gathered {
    fn next(&self) -> Option<Arc<Runner>> {
        GATHERED.with_borrow_mut(|gathered| gathered.as_mut()?.pop())
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        for left in GATHERED.take().into_iter().flatten() {
            left.unpark();
        }
    }
}

impl Wake for Runner {
    fn wake(self: Arc<Self>) {
        // Whoever runs it looks again, and whoever has woken it before sees to it that somebody does.
        if self.state.fetch_or(WOKEN, Ordering::SeqCst) != 0 {
            return;
        }
        let left = GATHERED.try_with(|gathered| match &mut *gathered.borrow_mut() {
            Some(gathered) => {
                gathered.push(self.clone());
                false
            }
            None => true,
        });
        if left.unwrap_or(true) {
            self.unpark();
        }
    }
}

impl Runner {
    /// Runs it to its end, on a thread of this name that the tracker follows.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(
        name: String,
        run: impl Future<Output = ()> + Send + 'static,
        tracker: &TaskTracker,
    ) -> io::Result<()> {
        let runner = Arc::new(Runner {
            state: AtomicU8::new(WOKEN),
            run: Mutex::new(Some(Box::pin(run))),
            thread: OnceLock::new(),
            runtime: Handle::current(),
        });
        let (ended, has_ended) = tokio::sync::oneshot::channel::<()>();
        std::thread::Builder::new().name(name).spawn(move || {
            let _ended = ended;
            // The only one to set it.
            _ = runner.thread.set(std::thread::current());
            let mut rounds = usize::MAX;
            while runner.state.load(Ordering::SeqCst) & ENDED == 0 {
                runner.go_on(&mut rounds);
                if runner.state.load(Ordering::SeqCst) & (ENDED | WOKEN) == 0 {
                    std::thread::park();
                }
            }
        })?;
        tracker.spawn(async move { _ = has_ended.await });
        Ok(())
    }

    /// Goes on with it if it was woken and nobody else does, as often as it is woken meanwhile or until the rounds are over.
    fn go_on(self: &Arc<Self>, rounds: &mut usize) {
        if self.state.compare_exchange(WOKEN, RUNNING, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            return;
        }
        let waker = Waker::from(self.clone());
        loop {
            if self.poll(&mut Context::from_waker(&waker)).is_ready() {
                self.state.store(ENDED, Ordering::SeqCst);
                return self.unpark();
            }
            *rounds -= 1;
            if self.state.compare_exchange(RUNNING, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
                return;
            }
            if *rounds == 0 {
                self.state.store(WOKEN, Ordering::SeqCst);
                return self.unpark();
            }
            self.state.store(RUNNING, Ordering::SeqCst);
        }
    }

    /// A worker that panics has ended, and nobody who only went on with it ends with it.
    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut run = self.held();
        let Some(running) = run.as_mut() else { return Poll::Ready(()) };
        // Its timers belong to the runtime.
        let _entered = self.runtime.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context)));
        if !matches!(polled, Ok(Poll::Pending)) {
            let ended = run.take();
            // What it drops tells others that it has ended.
            let dropped: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| drop(ended)));
            if polled.is_err() || dropped.is_err() {
                tracing::error!("a worker panicked");
            }
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn held(&self) -> MutexGuard<'_, Option<Run>> {
        self.run.lock().expect("what it runs is caught where it panics")
    }

    fn unpark(&self) {
        // A thread that has not begun looks before it parks.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use std::thread::ThreadId;

    use tokio::sync::Notify;

    use super::*;

    /// On which threads something was polled, and what wakes it.
    #[derive(Default)]
    struct Seen {
        threads: Mutex<Vec<ThreadId>>,
        waker: Mutex<Option<Waker>>,
        ends: AtomicUsize,
        polled: Notify,
    }

    impl Seen {
        async fn run(self: Arc<Self>) {
            poll_fn(|context| {
                self.threads.lock().unwrap().push(std::thread::current().id());
                *self.waker.lock().unwrap() = Some(context.waker().clone());
                self.polled.notify_one();
                match self.ends.load(Ordering::SeqCst) {
                    0 => Poll::Pending,
                    1 => Poll::Ready(()),
                    _ => panic!("as it was told"),
                }
            })
            .await;
        }

        fn wake(&self) {
            let waker = self.waker.lock().unwrap().clone().expect("it was polled");
            waker.wake();
        }

        fn turns(&self) -> usize {
            self.threads.lock().unwrap().len()
        }

        fn last(&self) -> ThreadId {
            *self.threads.lock().unwrap().last().expect("it was polled")
        }
    }

    async fn start() -> (Arc<Seen>, TaskTracker) {
        let (seen, tracker) = (Arc::new(Seen::default()), TaskTracker::new());
        Runner::start("runner".into(), seen.clone().run(), &tracker).expect("there are threads");
        seen.polled.notified().await;
        // Until it has let go of it.
        while seen.turns() == 1 {
            gathering(|| seen.wake());
            tokio::task::yield_now().await;
        }
        (seen, tracker)
    }

    #[tokio::test]
    async fn whoever_gathers_goes_on_with_it_and_else_its_thread_does() {
        let (seen, tracker) = start().await;
        let here = std::thread::current().id();
        while seen.last() != here {
            gathering(|| seen.wake());
        }
        let before = seen.turns();
        gathering(|| (seen.wake(), seen.wake()));
        assert_eq!((seen.turns(), seen.last()), (before + 1, here), "two wakes, one turn");
        while seen.last() == here {
            seen.wake();
            tokio::task::yield_now().await;
        }
        seen.ends.store(1, Ordering::SeqCst);
        gathering(|| seen.wake());
        tracker.close();
        tracker.wait().await;
        let ended = seen.turns();
        gathering(|| seen.wake());
        assert_eq!(seen.turns(), ended, "it has ended");
    }

    #[tokio::test]
    async fn what_panics_has_ended_and_takes_nobody_along() {
        let (seen, tracker) = start().await;
        seen.ends.store(2, Ordering::SeqCst);
        gathering(|| seen.wake());
        seen.wake();
        tracker.close();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn no_wake_is_lost_however_many_give() {
        let turns = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), Mutex::<Option<Waker>>::default()));
        let (tracker, total) = (TaskTracker::new(), 4 * 20_000);
        let done = turns.clone();
        let run = poll_fn(move |context| {
            *done.2.lock().unwrap() = Some(context.waker().clone());
            done.1.store(done.0.load(Ordering::SeqCst), Ordering::SeqCst);
            if done.1.load(Ordering::SeqCst) == total { Poll::Ready(()) } else { Poll::Pending }
        });
        Runner::start("runner".into(), run, &tracker).expect("there are threads");
        while turns.2.lock().unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        std::thread::scope(|scope| {
            for number in 0..4 {
                let turns = turns.clone();
                scope.spawn(move || {
                    for _ in 0..total / 4 {
                        turns.0.fetch_add(1, Ordering::SeqCst);
                        let waker = turns.2.lock().unwrap().clone().expect("it was polled");
                        if number % 2 == 0 { gathering(|| waker.wake()) } else { waker.wake() }
                    }
                });
            }
        });
        tracker.close();
        tracker.wait().await;
        assert_eq!(turns.1.load(Ordering::SeqCst), total);
    }
}
