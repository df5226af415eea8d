//! What the operator sees: results on stdout, everything said about them on stderr.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::trouble::Trouble;

/// Results, as they are, with a line end after them if they have none.
pub(crate) fn out(text: &str) -> Result<(), Trouble> {
    let mut stdout = io::stdout().lock();
    let end: &[u8] = if text.is_empty() || text.ends_with('\n') { b"" } else { b"\n" };
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(end)).and_then(|()| stdout.flush());
    written.map_err(|why| match why.kind() {
        io::ErrorKind::BrokenPipe => Trouble::OutputClosed,
        _ => Trouble::Failed(format!("cannot write the output: {why}")),
    })
}

/// A line about what is going on.
pub(crate) fn note(text: impl Display) {
    // There is nowhere left to say that stderr is gone.
    _ = writeln!(io::stderr().lock(), "{text}");
}

pub(crate) fn warn(text: impl Display) {
    note(format_args!("{} {text}", Paint::of(&io::stderr()).yellow("warning:")));
}

pub(crate) fn trouble(trouble: &Trouble) -> ExitCode {
    if !matches!(trouble, Trouble::OutputClosed) {
        note(format_args!("{} {trouble}", Paint::of(&io::stderr()).red("error:")));
    }
    trouble.exit_code()
}

/// Help and version are results; everything else the parser says is a fault of the call.
pub(crate) fn usage(asked: &clap::Error) -> ExitCode {
    match asked.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match out(&asked.to_string()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(trouble) => trouble.exit_code(),
        },
        _ => {
            note(asked.to_string().trim_end());
            ExitCode::from(2)
        }
    }
}

/// Colours, where there is an eye to see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    #[cfg(test)]
    pub(crate) const NONE: Paint = Paint { on: false };

    pub(crate) fn of(stream: &impl IsTerminal) -> Paint {
        let said_no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Paint { on: stream.is_terminal() && !said_no && !dumb }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.dress("1", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.dress("1;31", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.dress("1;33", text)
    }

    fn dress(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
