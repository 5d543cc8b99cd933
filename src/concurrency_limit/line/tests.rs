//! The line beside an oracle: a plain list of all who are in and all who wait, which looks at each of
//! them whenever it is asked who is next.
#![allow(clippy::unwrap_used)] // In a test it is an assertion.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    time::Duration,
};

use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    super::gate::{Entry, Gate},
    *,
};

type Key = u8;

/// One who is in, or waits.
#[derive(Clone, Debug)]
struct One {
    number: Number,
    ticket: Ticket<Key>,
}

#[derive(Clone, Debug)]
struct Oracle {
    rules: Rules,
    limit: usize,
    /// Their tickets say what was taken.
    inside: Vec<One>,
    /// In the order of coming.
    waits: Vec<One>,
    /// Classes, and the keys of each, in the order of their turns.
    classes: Vec<usize>,
    keys: Vec<Vec<Option<Key>>>,
}

impl Oracle {
    fn new(rules: &Rules, limit: usize) -> Self {
        Self {
            limit,
            inside: Vec::new(),
            waits: Vec::new(),
            classes: (0..rules.classes.len()).collect(),
            keys: vec![Vec::new(); rules.classes.len()],
            rules: rules.clone(),
        }
    }

    fn priority(&self, class: usize) -> i32 {
        self.rules.classes[class].priority
    }

    fn kept(&self, class: usize) -> usize {
        let all: usize = self.rules.classes.iter().map(|share| share.reserve).sum();
        let own = self.rules.classes[class].reserve;
        if all > self.limit {
            own * self.limit / all
        } else {
            own
        }
    }

    /// How much those use for whom this is true.
    fn used(&self, which: impl Fn(&Ticket<Key>) -> bool) -> usize {
        let inside = self.inside.iter().filter(|one| which(&one.ticket));
        inside.map(|one| one.ticket.cost).sum()
    }

    fn all_classes(&self) -> std::ops::Range<usize> {
        0..self.rules.classes.len()
    }

    fn price(&self, ticket: &Ticket<Key>) -> usize {
        let others = self.all_classes().filter(|class| *class != ticket.class);
        let kept: usize = others.map(|class| self.kept(class)).sum();
        ticket.cost.min(self.limit - kept).max(1)
    }

    fn key_has_room(&self, ticket: &Ticket<Key>) -> bool {
        let used = self.used(|inside| inside.key == ticket.key);
        match (&self.rules.per_key, ticket.key) {
            (Some(per_key), Some(_)) => used == 0 || used + ticket.cost <= per_key.max,
            _ => true,
        }
    }

    /// Whether one fits in, so that each other class can still have what is kept for it.
    fn fits(&self, ticket: &Ticket<Key>) -> bool {
        let total = self.used(|_| true);
        let of = |class| self.used(|inside| inside.class == class);
        let owed = |class: usize| self.kept(class).saturating_sub(of(class));
        let others = self.all_classes().filter(|class| *class != ticket.class);
        let owed_to_others: usize = others.map(owed).sum();
        let price = self.price(ticket);
        // Where nothing can ever be left for a class, it has one in what the others leave.
        let kept: usize = self.all_classes().map(|class| self.kept(class)).sum();
        let is_poor = self.kept(ticket.class) == 0 && kept == self.limit;
        let beyond = self.all_classes().any(|class| of(class) > self.kept(class));
        let is_first = is_poor && of(ticket.class) == 0 && !beyond;
        total + price <= self.limit
            && (price <= owed(ticket.class)
                || total + price + owed_to_others <= self.limit
                || is_first)
    }

    fn is_within_kept(&self, ticket: &Ticket<Key>) -> bool {
        let used = self.used(|inside| inside.class == ticket.class);
        self.price(ticket) + used <= self.kept(ticket.class)
    }

