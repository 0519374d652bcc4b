//! From single checks to health. Pure.

use super::Health;

/// Counts checks in a row. The first one decides alone, so that a backend that starts broken takes no requests.
#[derive(Debug)]
pub(super) struct Judge {
    rise: u32,
    fall: u32,
    health: Health,
    /// Checks in a row that contradict `health`.
    contradictions: u32,
}

impl Judge {
    pub(super) fn new(rise: u32, fall: u32) -> Self {
        Self { rise, fall, health: Health::Unknown, contradictions: 0 }
    }

    /// Takes one check into account and says what the backend's health is now.
    pub(super) fn observe(&mut self, success: bool) -> Health {
        let (seen, needed) = if success { (Health::Healthy, self.rise) } else { (Health::Unhealthy, self.fall) };
        self.contradictions = if seen == self.health { 0 } else { self.contradictions + 1 };
        if self.health == Health::Unknown || self.contradictions >= needed {
            self.health = seen;
            self.contradictions = 0;
        }
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(checks: &str) -> String {
        let mut judge = Judge::new(2, 3);
        let letter = |health| if health == Health::Healthy { 'H' } else { 'U' };
        checks.chars().map(|c| letter(judge.observe(c == '+'))).collect()
    }

    #[test]
    fn first_check_decides_alone() {
        assert_eq!(run("+"), "H");
        assert_eq!(run("-"), "U");
    }

    #[test]
    fn falls_after_three_failures_and_rises_after_two_successes() {
        assert_eq!(run("+---++"), "HHHUUH");
    }

    #[test]
    fn only_checks_in_a_row_count() {
        assert_eq!(run("+--+--+"), "HHHHHHH");
        assert_eq!(run("-+-+-++"), "UUUUUUH");
    }
}
