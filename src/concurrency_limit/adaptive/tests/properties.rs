//! What holds whatever requests become.

use std::{ops::RangeInclusive, time::Duration};

use proptest::{collection::vec, prelude::*};

use super::super::{Aimd, Gradient2, LimitAlgorithm, Outcome, Sample, Vegas};

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        (0u64..10_000_000_000).prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_secs),
    ]
}

fn any_weight() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..300, Just(usize::MAX), any::<usize>()]
}

prop_compose! {
    fn any_sample()(
        at in any_duration(),
        latency in any_duration(),
        weight in any_weight(),
        in_flight in any_weight(),
        success in any::<bool>(),
    ) -> Sample {
        let outcome = if success { Outcome::Success } else { Outcome::Overload };
        Sample { weight, ..Sample::new(at, latency, in_flight, outcome) }
    }
}

/// Samples in the order of time, in whose windows something happens.
fn a_busy_time() -> impl Strategy<Value = Vec<Sample>> {
    let sample = (0u64..20, 0u64..200, 0usize..300, 0u32..20);
    vec(sample, 0..3000).prop_map(|samples| {
        let mut at = Duration::ZERO;
        let sample = |(gap, latency, in_flight, fails)| {
            at += Duration::from_millis(gap);
            let outcome = match fails {
                0 => Outcome::Overload,
                _ => Outcome::Success,
            };
            Sample::new(at, Duration::from_millis(latency), in_flight, outcome)
        };
        samples.into_iter().map(sample).collect()
    })
}

fn any_range() -> impl Strategy<Value = RangeInclusive<usize>> {
    let least = 1usize..100;
    let more = prop_oneof![0usize..400, Just(usize::MAX >> 13)];
    (least, more).prop_map(|(least, more)| least..=least + more)
}

fn check<L: LimitAlgorithm + Clone>(mut limit: L, range: &RangeInclusive<usize>, said: &[Sample]) {
    let mut twin = limit.clone();
    assert!(range.contains(&limit.limit()), "{limit:?}");
    for sample in said {
        let now = limit.observe(sample);
        assert!(range.contains(&now), "{now}: {limit:?}");
        assert_eq!(now, limit.limit());
        assert_eq!(now, twin.observe(sample));
        assert!(!format!("{limit:?}").contains("NaN"), "{limit:?}");
    }
}

fn check_each(initial: usize, range: &RangeInclusive<usize>, said: &[Sample]) {
    let aimd = Aimd::new().initial(initial).range(range.clone());
    check(aimd.clone(), range, said);
    check(aimd.window(Duration::ZERO).backoff(0.5), range, said);
    let vegas = Vegas::new().initial(initial).range(range.clone());
    check(vegas.clone(), range, said);
    let hasty = vegas.window(Duration::ZERO).queue(1.0..=1e9);
    check(hasty.recheck(Duration::from_nanos(1)), range, said);
    let gradient = Gradient2::new().initial(initial).range(range.clone());
    check(gradient.clone(), range, said);
    let hasty = gradient.window(Duration::ZERO).smoothing(1.0).queue(99.0);
    check(hasty.recheck(Duration::from_nanos(1)), range, said);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_sample_moves_a_limit_out_of_its_range(
        initial in 1usize..500,
        range in any_range(),
        said in vec(any_sample(), 0..600),
    ) {
        check_each(initial, &range, &said);
    }

    #[test]
    fn no_load_moves_a_limit_out_of_its_range(
        initial in 1usize..500,
        range in any_range(),
        said in a_busy_time(),
    ) {
        check_each(initial, &range, &said);
    }
}
