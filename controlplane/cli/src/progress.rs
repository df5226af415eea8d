//! Saying how a wait goes: one line that changes on a terminal, a new line for each change elsewhere.

use std::io::{self, IsTerminal, Write};

use crate::screen;

#[derive(Debug)]
pub(crate) struct Progress {
    terminal: bool,
    said: String,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { terminal: io::stderr().is_terminal(), said: String::new() }
    }

    pub(crate) fn say(&mut self, text: &str) {
        if text == self.said {
            return;
        }
        text.clone_into(&mut self.said);
        if self.terminal {
            // Back to the first column, write, clear what the longer line before left over.
            let mut stderr = io::stderr().lock();
            _ = write!(stderr, "\r{text}\x1b[K").and_then(|()| stderr.flush());
        } else {
            screen::note(text);
        }
    }
}

/// Leaves the last word standing on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal && !self.said.is_empty() {
            screen::note("");
        }
    }
}
