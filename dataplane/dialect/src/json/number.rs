//! Numbers, by the grammar alone: a number of a thousand digits is a number.

use super::{Flaw, Scanner, What};

impl Scanner<'_> {
    /// The scanner stands at the sign or the first digit.
    pub(super) fn number(&mut self) -> Result<(), Flaw> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
            if matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(self.flaw(What::Number));
            }
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Flaw> {
        let n_digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += n_digits;
        match self.byte() {
            _ if 0 < n_digits => Ok(()),
            Some(_) => Err(self.flaw(What::Number)),
            None => Err(self.flaw(What::End)),
        }
    }
}
