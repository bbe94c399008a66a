//! Work on large documents, done so that it holds up nobody else.

use tokio::runtime::{Handle, RuntimeFlavor};

/// What takes longer than handing the thread's other tasks to another one: below it a parse takes
/// a fraction of a millisecond.
const BYTES_MIN: usize = 64 << 10;

/// Does work on about so many bytes: to parse, hash, compare or write them.
///
/// A document of 10 MiB takes its thread tens of milliseconds, in which whatever else waits for
/// that thread would stand still; so its other tasks go on elsewhere meanwhile. The work is done
/// when this returns, in its caller's order: what a connection sends is decided as it came.
///
/// A runtime of one thread has nowhere else to go, and only works.
pub fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let many = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
    match bytes >= BYTES_MIN && Handle::try_current().is_ok_and(many) {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// The work waits for a task that has no thread but the one that works.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn others_go_on_while_large_bytes_are_worked_on() {
        let (tell, told) = mpsc::channel();
        let work = tokio::spawn(async move {
            tokio::spawn(async move { tell.send("the other task ran") });
            aside(BYTES_MIN, || told.recv_timeout(Duration::from_secs(20)))
        });
        assert_eq!(work.await.unwrap(), Ok("the other task ran"));
    }

    #[tokio::test]
    async fn one_thread_works_by_itself() {
        assert_eq!(aside(BYTES_MIN, || 7), 7);
    }

    #[test]
    fn no_runtime_is_needed() {
        assert_eq!(aside(usize::MAX, || 7), 7);
    }
}
