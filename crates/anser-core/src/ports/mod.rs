//! What the core needs from outside. Batch-shaped, few methods, one error enum each that says
//! whether a retry can help. Only drivers poll the futures; the engine sees inputs and effects.

pub mod clock;
pub mod disk;
pub mod log;
pub mod random;

use std::future::Future;
use std::pin::Pin;

/// What every port method returns: owned, boxed, polled by a driver alone.
pub type PortFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;
