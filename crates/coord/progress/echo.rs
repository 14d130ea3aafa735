//! Keeps the terminal from showing `^C` where it is typed: that would move the cursor, and leave a
//! line of the bar behind.

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use std::io::{Stderr, stderr};

/// As long as this lives; then the terminal is as it was.
pub(super) struct QuietInterrupt {
    terminal: Stderr,
    before: Termios,
}

impl QuietInterrupt {
    /// `None` where this is no terminal, or the process is in the background: trying to change the
    /// terminal would then stop it.
    pub(super) fn new() -> Option<Self> {
        let terminal = stderr();
        let before = tcgetattr(&terminal).ok()?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHOCTL);
        set(&terminal, &quiet).then_some(Self { terminal, before })
    }
}

impl Drop for QuietInterrupt {
    fn drop(&mut self) {
        set(&self.terminal, &self.before);
    }
}

/// Whether it could be set.
fn set(terminal: &Stderr, modes: &Termios) -> bool {
    tcgetpgrp(terminal).is_ok_and(|foreground| foreground == getpgrp())
        && tcsetattr(terminal, OptionalActions::Now, modes).is_ok()
}
