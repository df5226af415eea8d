//! Seeded randomness, so that two runs offer the same load.

use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    #[must_use]
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In (0, 1]: never 0, so that a logarithm may follow.
    fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        (f64::from(bits) + 1.0) / 4_294_967_296.0
    }

    /// The pause before the next arrival of a Poisson process.
    pub fn pause(&mut self, per_second: f64) -> Duration {
        Duration::from_secs_f64(-self.unit().ln() / per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_arrivals_and_their_mean_is_the_rate() {
        let (mut one, mut two) = (Dice::new(7), Dice::new(7));
        let mut sum = Duration::ZERO;
        for _ in 0..20_000 {
            let pause = one.pause(500.0);
            assert_eq!(pause, two.pause(500.0));
            sum += pause;
        }
        let seconds = sum.as_secs_f64();
        assert!((38.5..41.5).contains(&seconds), "{seconds}");
    }
}