    /// Whether another one of the key, who is as urgent at least, waits for those who are in.
    fn is_claimed(&self, ticket: &Ticket<Key>) -> bool {
        let mut seen = Vec::new();
        let firsts = self.waits.iter().filter(|one| {
            let lane = (one.ticket.class, one.ticket.key);
            let is_first = !seen.contains(&lane);
            seen.push(lane);
            is_first
        });
        let others = firsts.filter(|one| {
            one.ticket.key == ticket.key
                && one.ticket.class != ticket.class
                && self.priority(one.ticket.class) >= self.priority(ticket.class)
        });
        others
            .into_iter()
            .any(|one| !self.key_has_room(&one.ticket))
    }

    /// The first of each lane, in the order of their turns, and what keeps him.
    fn next(&mut self) -> Option<One> {
        let mut order = self.classes.clone();
        order.sort_by_key(|class| Reverse(self.priority(*class)));
        let mut only_kept = false;
        for class in order {
            let mut candidate = None;
            let mut passed = Vec::new();
            for key in self.keys[class].clone() {
                let first = self
                    .waits
                    .iter()
                    .find(|one| one.ticket.class == class && one.ticket.key == key);
                let first = first.unwrap().clone();
                if !self.key_has_room(&first.ticket) || self.is_claimed(&first.ticket) {
                    passed.push(key);
                    continue;
                }
                candidate = Some(first);
                break;
            }
            self.keys[class].retain(|key| !passed.contains(key));
            self.keys[class].extend(passed);
            let Some(one) = candidate else { continue };
            if only_kept && !self.is_within_kept(&one.ticket) || !self.fits(&one.ticket) {
                only_kept = true;
                continue;
            }
            self.classes.retain(|other| *other != class);
            self.classes.push(class);
            return Some(one);
        }
        None
    }

    fn unlist(&mut self, number: Number) -> Option<One> {
        let place = self.waits.iter().position(|one| one.number == number)?;
        let one = self.waits.remove(place);
        let Ticket { class, key, .. } = one.ticket;
        let is_left = |other: &One| other.ticket.class == class && other.ticket.key == key;
        if !self.waits.iter().any(is_left) {
            self.keys[class].retain(|other| *other != key);
        }
        Some(one)
    }

    fn join(&mut self, one: One) {
        let turns = &mut self.keys[one.ticket.class];
        if !turns.contains(&one.ticket.key) {
            turns.push(one.ticket.key);
        }
        self.waits.push(one);
    }

    /// Lets in as many as may. Their numbers, in order.
    fn admit(&mut self) -> Vec<Number> {
        let mut admitted = Vec::new();
        while let Some(mut one) = self.next() {
            self.unlist(one.number);
            let key = one.ticket.key;
            if self.keys[one.ticket.class].contains(&key) {
                self.keys[one.ticket.class].retain(|other| *other != key);
                self.keys[one.ticket.class].push(key);
            }
            one.ticket.cost = self.price(&one.ticket);
            admitted.push(one.number);
            self.inside.push(one);
        }
        admitted
    }
}

/// The line as it is used by a gate, in step with the oracle.
struct Pair {
    line: Line<Key>,
    oracle: Oracle,
    in_use: usize,
    now: Instant,
    /// Of those that came in at once.
    unnumbered: Number,
    /// The order in which those of a key came, by class.
    served: Vec<One>,
}

#[derive(Clone, Debug)]
enum Step {
    Come(Ticket<Key>),
    GoOut(usize),
    Leave(usize),
    Resize(usize),
}

impl Pair {
    fn new(rules: &Rules, limit: usize) -> Self {
        Self {
            line: Line::new(rules.clone()),
            oracle: Oracle::new(rules, limit),
            in_use: 0,
            now: Instant::now(),
            unnumbered: 1 << 32,
            served: Vec::new(),
        }
    }

