//! Whose turn it is: urgent work first, and none starves.

use ohx_events::Priority;

/// Orders the queues of one function for each pick.
///
/// High comes before normal, normal before low; but one pick in eight looks at low first, and one at normal. A queue
/// that holds anything is therefore served at least once in eight picks, however full the ones before it are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fair {
    picks: usize,
}

/// The length of the cycle, in picks.
const CYCLE: usize = 8;

impl Fair {
    /// The order of the `ahead`-th pick from now (0 is the next one).
    pub const fn order(&self, ahead: usize) -> [Priority; 3] {
        match self.picks.wrapping_add(ahead) % CYCLE {
            3 => [Priority::Normal, Priority::High, Priority::Low],
            7 => [Priority::Low, Priority::High, Priority::Normal],
            _ => [Priority::High, Priority::Normal, Priority::Low],
        }
    }

    /// Counts `picks` that found something.
    pub const fn advance(&mut self, picks: usize) {
        self.picks = self.picks.wrapping_add(picks) % CYCLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_first_within_a_cycle_and_high_is_first_in_most() {
        let mut fair = Fair::default();
        for start in 0..20 {
            let firsts: Vec<_> = (0..CYCLE).map(|ahead| fair.order(ahead)[0]).collect();
            assert!(Priority::ALL.iter().all(|p| firsts.contains(p)), "from pick {start}: {firsts:?}");
            assert_eq!(firsts.iter().filter(|p| **p == Priority::High).count(), 6);
            let next = fair.order(1);
            fair.advance(1);
            assert_eq!(fair.order(0), next);
        }
    }
}
