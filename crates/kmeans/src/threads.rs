//! Doing several things at the same time, with as many threads as there are to be had.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

/// Does all `tasks` at the same time: the first on this thread, each other on one of its own, or on
/// this one too where the system has no more (a limit on processes or memory). Returns their results
/// in the order of the tasks.
///
/// # Panics
/// Where a task does.
pub fn side_by_side<T: Send, F: FnOnce() -> T + Send>(
    tasks: impl IntoIterator<Item = F>,
) -> Vec<T> {
    let mut tasks = tasks.into_iter();
    let first = tasks.next();
    // A thread that cannot be started would take its task with it.
    let others: Vec<_> = tasks.map(|task| Mutex::new(Some(task))).collect();
    let take = |task: &Mutex<Option<F>>| {
        let task = task.lock().unwrap_or_else(PoisonError::into_inner).take();
        task.expect("each task is done once")()
    };
    thread::scope(|scope| {
        let start = |task| Builder::new().spawn_scoped(scope, move || take(task));
        let threads: Vec<_> = others.iter().map(start).collect();
        let mut results: Vec<T> = first.into_iter().map(|task| task()).collect();
        results.extend(threads.into_iter().zip(&others).map(|(thread, task)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => take(task),
        }));
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_are_in_the_order_of_tasks_and_each_is_done_once() {
        for count in [0, 1, 2, 7] {
            let done = AtomicUsize::new(0);
            let task = |index| {
                let done = &done;
                move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    index
                }
            };
            let results = side_by_side((0..count).map(task));
            assert!(results.into_iter().eq(0..count));
            assert_eq!(done.into_inner(), count);
        }
    }

    #[test]
    #[should_panic(expected = "the third")]
    fn a_tasks_panic_is_the_callers() {
        side_by_side((0..4).map(|index| move || assert!(index != 2, "the third")));
    }
}
