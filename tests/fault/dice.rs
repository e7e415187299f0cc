//! Every decision of a world: a function of its seed and of the name of the step, and of nothing else. What one step
//! decides does not depend on how many decisions came before it, so that a replay whose timing differs a little still
//! injects the same faults.

/// The dice of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number for a step.
    pub fn roll(self, step: &str) -> u64 {
        // FNV-1a over the name, then the finalizer of SplitMix64: neighbouring seeds and names have nothing in common.
        let hash = step.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut mixed = hash ^ self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end`, which is not among them.
    pub fn below(self, step: &str, end: u64) -> u64 {
        self.roll(step) % end.max(1)
    }

    /// A number from `first` to `last`, both among them.
    pub fn between(self, step: &str, first: u64, last: u64) -> u64 {
        first + self.below(step, last.saturating_sub(first) + 1)
    }

    /// Whether something happens that happens so many times in a thousand.
    pub fn chance(self, step: &str, per_mille: u64) -> bool {
        self.below(step, 1_000) < per_mille
    }

    /// One of several.
    pub fn pick<T: Copy>(self, step: &str, among: &[T]) -> T {
        among[self.below(step, among.len() as u64) as usize]
    }
}

#[test]
fn a_decision_depends_on_its_seed_and_its_name_alone() {
    let rolls = |seed: u64| {
        (0..500).map(|step| Dice::new(seed).below(&format!("step {step}"), 10)).collect::<Vec<_>>()
    };
    assert_eq!(rolls(7), rolls(7));
    assert_ne!(rolls(7), rolls(8));
    for number in 0..10 {
        let share = rolls(7).iter().filter(|n| **n == number).count();
        assert!((25..=80).contains(&share), "{number}: {share} of 500");
    }
    // The same name under neighbouring seeds.
    let hits = (0..1_000).filter(|seed| Dice::new(*seed).chance("the same", 100)).count();
    assert!((60..=140).contains(&hits), "{hits}");
}
