//! What is known of each worker beside its state: its process, and what it has said.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{SpawnError, process::Process, slot::Slot, worker::Worker},
    fleet::Id,
    listener::About,
    template::Fork,
};

/// All workers that have a process, or had one a moment ago.
pub(super) type Crew = BTreeMap<Id, Entry>;

#[derive(Debug, Default)]
pub(super) struct Entry {
    /// `None` if it could not be started, or is not yet.
    pub(super) body: Option<Body>,
    pub(super) worker: Option<Arc<Worker>>,
    pub(super) about: Option<Arc<About>>,
    pub(super) memory: Option<u64>,
    /// Which slots have said hello.
    said: Vec<u16>,
    /// Those of them that are to get no requests yet.
    parked: Vec<Slot>,
    duty: Duty,
    /// Why it did not come up.
    pub(super) failure: Option<SpawnError>,
}

/// Whose process it is.
#[derive(Debug)]
pub(super) enum Body {
    /// A child of this process.
    Child(Process),
    /// A child of a template.
    Fork(Fork),
}

/// What is done with a slot that dials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Duty {
    #[default]
    Waits,
    Works,
    Ends,
}

impl Entry {
    /// A slot has dialled: whether it is the first time that this one does, and the slot, if it is
    /// to get requests.
    pub(super) fn dialled(&mut self, slot: Slot) -> (bool, Option<Slot>) {
        let number = slot.number();
        let is_first = !self.said.contains(&number);
        if is_first {
            self.said.push(number);
        }
        match self.duty {
            Duty::Works => return (is_first, Some(slot)),
            Duty::Waits => {
                self.parked.retain(|other| other.number() != number);
                self.parked.push(slot);
            }
            Duty::Ends => slot.stop(),
        }
        (is_first, None)
    }

    /// It is to get requests: by these slots, and those that dial.
    pub(super) fn admit(&mut self) -> Vec<Slot> {
        self.duty = Duty::Works;
        std::mem::take(&mut self.parked)
    }

    /// It is to get none any more.
    pub(super) fn retire(&mut self) {
        self.duty = Duty::Ends;
        std::mem::take(&mut self.parked)
            .into_iter()
            .for_each(Slot::stop);
    }

    /// Whether it was told to end.
    pub(super) fn is_retired(&self) -> bool {
        self.duty == Duty::Ends
    }

    /// The last lines that it wrote.
    pub(super) fn output(&self) -> Vec<String> {
        let tail = self.body.as_ref().map(|body| match body {
            Body::Child(process) => &process.tail,
            Body::Fork(fork) => &fork.tail,
        });
        tail.map(|tail| tail.lines()).unwrap_or_default()
    }
}