    fn take(&mut self, price: usize) -> bool {
        let is_there = self.in_use + price <= self.oracle.limit;
        self.in_use += if is_there { price } else { 0 };
        is_there
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Come(ticket) => self.come(ticket),
            Step::GoOut(which) if !self.oracle.inside.is_empty() => {
                let which = which % self.oracle.inside.len();
                let one = self.oracle.inside.remove(which);
                self.line.exit(&one.ticket);
                self.in_use -= one.ticket.cost;
            }
            Step::Leave(which) if !self.oracle.waits.is_empty() => {
                let which = which % self.oracle.waits.len();
                let one = self.oracle.waits[which].clone();
                let by_key = !self.oracle.key_has_room(&one.ticket);
                self.oracle.unlist(one.number);
                match self.line.leave(one.number) {
                    Left::Waiting { by_key: told, .. } => assert_eq!(told, by_key),
                    left => panic!("{left:?}"),
                }
            }
            Step::Resize(limit) => self.oracle.limit = *limit,
            Step::GoOut(_) | Step::Leave(_) => {}
        }
        self.admit();
        self.check();
    }

    fn come(&mut self, ticket: &Ticket<Key>) {
        let limit = self.oracle.limit;
        if let Some(price) = self.line.lets_in(ticket, limit)
            && self.take(price)
        {
            let ticket = Ticket {
                cost: price,
                ..ticket.clone()
            };
            assert_eq!(price, self.oracle.price(&ticket));
            // Who goes in at once overtakes nobody who would go in before him.
            let number = self.unnumbered;
            self.unnumbered += 1;
            assert!(self.oracle.fits(&ticket) && self.oracle.key_has_room(&ticket));
            let one = One { number, ticket };
            let mut oracle = self.oracle.clone();
            oracle.join(one.clone());
            assert_eq!(oracle.next().map(|one| one.number), Some(number));
            self.line.enter(&one.ticket);
            self.oracle.inside.push(one);
            return;
        }
        match self.line.join(ticket.clone(), self.now) {
            Ok((number, _, _)) => {
                // Whoever had to go for him.
                let gone =
                    self.oracle.waits.iter().find(|one| {
                        matches!(self.line.waiters[&one.number].state, State::Displaced)
                    });
                if let Some(gone) = gone.map(|one| one.number) {
                    let gone = self.oracle.unlist(gone).unwrap();
                    let less = self.oracle.priority(gone.ticket.class)
                        < self.oracle.priority(ticket.class);
                    let same = self.oracle.priority(gone.ticket.class)
                        == self.oracle.priority(ticket.class);
                    let of = |ticket: &Ticket<Key>| (ticket.class, ticket.key);
                    assert!(less || same && of(&gone.ticket) != of(ticket));
                    assert!(matches!(self.line.leave(gone.number), Left::Displaced));
                }
                self.oracle.join(One {
                    number,
                    ticket: ticket.clone(),
                });
            }
            Err(Refusal::KeyFull) => {
                let places = self.oracle.rules.per_key.unwrap().places;
                let waits = self.oracle.waits.iter();
                let waits = waits.filter(|one| one.ticket.key == ticket.key);
                assert_eq!(waits.count(), places);
            }
            Err(Refusal::Full) => assert_eq!(self.oracle.waits.len(), self.oracle.rules.places),
            Err(Refusal::Displaced) => panic!("he has only come"),
        }
    }

    fn admit(&mut self) {
        let limit = self.oracle.limit;
        let expected = self.oracle.admit();
        let mut in_use = self.in_use;
        let mut admitted = Vec::new();
        loop {
            let before: Vec<_> = self.waiting();
            let take = |price| {
                let is_there = in_use + price <= limit;
                in_use += if is_there { price } else { 0 };
                is_there
            };
            if self.line.admit(limit, self.now, true, take).is_none() {
                break;
            }
            let after = self.waiting();
            admitted.extend(before.into_iter().filter(|number| !after.contains(number)));
        }
        self.in_use = in_use;
        assert_eq!(admitted, expected);
        for number in admitted {
            let inside = self.oracle.inside.iter().find(|one| one.number == number);
            let inside = inside.unwrap().clone();
            match self.line.leave(number) {
                Left::Granted(ticket) => assert_eq!(ticket, inside.ticket),
                left => panic!("{left:?}"),
            }
            // Of a key, within a class, first come is first served.
            let earlier = self.served.iter().rev().find(|one| {
                one.ticket.key == inside.ticket.key && one.ticket.class == inside.ticket.class
            });
            assert!(earlier.is_none_or(|earlier| earlier.number < number));
            self.served.push(inside);
        }
    }

    fn waiting(&self) -> Vec<Number> {
        let waiters = self.line.waiters.iter();
        let waiting = waiters.filter(|(_, waiter)| matches!(waiter.state, State::Waiting(_)));
        waiting.map(|(number, _)| *number).collect()
    }

    /// What holds whenever nobody is busy.
    fn check(&self) {
        let oracle = &self.oracle;
        let used = oracle.used(|_| true);
        assert_eq!(self.in_use, used);
        assert_eq!(self.line.len(), oracle.waits.len());
        assert!(self.line.len() <= oracle.rules.places);
        let waiting: Vec<_> = oracle.waits.iter().map(|one| one.number).collect();
        assert_eq!(self.waiting(), waiting);
        // Who waits for his key alone does not count.
        let for_room = self.line.classes.iter().any(|class| class.waits_for_room);
        assert_eq!(self.line.busy_since.is_some(), for_room);
        for class in oracle.all_classes() {
            let in_use = oracle.used(|inside| inside.class == class);
            let waits = oracle.waits.iter();
            let waits = waits.filter(|one| one.ticket.class == class).count();
            assert_eq!(self.line.class(class), (in_use, waits));
        }
        let mut keys: Vec<_> = oracle
            .inside
            .iter()
            .filter_map(|one| one.ticket.key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(self.line.keys(), keys.len());
        // Somebody is in, if anybody waits.
        assert!(waiting.is_empty() || used > 0);
    }

    /// What holds as long as the limit was never smaller.
    fn check_bounds(&self) {
        let oracle = &self.oracle;
        assert!(oracle.used(|_| true) <= oracle.limit);
        if let Some(per_key) = oracle.rules.per_key {
            for key in 0..=Key::MAX {
                let of = |one: &&One| one.ticket.key == Some(key);
                let used = oracle.used(|inside| inside.key == Some(key));
                let is_alone = oracle.inside.iter().filter(of).count() == 1;
                assert!(used <= per_key.max || is_alone);
            }
        }
    }

    /// Each class can still have at once what is kept for it, unless nothing is shared at all.
    fn check_reserve(&self) {
        let oracle = &self.oracle;
        let owed = oracle.all_classes().map(|class| {
            let used = oracle.used(|inside| inside.class == class);
            used.max(oracle.kept(class))
        });
        assert!(owed.sum::<usize>() <= oracle.limit);
    }

    /// All go out one after the other; all who wait have their turn.
    fn empty(&mut self) {
        while !self.oracle.inside.is_empty() {
            self.step(&Step::GoOut(0));
        }
        assert_eq!((self.in_use, self.line.len(), self.line.keys()), (0, 0, 0));
        assert!(self.line.waiters.is_empty());
        for class in &self.line.classes {
            assert!(class.lanes.is_empty() && class.turns.is_empty() && class.in_use == 0);
        }
    }
}

