//! The signals that end a scan, or suspend it.

use crate::exit::{Exit, Failure};
use std::io;
use std::thread;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Waits for them.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    suspend: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// To end.
    Stop(StopSignal),
    /// To stand still until SIGCONT: Ctrl-Z.
    Suspend,
}

/// Which one asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopSignal {
    Interrupt,
    Terminate,
    Hangup,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(nix::libc::SIGTSTP))?,
        })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::Stop(StopSignal::Interrupt),
            _ = self.terminate.recv() => Request::Stop(StopSignal::Terminate),
            _ = self.hangup.recv() => Request::Stop(StopSignal::Hangup),
            _ = self.suspend.recv() => Request::Suspend,
        }
    }

    /// What `make` gives, on a thread of its own called `name`; the signal to end, where one comes
    /// first: nobody waits for that thread any more.
    pub(crate) async fn unless_one_comes<T: Send + 'static>(
        &mut self,
        name: &str,
        make: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<Result<T, StopSignal>, Failure> {
        let (sender, made) = oneshot::channel();
        let make = move || {
            // A signal may have come meanwhile.
            let _ = sender.send(make());
        };
        thread::Builder::new().name(name.to_owned()).spawn(make)?;
        tokio::select! {
            made = made => made
                .map_err(|_| {
                    let cause = "preparing the data ended in a panic, which is told above";
                    Failure::new(Exit::Internal, cause, "please report this")
                })?
                .map(Ok),
            signal = self.next_stop() => Ok(Err(signal)),
        }
    }

    /// The next one that asks to end; this process stands still where one asks for that.
    pub(crate) async fn next_stop(&mut self) -> StopSignal {
        loop {
            match self.next().await {
                Request::Stop(signal) => return signal,
                Request::Suspend => {
                    stand_still();
                }
            }
        }
    }
}

/// Stops this process until SIGCONT, and tells for how long that was.
pub(crate) fn stand_still() -> Duration {
    let before = Instant::now();
    // SIGSTOP of oneself does not fail.
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
    before.elapsed()
}

impl StopSignal {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::Hangup => "SIGHUP",
        }
    }

    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate | Self::Hangup => Exit::Terminated,
        }
    }
}
