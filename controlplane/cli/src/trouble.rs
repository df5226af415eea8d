//! Why a command did not succeed, and the exit code that says so.

use std::fmt;
use std::process::ExitCode;

use serde::Deserialize;

#[derive(Debug)]
pub(crate) enum Trouble {
    /// The control plane said no. Exit code 1.
    Refused(Box<Refusal>),
    /// Something was asked for and did not come about. Exit code 1.
    Failed(String),
    /// Bad input on this side of the wire. Exit code 2.
    Local(String),
    /// No answer. Exit code 3.
    Unreachable(String),
    /// Whoever read our output has had enough: no fault of anybody's.
    OutputClosed,
}

/// An error as the API words it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) faults: Vec<ApiFault>,
    pub(crate) faults_omitted: u64,
    pub(crate) retry_after: Option<String>,
    /// What to do about it, as far as this side knows.
    pub(crate) advice: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ApiFault {
    #[serde(default)]
    pub(crate) document: usize,
    #[serde(default)]
    pub(crate) path: String,
    pub(crate) message: String,
}

impl Trouble {
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Trouble::OutputClosed => ExitCode::SUCCESS,
            Trouble::Refused(_) | Trouble::Failed(_) => ExitCode::from(1),
            Trouble::Local(_) => ExitCode::from(2),
            Trouble::Unreachable(_) => ExitCode::from(3),
        }
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Trouble::Refused(refusal) if refusal.status == 404)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Refused(refusal) => refusal.fmt(f),
            Trouble::Failed(why) | Trouble::Local(why) | Trouble::Unreachable(why) => f.write_str(why),
            Trouble::OutputClosed => f.write_str("nobody reads the output"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        // A single fault is often the whole message.
        let news = self.faults.iter().filter(|fault| !self.message.contains(&fault.message));
        for fault in news {
            let colon = if fault.path.is_empty() { "" } else { ": " };
            write!(f, "\n  {}{colon}{}", fault.path, fault.message)?;
        }
        if self.faults_omitted > 0 {
            write!(f, "\n  and {} more", self.faults_omitted)?;
        }
        if let Some(seconds) = &self.retry_after {
            write!(f, "\nTry again in {seconds} s.")?;
        }
        if let Some(advice) = &self.advice {
            write!(f, "\n{advice}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str, faults: &[&str]) -> Refusal {
        let fault =
            |message: &&str| ApiFault { document: 0, path: "Key/a.team".into(), message: (*message).to_owned() };
        Refusal { message: message.into(), faults: faults.iter().map(fault).collect(), ..Refusal::default() }
    }

    #[test]
    fn what_the_message_says_is_not_said_again() {
        let one = refusal("Key/a.team: there is no Team `b`", &["there is no Team `b`"]);
        assert_eq!(one.to_string(), "Key/a.team: there is no Team `b`");
        let two = refusal("2 faults", &["x", "y"]);
        assert_eq!(two.to_string(), "2 faults\n  Key/a.team: x\n  Key/a.team: y");
    }

    #[test]
    fn the_code_the_omitted_and_the_advice_have_their_places() {
        let refusal = Refusal {
            code: "store_unavailable".into(),
            faults_omitted: 3,
            retry_after: Some("2".into()),
            advice: Some("Look.".into()),
            ..refusal("down", &[])
        };
        assert_eq!(refusal.to_string(), "down (store_unavailable)\n  and 3 more\nTry again in 2 s.\nLook.");
    }
}