/// Whether a key is claimed does not depend on whose turn it is.
#[test]
fn who_waits_for_his_key_is_not_overtaken_behind_one_who_waits_for_room() {
    let share = |priority, reserve| Share { priority, reserve };
    let rules = Rules {
        places: 9,
        patience: Duration::from_secs(5),
        overload: None,
        per_key: Some(PerKey { max: 3, places: 9 }),
        classes: vec![share(1, 0), share(0, 3)],
    };
    let of = |class, key, cost| {
        Step::Come(Ticket {
            cost,
            class,
            key: Some(key),
        })
    };
    let mut pair = Pair::new(&rules, 6);
    // One of key 1, and all that is kept for nobody.
    for step in [of(1, 1, 1), of(0, 2, 3)] {
        pair.step(&step);
    }
    assert_eq!((pair.in_use, pair.line.len()), (4, 0));
    // One waits for key 1, one for room, and one of key 1 would fit into what is kept for him.
    for step in [of(0, 1, 3), of(0, 3, 1), of(1, 1, 1)] {
        pair.step(&step);
    }
    assert_eq!((pair.in_use, pair.line.len()), (4, 3));
    pair.empty();
}

/// A key that counts how often it is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted(u8);

thread_local! {
    static LOOKS: Cell<usize> = const { Cell::new(0) };
}

