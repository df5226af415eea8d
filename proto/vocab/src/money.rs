//! Money in nano-dollars. No float can become Money.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tokens::Tokens;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub u64);

impl Money {
    pub const ZERO: Money = Money(0);

    #[must_use]
    pub fn saturating_add(self, other: Money) -> Money {
        Money(self.0.saturating_add(other.0))
    }
}

/// In dollars, with all nine decimals: nothing is rounded away.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// Nano-dollars for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Price(pub u64);

impl Price {
    /// What so many tokens cost, rounded up once. `None` when it is more than Money can hold.
    #[must_use]
    pub fn of(self, tokens: Tokens) -> Option<Money> {
        let product = u128::from(self.0) * u128::from(tokens.0);
        u64::try_from(product.div_ceil(1_000_000)).ok().map(Money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_up_once() {
        let price = Price(2_800_000); // $0.0028 per million
        assert_eq!(price.of(Tokens(10)), Some(Money(28)));
        assert_eq!(price.of(Tokens(1)), Some(Money(3)));
        assert_eq!(price.of(Tokens(0)), Some(Money(0)));
        assert_eq!(Price(u64::MAX).of(Tokens(u64::MAX)), None);
    }

    #[test]
    fn money_prints_every_nano() {
        assert_eq!(Money(1_000_000_003).to_string(), "1.000000003");
    }
}
