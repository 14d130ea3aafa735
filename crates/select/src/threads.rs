//! Doing parts of a job on several threads.

use std::thread;

/// Lets `work` make something of each of `items`, on at most so many threads, this one among them:
/// each takes consecutive ones. What they make comes back in order. Where the system refuses
/// another thread, this one does its part.
pub(crate) fn on_threads<I: Sync, T: Send>(
    items: &[I],
    threads: usize,
    work: impl Fn(&[I]) -> T + Sync,
) -> Vec<T> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let work = &work;
    thread::scope(|scope| {
        let mut shares = items.chunks(share);
        let own = shares.next();
        let others: Vec<_> = shares
            .map(|items| {
                let worker = thread::Builder::new().spawn_scoped(scope, move || work(items));
                worker.map_err(|_| items)
            })
            .collect();
        let mut made: Vec<T> = own.into_iter().map(work).collect();
        made.extend(others.into_iter().map(|other| match other {
            Ok(worker) => worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(items) => work(items),
        }));
        made
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_comes_back_in_order() {
        let items: Vec<u32> = (0..23).collect();
        for threads in [0, 1, 2, 3, 22, 23, 100] {
            assert_eq!(on_threads(&items, threads, <[u32]>::to_vec).concat(), items);
        }
        assert!(on_threads(&[], 3, <[u32]>::to_vec).is_empty());
    }
}