impl Hash for Counted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        LOOKS.set(LOOKS.get() + 1);
        self.0.hash(state);
    }
}

#[test]
fn who_goes_out_looks_at_nobody_who_waits_for_others() {
    let rules = Rules {
        places: 64,
        patience: Duration::from_secs(5),
        overload: None,
        per_key: Some(PerKey { max: 1, places: 1 }),
        classes: vec![Share::default()],
    };
    let gate = Gate::new(100, rules);
    let now = Instant::now();
    let of = |key| Ticket {
        cost: 1,
        class: 0,
        key: Some(Counted(key)),
    };
    for key in 0..64 {
        assert_eq!(gate.enter(&mut of(key), || now), Entry::In);
        let waits = gate.enter(&mut of(key), || now);
        assert!(matches!(waits, Entry::Waits(..)));
    }
    LOOKS.set(0);
    let mut other = of(64);
    assert_eq!(gate.enter(&mut other, || now), Entry::In);
    gate.exit(&other, || now);
    assert!(LOOKS.get() < 8, "{} looks", LOOKS.get());
    // But whoever is waited for is not forgotten.
    gate.exit(&of(7), || now);
    assert_eq!((gate.in_use(), gate.waiting()), (64, 63));
}

fn rules() -> impl Strategy<Value = Rules> {
    let per_key = prop::option::of((1..5_usize, 1..6_usize));
    let share = (-1..2_i32, 0..4_usize);
    (0..12_usize, per_key, prop::collection::vec(share, 1..4)).prop_map(
        |(places, per_key, classes)| Rules {
            places,
            patience: Duration::from_secs(5),
            overload: None,
            per_key: per_key.map(|(max, places)| PerKey { max, places }),
            classes: classes
                .into_iter()
                .map(|(priority, reserve)| Share { priority, reserve })
                .collect(),
        },
    )
}

fn ticket() -> impl Strategy<Value = Ticket<Key>> {
    let cost = prop_oneof![4 => Just(1), 2 => 2..5_usize, 1 => 5..30_usize];
    let key = prop::option::weighted(0.8, 0..4_u8);
    (cost, 0..6_usize, key).prop_map(|(cost, class, key)| Ticket { cost, class, key })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => ticket().prop_map(Step::Come),
        4 => any::<usize>().prop_map(Step::GoOut),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (1..12_usize).prop_map(Step::Resize),
    ];
    prop::collection::vec(step, 1..80)
}

/// Tickets as these rules have them.
fn fit(step: &Step, rules: &Rules) -> Step {
    match step {
        Step::Come(ticket) => Step::Come(Ticket {
            cost: ticket.cost,
            class: ticket.class % rules.classes.len(),
            key: ticket.key.filter(|_| rules.per_key.is_some()),
        }),
        step => step.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_line_is_what_an_oracle_says(rules in rules(), limit in 1..12_usize, steps in steps()) {
        let mut pair = Pair::new(&rules, limit);
        for step in &steps {
            pair.step(&fit(step, &rules));
        }
        pair.empty();
    }

    #[test]
    fn a_line_keeps_its_bounds(rules in rules(), more in 1..8_usize, steps in steps()) {
        let kept: usize = rules.classes.iter().map(|share| share.reserve).sum();
        let mut pair = Pair::new(&rules, kept + more);
        for step in &steps {
            let step = match step {
                Step::Resize(which) => Step::GoOut(*which),
                step => fit(step, &rules),
            };
            pair.step(&step);
            pair.check_bounds();
            pair.check_reserve();
        }
        pair.empty();
    }
}
